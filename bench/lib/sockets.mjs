// Sockets of our own, where it matters which of them gets what.
import { createRequire } from 'node:module';

const WebSocket = createRequire(new URL('../../tests/e2e/', import.meta.url))('ws');
const PARALLEL = 64;
const ARRIVE_MS = 10_000;

/** Opens one and hands every message to `read`; resolves with it when it is open. */
export function openSocket({ url, first }, read) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('error', reject);
    socket.on('message', (data) => read(data.toString()));
    socket.on('open', () => {
      if (first) socket.send(first);
      resolve(socket);
    });
  });
}

/** Subscribed sockets of gusher, the i-th of them user u<i>. */
export class Crowd {
  static async open(server, n) {
    const crowd = new Crowd();
    let next = 0;
    async function openSome() {
      while (next < n) await crowd.#add(server, next++);
    }
    await Promise.all(Array.from({ length: PARALLEL }, openSome));
    return crowd;
  }

  constructor() {
    this.sockets = [];
    this.ids = [];
    this.received = 0;
  }

  #add(server, i) {
    return new Promise((resolve, reject) => {
      const read = (text) => {
        if (this.ids[i]) {
          this.received++;
          return;
        }
        this.ids[i] = JSON.parse(text).socket_id;
        resolve();
      };
      openSocket(server.socket('ch0', i), read).then(
        (socket) => (this.sockets[i] = socket),
        reject,
      );
    });
  }

  /** Resolves when so many messages have come since `before`. */
  async arrived(before, n) {
    const deadline = Date.now() + ARRIVE_MS;
    while (this.received < before + n) {
      if (Date.now() > deadline)
        throw new Error(`${this.received - before} of ${n} messages arrived`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  close() {
    for (const socket of this.sockets) socket?.terminate();
  }
}
