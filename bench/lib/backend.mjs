// A backend in one process: requests over a few connections that are kept alive.
import http from 'node:http';

const MESSAGE = 'x'.repeat(128);

export class Backend {
  constructor(address, connections = 4) {
    this.address = address;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  }

  /** A request with a form; resolves with the text of the answer, which must be a 200. */
  request(method, path, form) {
    const body = form ? new URLSearchParams(form).toString() : '';
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': Buffer.byteLength(body),
    };
    const { address, agent } = this;
    return new Promise((resolve, reject) => {
      const request = http.request(
        `http://${address}${path}`,
        { method, agent, headers },
        (reply) => {
          let text = '';
          reply.setEncoding('utf8');
          reply.on('data', (chunk) => (text += chunk));
          reply.on('end', () => {
            if (reply.statusCode === 200) resolve(text);
            else reject(new Error(`${path}: ${reply.statusCode} ${text}`));
          });
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }

  push(path) {
    return this.request('POST', `/api/push/${path}`, { data: MESSAGE });
  }

  /** Pushes to all of `paths`, so many a second; resolves when the last one is answered. */
  async pushAll(paths, rate) {
    const began = performance.now();
    const answers = [];
    while (answers.length < paths.length) {
      const due = Math.min(paths.length, ((performance.now() - began) / 1000) * rate + 1);
      while (answers.length + 1 <= due) answers.push(this.push(paths[answers.length]));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(answers);
  }

  /** A push by pattern, which must find so many channels. */
  async pushPattern(pattern, matching) {
    const form = { channel_pattern: pattern, event: 'msg', data: MESSAGE };
    const { total } = JSON.parse(await this.request('POST', '/api/push/demo', form));
    if (total !== matching) throw new Error(`${pattern}: ${total} channels, not ${matching}`);
  }

  close() {
    this.agent.destroy();
  }
}

/** Trades JWTs for tickets at a slave; `parallel` requests are under way at once. */
export async function ticketsOf(slave, jwts, parallel = 16) {
  const client = new Backend(slave, parallel);
  const tickets = [];
  let next = 0;
  async function trade() {
    while (next < jwts.length) {
      const i = next++;
      tickets[i] = JSON.parse(await client.request('POST', '/gcs/auth', { jwt: jwts[i] })).token;
    }
  }
  await Promise.all(Array.from({ length: parallel }, trade));
  client.close();
  return tickets;
}
