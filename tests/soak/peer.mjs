// A client of the soak: it holds nothing of what it heard, however long it lives.
import { createRequire } from 'node:module';
import { within } from '../e2e/support/wait.mjs';

const WebSocket = createRequire(new URL('../e2e/', import.meta.url))('ws');

/** Told unasked, though about this socket. */
const unasked = /^gusher\.(token_expires|subscription_revoked)$/;

export class Peer {
  /** Resolves when the socket is open; a refusal rejects with its status, in `status`. */
  static async open(url, options) {
    const peer = new Peer(url, options);
    await within(peer.opened, 'a WebSocket');
    return peer;
  }

  /** `autoPong: false` leaves pings unanswered; `hear(text)` gets what is pushed. */
  constructor(url, { deflate = false, autoPong = true, hear = () => {} } = {}) {
    this.ws = new WebSocket(url, { perMessageDeflate: deflate, autoPong });
    this.hear = hear;
    this.heard = 0;
    this.waiting = { remote: [], other: [] };
    this.ws.on('message', (data) => this.#read(data.toString()));
    this.closed = new Promise((resolve) => {
      this.ws.on('close', (code, reason) => {
        this.end = { code, reason: reason.toString() };
        for (const { reject } of Object.values(this.waiting).flat())
          reject(new Error(`closed: ${code} ${reason}`));
        resolve(this.end);
      });
    });
    this.opened = new Promise((resolve, reject) => {
      this.ws.on('open', resolve);
      this.ws.on('error', reject);
      this.ws.on('unexpected-response', (request, reply) => {
        reply.resume();
        reply.on('error', () => {});
        request.destroy();
        reject(Object.assign(new Error(`refused: ${reply.statusCode}`), { status: reply.statusCode }));
      });
    });
    this.opened.catch(() => {});
  }

  #read(text) {
    this.heard++;
    if (text.startsWith('{"event":"gusher.')) {
      const reply = JSON.parse(text);
      if (!reply.socket_id || unasked.test(reply.event)) return;
      this.id = reply.socket_id;
      const road = reply.event.startsWith('gusher.remote_') ? 'remote' : 'other';
      this.waiting[road].shift()?.resolve(reply);
      return;
    }
    this.hear(text);
  }

  send(text) {
    this.ws.send(text);
  }

  /** Sends one command; gives its reply. Replies come in order, but those to remote commands. */
  command(name, data, more = {}) {
    const road = name === 'remote' ? 'remote' : 'other';
    const reply = new Promise((resolve, reject) => this.waiting[road].push({ resolve, reject }));
    this.ws.send(JSON.stringify({ event: `gusher.${name}`, data, ...more }));
    return within(reply, `the reply to gusher.${name}`);
  }

  /** Ends as `how` says: in order, by FIN, or by RST. */
  leave(how) {
    let over = this.closed;
    const socket = this.ws._socket;
    if (how === 'close') this.ws.close(1000);
    else if (how !== 'reset') this.ws.terminate();
    else if (socket) {
      // The library may wait for the rest of a message that this has cut off: the connection counts.
      over = Promise.race([over, new Promise((resolve) => socket.once('close', resolve))]);
      socket.resetAndDestroy();
    }
    return within(over, `the end of a socket by ${how}`);
  }
}
