// A TCP proxy that makes a network between two parties go wrong.
import net from 'node:net';
import { performance } from 'node:perf_hooks';

/** Bytes of one direction that wait; beyond that its sender is not read, as with a full window. */
const WAITING_BYTES_MAX = 1 << 20;

/** One way of a connection: what comes from `from` goes to `to`, in order, `delay` later. */
class Direction {
  constructor(link, from, to) {
    this.link = link;
    this.from = from;
    this.to = to;
    this.waiting = []; // { due, chunk }; chunk null: the end of the stream
    this.bytes = 0;
    this.isBlocked = false;
    from.on('data', (chunk) => this.#take(chunk));
    from.on('end', () => this.#take(null));
    to.on('drain', () => {
      this.isBlocked = false;
      this.pump();
    });
    this.pump();
  }

  #take(chunk) {
    const { proxy } = this.link;
    if (proxy.state === 'cut') {
      this.link.isBroken = true;
      return;
    }
    this.waiting.push({ due: performance.now() + proxy.delayMs, chunk });
    this.bytes += chunk?.length ?? 0;
    this.pump();
  }

  /** Passes on what is due. */
  pump() {
    clearTimeout(this.timer);
    const { proxy } = this.link;
    while (this.waiting.length && proxy.state === 'open' && !this.isBlocked && !this.to.destroyed) {
      const [{ due, chunk }] = this.waiting;
      const wait = due - performance.now();
      if (wait > 0) {
        this.timer = setTimeout(() => this.pump(), Math.ceil(wait));
        break;
      }
      this.waiting.shift();
      if (chunk === null) {
        this.to.end();
      } else {
        this.bytes -= chunk.length;
        this.isBlocked = !this.to.write(chunk);
      }
    }
    if (this.bytes > WAITING_BYTES_MAX) this.from.pause();
    else this.from.resume();
  }

  /** What waits is lost, too. */
  lose() {
    clearTimeout(this.timer);
    if (this.waiting.length) this.link.isBroken = true;
    this.waiting = [];
    this.bytes = 0;
    this.from.resume();
  }

  /** The delay is another one: nothing that waits is due later than it would be now. */
  hasten(delayMs) {
    const latest = performance.now() + delayMs;
    for (const item of this.waiting) item.due = Math.min(item.due, latest);
    this.pump();
  }
}

/** A connection of a client, and ours to the server behind. */
class Link {
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.directions = [];
    this.isBroken = false; // something was lost: the streams can never be whole again
    this.#watch(client);
    if (proxy.state === 'open') this.open();
    else if (proxy.state === 'cut') this.swallow();
  }

  /** As when a packet with SYN is lost: the server never hears of this one. */
  swallow() {
    this.isBroken = true;
    this.client.resume();
  }

  open() {
    if (this.server) return;
    const { host, port } = this.proxy.target;
    this.server = net.connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.#watch(this.server);
    this.directions = [
      new Direction(this, this.client, this.server),
      new Direction(this, this.server, this.client),
    ];
  }

  #watch(socket) {
    socket.on('error', () => {}); // told by 'close'
    socket.on('close', (hadError) => {
      if (hadError && this.proxy.state !== 'open') this.isBroken = true;
      else if (hadError) this.reset();
      if (this.client.destroyed && (this.server?.destroyed ?? true)) this.proxy.links.delete(this);
    });
  }

  reset() {
    for (const direction of this.directions) clearTimeout(direction.timer);
    for (const socket of [this.client, this.server])
      // Not resetAndDestroy: where it fails (a stream that is being shut down) Node leaves the socket
      // open, and its peer waits for ever.
      socket?.destroy();
  }
}

/**
 * Listens on a free loopback port and passes every connection on to a target. The network can be
 * - open, as at the beginning;
 * - cut(): what either side sends is swallowed, the end of a stream as well, and nothing is closed;
 *   new connections are accepted and hear nothing. Nobody can tell it from a peer that is silent;
 * - held: hold() keeps all bytes, as TCP does that retransmits over a short outage.
 * heal() opens it again. Connections that lost nothing flow on, and what was held arrives. Those
 * that lost a byte, were begun during a cut or have lost one side are reset: no real network
 * delivers a stream with a hole in it, and a router that forgot a connection answers so.
 */
export class Proxy {
  static async start(port, { host = '127.0.0.1' } = {}) {
    const proxy = new Proxy({ host, port });
    await new Promise((resolve, reject) => {
      proxy.listener.on('error', reject);
      proxy.listener.listen(0, '127.0.0.1', resolve);
    });
    proxy.host = '127.0.0.1';
    proxy.port = proxy.listener.address().port;
    return proxy;
  }

  constructor(target) {
    this.target = target;
    this.state = 'open';
    this.delayMs = 0;
    this.links = new Set();
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true };
    this.listener = net.createServer(options, (client) => this.links.add(new Link(this, client)));
  }

  /** An address of this proxy, for nats.mjs by default. */
  url(scheme = 'nats') {
    return `${scheme}://${this.host}:${this.port}`;
  }

  get connections() {
    return this.links.size;
  }

  #directions() {
    return [...this.links].flatMap((link) => link.directions);
  }

  cut() {
    this.state = 'cut';
    for (const link of this.links) if (!link.server) link.swallow();
    for (const direction of this.#directions()) direction.lose();
  }

  hold() {
    this.state = 'held';
  }

  heal() {
    this.state = 'open';
    for (const link of this.links) {
      if (link.isBroken) link.reset();
      else link.open();
    }
    for (const direction of this.#directions()) direction.pump();
  }

  /** Ends the connections there are, at once; new ones are served as the state says. */
  reset() {
    for (const link of this.links) link.reset();
  }

  /** From now on every byte takes `ms` longer, each way; 0 is none. */
  delay(ms) {
    this.delayMs = ms;
    for (const direction of this.#directions()) direction.hasten(ms);
  }

  /** Refuses new connections and resets the others. */
  async stop() {
    this.listener.close(); // nobody waits for the last connection: all are destroyed
    this.state = 'open';
    this.reset();
  }
}
