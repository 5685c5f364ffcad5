// A plain model of what a cluster promises its sockets: who must, who may and who must not hear a
// message. Peers tell it what they ask for and what they hear; it throws when a promise is broken.
import assert from 'node:assert/strict';

/** The permission rule (API section 7.3). */
export function permits(grants, name) {
  return grants.some((grant) => {
    if (grant === '*') return true;
    const parts = grant.split('*').map((part) => part.replace(/[.\\+?^${}()|[\]]/g, '\\$&'));
    return new RegExp(`^${parts.join('.+')}$`, 'u').test(name);
  });
}

/** One push, to however many sockets. */
class Message {
  constructor(id, road, place, app, to) {
    Object.assign(this, { id, road, place, app, to });
    this.must = new Set(); // sockets that have not heard it yet
    this.heard = new Set();
  }
}

/** What one socket is promised. */
export class Listener {
  constructor(model, { app, user, grants }) {
    Object.assign(this, { model, app, user, grants: [...grants] });
    this.channels = new Map(); // name: 'joining' | 'on' | 'leaving'; not there: off
    this.pending = new Set(); // messages that must still come
    this.last = new Map(); // the place of the last message of each road
    this.isDeaf = false; // its slave is cut off: nothing is promised
  }

  /** Whoever loses a subscription may still hear what is under way, or not. */
  leaving(name) {
    if (this.channels.get(name) === 'on') this.channels.set(name, 'leaving');
    for (const message of this.pending) if (message.to.channel === name) this.#excuse(message);
  }

  off(name) {
    this.leaving(name);
    this.channels.delete(name);
  }

  /** Nothing that is under way is promised any longer. */
  excuseAll() {
    for (const message of this.pending) this.#excuse(message);
  }

  #excuse(message) {
    message.must.delete(this);
    this.pending.delete(message);
  }

  hear(id, channel) {
    const message = this.model.messages.get(id);
    assert.ok(message, `${this.name} heard ${id}, which nobody has pushed`);
    const what = `${id} (${Object.entries(message.to)} of ${message.app}) at ${this.name}`;
    assert.equal(message.app, this.app, `of another app: ${what}`);
    assert.equal(message.to.channel, channel, `by another channel: ${what}`);
    assert.ok(!message.heard.has(this), `twice: ${what}`);
    message.heard.add(this);
    if (channel !== undefined) assert.ok(this.channels.has(channel), `not subscribed: ${what}`);
    if (message.to.user) assert.equal(message.to.user, this.user, `of another user: ${what}`);
    if (message.to.socket) assert.equal(message.to.socket, this, `of another socket: ${what}`);
    const last = this.last.get(message.road) ?? -1;
    assert.ok(message.place > last, `out of order: ${what}, after place ${last}`);
    this.last.set(message.road, message.place);
    this.pending.delete(message);
    message.must.delete(this);
  }

  toString() {
    return this.name;
  }

  get name() {
    return `${this.user || 'somebody'} of ${this.app}`;
  }
}

export class Model {
  constructor() {
    this.listeners = new Set();
    this.messages = new Map();
    this.places = new Map(); // of each road, how many messages went that way
    this.isBusDown = false;
  }

  add(listener) {
    this.listeners.add(listener);
  }

  /** It is gone, or about to be: nothing is promised to it any more. */
  remove(listener) {
    listener.excuseAll();
    this.listeners.delete(listener);
  }

  /** A push begins, by one master at a time for each of its roads. */
  push(by, app, to) {
    const road = `${by} ${app} ${to.channel ?? 'direct'}`;
    const place = this.places.get(road) ?? 0;
    this.places.set(road, place + 1);
    const message = new Message(`${by}-${this.messages.size}`, road, place, app, to);
    this.messages.set(message.id, message);
    if (this.isBusDown) return message;
    for (const listener of this.listeners) {
      const isFor =
        listener.app === app &&
        (to.channel !== undefined
          ? listener.channels.get(to.channel) === 'on'
          : to.user
            ? listener.user === to.user
            : listener === to.socket);
      if (!isFor || listener.isDeaf) continue;
      message.must.add(listener);
      listener.pending.add(message);
    }
    return message;
  }

  /** It was refused, or nobody knows: it may have come or not. */
  failed(message) {
    for (const listener of message.must) listener.pending.delete(message);
    message.must.clear();
  }

  busDown() {
    this.isBusDown = true;
    for (const listener of this.listeners) listener.excuseAll();
  }

  busUp() {
    this.isBusDown = false;
  }

  /** { online, channels: { name: users } } of an app; nothing may be under way. */
  presence(app) {
    const here = [...this.listeners].filter((listener) => listener.app === app);
    const users = (list) => [...new Set(list.map((l) => l.user).filter(Boolean))].sort();
    const names = [...new Set(here.flatMap((l) => [...l.channels.keys()]))].sort();
    const entries = names.map((name) => [name, users(here.filter((l) => l.channels.has(name)))]);
    return { online: users(here), channels: Object.fromEntries(entries) };
  }
}
