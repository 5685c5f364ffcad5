// A bare TCP connection: HTTP and WebSocket frames written and read byte by byte.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { within } from './wait.mjs';

export class Raw {
  static async connect({ host, port, localAddress, tls: tlsOptions }) {
    // Half open: the end of our side is the test's decision.
    const options = { host, port, localAddress, allowHalfOpen: true, noDelay: true };
    const socket = tlsOptions ? tls.connect({ ...options, ...tlsOptions }) : net.connect(options);
    const raw = new Raw(socket);
    await within(
      new Promise((resolve, reject) => {
        socket.once(tlsOptions ? 'secureConnect' : 'connect', resolve);
        socket.once('error', reject);
      }),
      `a connection to ${host}:${port}`,
    );
    return raw;
  }

  /** TLS from now on, over what was a plain connection. */
  static async secure(plain, options) {
    plain.socket.removeAllListeners();
    const socket = tls.connect({ socket: plain.socket, ...options });
    const raw = new Raw(socket);
    await within(new Promise((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    }), 'a TLS handshake');
    return raw;
  }

  constructor(socket) {
    this.socket = socket;
    this.chunks = [];
    this.isEnded = false;
    this.wake = () => {};
    socket.on('data', (chunk) => {
      this.chunks.push(chunk);
      this.wake();
    });
    const end = () => {
      this.isEnded = true;
      this.wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  /** What has come and was not read. */
  get buffer() {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0] ?? Buffer.alloc(0);
  }

  #take(n) {
    const { buffer } = this;
    this.chunks = n < buffer.length ? [buffer.subarray(n)] : [];
    return buffer.subarray(0, n);
  }

  write(data) {
    if (!this.socket.destroyed) this.socket.write(data);
    return this;
  }

  /** Writes each byte by itself, in a segment of its own where the kernel plays along. */
  async writeSlowly(data) {
    for (const byte of Buffer.from(data)) {
      await new Promise((resolve) => this.socket.write(Buffer.of(byte), resolve));
      await new Promise(setImmediate);
    }
  }

  halfClose() {
    this.socket.end();
    return this;
  }

  destroy() {
    this.socket.destroy();
  }

  /** Waits until `parse(buffer)` gives { value, used }. */
  async #read(parse, what, ms) {
    const parsed = async () => {
      for (;;) {
        const found = parse(this.buffer);
        if (found) {
          this.#take(found.used);
          return found.value;
        }
        if (this.isEnded)
          throw new Error(`the connection ended before ${what}; before that came: ${this.buffer}`);
        await new Promise((resolve) => (this.wake = resolve));
      }
    };
    return within(parsed(), what, ms);
  }

  /** One HTTP answer: { status, headers, head, body }. */
  reply({ toHead = false } = {}) {
    return this.#read((buffer) => {
      const end = buffer.indexOf('\r\n\r\n');
      if (end < 0) return null;
      const head = buffer.toString('latin1', 0, end + 4);
      const lines = head.split('\r\n').filter(Boolean);
      const headers = {};
      for (const line of lines.slice(1)) {
        const [, name, value] = /^([^:]+): (.*)$/.exec(line);
        headers[name.toLowerCase()] = value;
      }
      const used = end + 4 + (toHead ? 0 : Number(headers['content-length'] ?? 0));
      if (buffer.length < used) return null;
      const body = buffer.toString('utf8', end + 4, used);
      return { value: { status: Number(lines[0].split(' ')[1]), headers, head, body }, used };
    }, 'an HTTP answer');
  }

  /** One frame: { fin, op, payload }. A server must not mask. */
  frame(ms) {
    return this.#read(
      (buffer) => {
        if (buffer.length < 2) return null;
        assert.equal(buffer[1] & 0x80, 0, 'the server masked a frame');
        assert.equal(buffer[0] & 0x70, 0, 'the server set reserved bits');
        let length = buffer[1];
        let at = 2;
        if (length === 126) {
          if (buffer.length < 4) return null;
          length = buffer.readUInt16BE(2);
          at = 4;
        } else if (length === 127) {
          if (buffer.length < 10) return null;
          length = Number(buffer.readBigUInt64BE(2));
          at = 10;
        }
        const used = at + length;
        if (buffer.length < used) return null;
        const fin = (buffer[0] & 0x80) !== 0;
        return { value: { fin, op: buffer[0] & 15, payload: buffer.subarray(at, used) }, used };
      },
      'a frame',
      ms,
    );
  }

  async text() {
    const { fin, op, payload } = await this.frame();
    assert.deepEqual({ fin, op }, { fin: true, op: TEXT }, `no text frame: ${payload}`);
    return payload.toString();
  }

  /** The close frame, then the end of the connection: { code, reason }. */
  async close(ms) {
    const { op, payload } = await this.frame(ms);
    assert.equal(op, CLOSE, `no close frame: ${payload}`);
    await this.end();
    return {
      code: payload.length ? payload.readUInt16BE(0) : 1005,
      reason: payload.subarray(2).toString(),
    };
  }

  /** Waits for the end of the server's side, and asserts that nothing comes before it. */
  async end() {
    const rest = await this.rest();
    assert.equal(rest, '', 'bytes before the end');
  }

  /** All that comes until the server ends its side. */
  rest(ms) {
    return this.#read(
      (buffer) => this.isEnded && { value: buffer.toString(), used: buffer.length },
      'the end of the connection',
      ms,
    );
  }
}

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** A client's frame. `length` lies about the payload's; `wide` is the size of its field. */
export function frame(op, payload = '', options = {}) {
  const { fin = true, rsv = 0, masked = true, length, wide } = options;
  const data = Buffer.from(payload);
  const said = length ?? data.length;
  const size = wide ?? (said < 126 ? 0 : said < 65536 ? 2 : 8);
  const head = Buffer.alloc(2 + size);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | op;
  head[1] = (masked ? 0x80 : 0) | (size === 0 ? said : size === 2 ? 126 : 127);
  if (size === 2) head.writeUInt16BE(said, 2);
  if (size === 8) head.writeBigUInt64BE(BigInt(said), 2);
  if (!masked) return Buffer.concat([head, data]);
  const mask = crypto.randomBytes(4);
  return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i % 4])]);
}

export function closeFrame(code, reason = '') {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return frame(CLOSE, payload);
}

/** An HTTP request as text. Host is there unless the headers say otherwise (null leaves it out). */
export function requestText(method, target, headers = {}, body = '') {
  const all = { Host: 'gusher', ...headers };
  const lines = Object.entries(all)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

export const upgradeHeaders = {
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', // with the answer RFC 6455 section 1.3 gives
};
export const upgradeAccept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
