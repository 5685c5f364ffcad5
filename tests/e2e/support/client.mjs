// A WebSocket client by the library `ws`, with an inbox to read from.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { Inbox, within } from './wait.mjs';

export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export class Client {
  /** Resolves when the socket is open; a refusal rejects with its HTTP status and body. */
  static async open(url, tls = {}) {
    const client = new Client(url, tls);
    await within(client.opened, `a WebSocket at ${url}`);
    return client;
  }

  constructor(url, tls = {}) {
    this.inbox = new Inbox();
    this.ws = new WebSocket(url, { perMessageDeflate: false, ...tls });
    this.ws.on('message', (data, isBinary) => {
      this.inbox.put(isBinary ? data : data.toString());
    });
    this.closing = new Promise((resolve) => {
      this.ws.on('close', (code, reason) => {
        this.inbox.end(`the socket was closed: ${code} ${reason}`);
        resolve({ code, reason: reason.toString() });
      });
    });
    this.opened = new Promise((resolve, reject) => {
      this.ws.on('open', resolve);
      // Stays for the whole life: a reset later on is told by 'close'.
      this.ws.on('error', reject);
      this.ws.on('unexpected-response', (_, reply) => {
        let text = '';
        reply.on('data', (chunk) => (text += chunk));
        reply.on('end', () => reject(new Error(`refused: ${reply.statusCode} ${text}`)));
      });
    });
  }

  /** The next message as it came. */
  next(what = 'a message') {
    return this.inbox.next(what);
  }

  async nextJson(what) {
    return JSON.parse(await this.next(what));
  }

  /** Reads messages that must be exactly these. */
  async expect(...texts) {
    for (const text of texts) assert.equal(await this.next(text), text);
  }

  send(message) {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** Sends one command and gives the next message, its reply. */
  async command(event, data, more = {}) {
    this.send({ event, data, ...more });
    const reply = await this.nextJson(`the reply to ${event}`);
    if (reply.socket_id) this.id = reply.socket_id;
    return reply;
  }

  async subscribe(...channels) {
    for (const channel of channels) {
      const reply = await this.command('gusher.subscribe', { channel });
      assert.match(reply.socket_id, uuid);
      assert.deepEqual(reply, {
        event: 'gusher.subscribe_succeeded',
        socket_id: reply.socket_id,
        data: { channel },
      });
    }
    return this;
  }

  async unsubscribe(channel) {
    const reply = await this.command('gusher.unsubscribe', { channel });
    assert.equal(reply.event, 'gusher.unsubscribe_succeeded');
    assert.deepEqual(reply.data, { channel });
  }

  /** The id of the connection, asked for if no reply has told it yet. */
  async socketId() {
    if (!this.id) await this.command('gusher.querychannel', null);
    return this.id;
  }

  /** The close: { code, reason }. */
  closed(ms) {
    return within(this.closing, 'the close of the socket', ms);
  }

  close(code, reason) {
    this.ws.close(code, reason);
    return this.closed();
  }

  terminate() {
    this.ws.terminate();
    return this.closing;
  }
}
