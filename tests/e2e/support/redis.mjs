// A real Redis server, and as much of its protocol (RESP2) as tests need to look into it.
import net from 'node:net';
import { freshFolder } from './keys.mjs';
import { onFreePorts } from './ports.mjs';
import { Daemon } from './process.mjs';
import { Inbox, within } from './wait.mjs';

/** One value at `at` in `buffer`: { value, end }, or null if it is not whole yet. */
function parse(buffer, at = 0) {
  const eol = buffer.indexOf('\r\n', at);
  if (eol < 0) return null;
  const text = buffer.toString('utf8', at + 1, eol);
  const end = eol + 2;
  switch (String.fromCharCode(buffer[at])) {
    case '+':
      return { value: text, end };
    case '-':
      return { value: new Error(text), end };
    case ':':
      return { value: Number(text), end };
    case '$': {
      const length = Number(text);
      if (length < 0) return { value: null, end };
      if (buffer.length < end + length + 2) return null;
      return { value: buffer.toString('utf8', end, end + length), end: end + length + 2 };
    }
    case '*': {
      const n = Number(text);
      if (n < 0) return { value: null, end };
      const value = [];
      let next = end;
      while (value.length < n) {
        const element = parse(buffer, next);
        if (!element) return null;
        value.push(element.value);
        next = element.end;
      }
      return { value, end: next };
    }
    default:
      throw new Error(`no RESP: ${buffer.subarray(at, eol)}`);
  }
}

/** A connection: replies come in the order of the calls. */
export class RedisClient {
  static async connect({ host, port }) {
    const socket = net.connect({ host, port, noDelay: true });
    await within(
      new Promise((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      }),
      `a connection to Redis at ${host}:${port}`,
    );
    return new RedisClient(socket);
  }

  constructor(socket) {
    this.socket = socket;
    this.replies = new Inbox();
    let buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      buffer = Buffer.concat([buffer, chunk]);
      for (let found; (found = buffer.length ? parse(buffer) : null); ) {
        buffer = buffer.subarray(found.end);
        this.replies.put(found.value);
      }
    });
    socket.on('error', () => {}); // told by 'close'
    socket.on('close', () => this.replies.end('the connection to Redis was closed'));
  }

  /** Sends one command; its reply, an error reply as a rejection. */
  async call(...args) {
    const parts = args.map((arg) => Buffer.from(String(arg)));
    const texts = parts.flatMap((part) => [`$${part.length}\r\n`, part, '\r\n']);
    this.socket.write(
      Buffer.concat([`*${parts.length}\r\n`, ...texts].map((text) => Buffer.from(text))),
    );
    const reply = await this.replies.next(`the reply to ${args[0]}`);
    if (reply instanceof Error) throw reply;
    return reply;
  }

  /** What comes without a call: after SUBSCRIBE, the messages. */
  next(what = 'a message of Redis') {
    return this.replies.next(what);
  }

  close() {
    this.socket.destroy();
  }
}

/** pause, resume, kill, restart and stop are the Daemon's. What it held is gone after a kill. */
export class Redis extends Daemon {
  static async start() {
    return onFreePorts(1, async (port) => {
      const redis = new Redis(port);
      await redis.launch();
      return redis;
    });
  }

  constructor(port) {
    const args = {
      bind: '127.0.0.1',
      port,
      dir: freshFolder('redis'),
      save: '',
      appendonly: 'no',
    };
    super(
      'redis-server',
      Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]),
      (process) => this.#serves(process),
    );
    this.host = '127.0.0.1';
    this.port = port;
  }

  /** It logs to standard output, failures as well. */
  async #serves(process) {
    try {
      await process.line('stdout', /Ready to accept connections/);
    } catch (error) {
      throw new Error(`${error.message}; stdout: ${process.stdout}`);
    }
    this.client?.close();
    this.client = await RedisClient.connect(this);
  }

  get address() {
    return `${this.host}:${this.port}`;
  }

  /** A connection of its own, for what blocks or subscribes. */
  connect() {
    return RedisClient.connect(this);
  }

  call(...args) {
    return this.client.call(...args);
  }

  async stop() {
    this.client?.close();
    await super.stop();
  }
}
