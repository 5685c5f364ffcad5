// A server of key sets, as an identity provider has one, with all that may befall it.
import http from 'node:http';
import { freePort } from './ports.mjs';
import { until } from './wait.mjs';

const HUGE = 10 << 20;

export class JwksServer {
  static async start(keys = []) {
    const server = new JwksServer(keys, await freePort());
    await server.listen();
    return server;
  }

  /** What it answers with: 'serve', 'garbage', 'hang', 'huge', 'dribble', 'cut', 'move' or a
   *  status. */
  mode = 'serve';
  requests = 0;

  constructor(keys, port) {
    this.keys = keys;
    this.port = port;
    this.url = `http://127.0.0.1:${port}/keys?secret=of-the-address`;
  }

  async listen() {
    this.http = http.createServer((request, reply) => this.#answer(request, reply));
    await new Promise((resolve, reject) => {
      this.http.on('error', reject);
      this.http.listen(this.port, '127.0.0.1', resolve);
    });
  }

  get text() {
    return JSON.stringify({ keys: this.keys });
  }

  #answer(request, reply) {
    this.requests++;
    const { mode } = this;
    if (mode === 'hang') return;
    if (mode === 'serve') reply.end(this.text);
    else if (mode === 'garbage') reply.end('<html>It works!</html>');
    else if (mode === 'huge') reply.end(this.text.padEnd(HUGE, ' '));
    else if (mode === 'dribble') {
      reply.write(' ');
      const dribble = setInterval(() => reply.write(' '.repeat(100_000)), 2);
      reply.on('close', () => clearInterval(dribble));
    } else if (mode === 'cut') {
      reply.writeHead(200, { 'Content-Length': this.text.length });
      reply.write(this.text.slice(0, -5), () => reply.destroy());
    } else if (mode === 'move') {
      reply.writeHead(302, { Location: '/elsewhere' });
      reply.end();
    } else {
      reply.writeHead(mode);
      reply.end(this.text);
    }
  }

  /** Resolves when it has been asked once more. */
  async asked() {
    const before = this.requests;
    await until(() => this.requests > before, 'a request for the keys');
  }

  /** Nobody listens any more, and who is connected is cut off. */
  async stop() {
    if (!this.http.listening) return;
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }
}
