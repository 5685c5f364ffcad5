// A reader of an event stream (text/event-stream), by plain HTTP.
import assert from 'node:assert/strict';
import http from 'node:http';
import { Inbox } from './wait.mjs';

export class Events {
  /** Opens `GET /v1/events`; resolves when the answer's head is there and is 200. */
  static async open(to, query = {}, headers = {}) {
    const events = new Events();
    const path = `/v1/events?${new URLSearchParams(query)}`;
    events.request = http.get({ host: to.host, port: to.port, path, headers, agent: false });
    const reply = await new Promise((resolve, reject) => {
      events.request.on('response', resolve).on('error', reject);
    });
    assert.equal(reply.statusCode, 200);
    assert.equal(reply.headers['content-type'], 'text/event-stream');
    events.#read(reply);
    return events;
  }

  #read(reply) {
    this.reply = reply;
    this.inbox = new Inbox();
    this.ended = new Promise((resolve) => reply.on('close', () => resolve(reply.complete)));
    let text = '';
    reply.setEncoding('utf8').on('data', (more) => {
      const parts = (text + more).split('\n\n');
      text = parts.pop();
      for (const part of parts) this.#take(part);
    });
    reply.on('end', () => this.inbox.end('the stream ended'));
    reply.on('error', () => {});
  }

  #take(part) {
    if (part.startsWith(':')) return;
    const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? assert.fail(part);
    this.inbox.put({ event, data: JSON.parse(data) });
  }

  /** The data of the next event of this name; others are passed over. */
  async next(name, fits = () => true) {
    for (;;) {
      const { event, data } = await this.inbox.next(`an event ${name}`);
      if (event === name && fits(data)) return data;
    }
  }

  close() {
    this.request.destroy();
  }
}
