// Those who must notice nothing of all the rest: each gets every message that is for it, in order,
// byte for byte and in time.
import fs from 'node:fs';
import { pause, until } from '../e2e/support/wait.mjs';
import { noise } from './site.mjs';

const APP = 'victims';
const VICTIMS = 44; // more than 32: the large channel's fan-out goes out in slices

const TICK_MS = 100;

/**
 * Time without that in which the machine let nobody go on: a moment in which this process itself stood
 * still, or a thread of the server was ready to run and did not get to (its run delay, as the kernel
 * counts it), is not the server's doing.
 */
export class Clock {
  constructor(pids) {
    this.pids = pids;
    this.stoodMs = 0;
    this.last = Date.now();
    this.delays = new Map();
    this.#read();
    this.timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** The longest that a thread has waited for the machine since the last call, in ms. */
  #read() {
    let worst = 0;
    for (const pid of this.pids) {
      for (const thread of this.#threads(pid)) {
        const delay = this.#delayOf(`/proc/${pid}/task/${thread}/schedstat`);
        worst = Math.max(worst, delay - (this.delays.get(thread) ?? delay));
        this.delays.set(thread, delay);
      }
    }
    return worst;
  }

  #threads(pid) {
    try {
      return fs.readdirSync(`/proc/${pid}/task`);
    } catch {
      return []; // it has ended
    }
  }

  #delayOf(file) {
    try {
      return Number(fs.readFileSync(file, 'utf8').split(' ')[1]) / 1e6;
    } catch {
      return 0; // the thread has ended, or this kernel does not count
    }
  }

  #tick() {
    const now = Date.now();
    this.stoodMs += Math.max(this.#read(), now - this.last - TICK_MS, 0);
    this.last = now;
  }

  mark() {
    return { at: Date.now(), stood: this.stoodMs };
  }

  /** Milliseconds since a mark, without those. */
  since({ at, stood }) {
    if (Date.now() - at > TICK_MS) this.#tick();
    return Math.max(0, Date.now() - at - (this.stoodMs - stood));
  }

  stop() {
    clearInterval(this.timer);
  }
}

class Victim {
  constructor(number, tell, clock, boundMs) {
    Object.assign(this, { number, tell, clock, boundMs });
    this.user = `v${number}`;
    this.roads = { v: [], w: [], direct: [] };
    this.got = 0;
  }

  async join(site, random) {
    const identity = { app: APP, user: this.user };
    const hear = (text) => this.#hear(text);
    this.peer = await site.open(random, identity, { deflate: this.number % 4 === 0, hear });
    this.peer.closed.then(({ code, reason }) => {
      if (!this.leaving) this.tell(`victim ${this.number} was closed: ${code} ${reason}`);
    });
    await this.peer.command('subscribe', { channel: 'v' });
    if (this.number % 5 === 0) await this.peer.command('subscribe', { channel: 'w' });
    this.hears = { v: true, w: this.number % 5 === 0 };
  }

  expect(road, text, mark) {
    this.roads[road].push({ text, mark });
  }

  #hear(text) {
    const road = /^\{"channel":"([vw])"/.exec(text)?.[1] ?? 'direct';
    const next = this.roads[road].shift();
    this.got++;
    if (next?.text !== text) {
      this.tell(
        `victim ${this.number}, road ${road}: got ${text.slice(0, 60)}, not ${next?.text.slice(0, 60)}`,
      );
      return;
    }
    const ms = this.clock.since(next.mark);
    this.worstMs = Math.max(this.worstMs ?? 0, ms);
    if (ms > this.boundMs) this.tell(`victim ${this.number}: a message took ${ms} ms`);
  }

  get lacks() {
    return Object.values(this.roads).reduce((n, road) => n + road.length, 0);
  }
}

export class Victims {
  static async join(site, random, tell, { boundMs }) {
    const victims = new Victims();
    victims.clock = new Clock(site.pids);
    Object.assign(victims, { site, random, tell, sent: 0, boundMs });
    victims.list = Array.from(
      { length: VICTIMS },
      (_, i) => new Victim(i, tell, victims.clock, boundMs),
    );
    for (const victim of victims.list) await victim.join(site, random);
    return victims;
  }

  /** One publisher, who waits for each answer: so there is one order. */
  async run(perSecond, signal) {
    while (!signal.aborted) {
      const due = Date.now() + 1000 / perSecond;
      await this.#publish().catch((error) => this.tell(`the victims' publisher: ${error.message}`));
      await pause(Math.max(0, due - Date.now()));
    }
  }

  #expect(victims, road, text) {
    const mark = this.clock.mark();
    for (const victim of victims) victim.expect(road, text, mark);
  }

  async #publish() {
    const { random, list } = this;
    const size = random.of([1, 10, 100, 600, 3000, 20_000]);
    const data = () => `{"n":${this.sent++},"x":"${noise(size)}"}`;
    const kinds = { v: 5, w: 1, batch: 1, pattern: 1, user: 1, socket: 1 };
    const kind = random.of(Object.entries(kinds).flatMap(([name, n]) => Array(n).fill(name)));
    const post = async (path, form) => {
      const reply = await this.site.call('POST', path, { form });
      if (reply.status !== 200) throw new Error(`${path}: ${reply.status} ${reply.text}`);
    };
    const one = random.of(list);
    const text = data();
    const onChannel = (channel, value) => {
      const message = `{"channel":"${channel}","event":"e","data":${value}}`;
      this.#expect(
        list.filter((victim) => victim.hears[channel]),
        channel,
        message,
      );
    };
    if (kind === 'v' || kind === 'w') {
      onChannel(kind, text);
      await post(`/push/${APP}/${kind}/e`, { data: text });
    } else if (kind === 'batch') {
      const more = data();
      onChannel('v', text);
      onChannel('v', more);
      const batch = [text, more].map((value) => `{"channel":"v","event":"e","data":${value}}`);
      await post(`/push_batch/${APP}`, { batch_data: `[${batch}]` });
    } else if (kind === 'pattern') {
      onChannel('v', text);
      await post(`/push/${APP}`, { channel_pattern: '^[v]$', event: 'e', data: text });
    } else {
      this.#expect([one], 'direct', text);
      const path = kind === 'user' ? `user/${APP}/${one.user}` : `socket/${APP}/${one.peer.id}`;
      await post(`/push/${path}`, { data: text });
    }
  }

  get got() {
    return this.list.reduce((n, victim) => n + victim.got, 0);
  }

  /** The longest that a message took since the last call. */
  takeWorstMs() {
    const worst = Math.max(...this.list.map((victim) => victim.worstMs ?? 0));
    for (const victim of this.list) victim.worstMs = 0;
    return worst;
  }

  /** Publishing is over: all must have come. */
  async leave() {
    await until(() => this.list.every((victim) => !victim.lacks), 'all messages', 20_000).catch(
      () => {},
    );
    for (const victim of this.list) {
      if (victim.lacks) this.tell(`victim ${victim.number} lacks ${victim.lacks} messages`);
      victim.leaving = true;
      await victim.peer.leave('close').catch((error) => this.tell(error.message));
    }
    this.clock.stop();
  }
}

export const victimsApp = APP;
