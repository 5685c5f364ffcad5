// What goes on in a soak, each thing at a steady rate: sessions of clients, publishers of all
// kinds, questions, permissions, kicks and bans, readers that stall.
import { pause } from '../e2e/support/wait.mjs';
import { noise } from './site.mjs';

export const apps = ['one', 'two', 'three', 'kicked', 'banned', 'slow', 'hostile'];

/** Ends of a session that are somebody's doing, or that it has waited for. */
const kicked = /^closed: (400[23]|1008 idle: no subscription)/;

/** Runs `act(random, n)` `perSecond` times a second, whatever happens to those before; but no more
 *  than `most` at a time: a server that is slow gets less, not an ever longer queue. */
export async function atRate(perSecond, most, random, signal, act) {
  const running = new Set();
  const began = Date.now();
  for (let n = 0, skipped = 0; !signal.aborted; ) {
    const due = Math.floor(((Date.now() - began) / 1000) * perSecond) - skipped;
    if (n < due && running.size >= most) skipped += due - n;
    else if (n < due) {
      const one = act(random.fork(n), n).finally(() => running.delete(one));
      running.add(one);
      n++;
      continue;
    }
    await pause(Math.min(100, 1000 / perSecond));
  }
  await Promise.allSettled(running);
}

export class Crowd {
  constructor(site, tell, signal) {
    Object.assign(this, { site, tell, signal });
    this.counts = { sessions: 0, heard: 0, posts: 0, refused: 0, kicked: 0, slow: 0 };
    this.live = new Set(); // of sessions: { peer, app, user }
  }

  /** Something that ends early when the soak does. */
  #stay(ms) {
    const { signal } = this;
    return new Promise((resolve) => {
      const timer = setTimeout(done, signal.aborted ? 0 : ms);
      function done() {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
  }

  async #post(path, params, random, allowed = [200]) {
    const encoding = random.of(['form', 'form', 'json', 'multipart']);
    const reply = await this.site.call('POST', path, { [encoding]: params });
    if (!allowed.includes(reply.status))
      throw new Error(`${path}: ${reply.status} ${reply.text.slice(0, 100)}`);
    this.counts.posts++;
    return reply;
  }

  // ---- clients

  #identity(random, n) {
    const app = random.of(['one', 'one', 'two', 'three', 'kicked']);
    const user = random.of(['', `u${random.below(50)}`, `u${random.below(50)}`, `fresh-${n}`]);
    return { app, user, channels: random.of([['*'], ['c*', 'own-*', 'room-*']]) };
  }

  async session(random, n) {
    const identity = this.#identity(random, n);
    // One in fifty answers no pings, and stays until the server has had enough of it.
    const options = { deflate: random.below(2) > 0, autoPong: random.below(50) > 0 };
    const peer = await this.site.open(random, identity, { ...options, claims: { jti: `j-${n}` } });
    const one = { peer, ...identity };
    this.live.add(one);
    this.counts.sessions++;
    try {
      for (let i = random.below(6); i > 0; i--) {
        await this.#doSomething(one, random, n);
        await this.#stay(random.below(800));
      }
      if (!options.autoPong) await Promise.race([this.#stay(50_000), peer.closed]);
      if (!peer.end) await peer.leave(random.of(['close', 'fin', 'reset']));
    } catch (error) {
      if (!kicked.test(error.message)) throw error;
    } finally {
      this.live.delete(one);
      this.counts.heard += peer.heard;
      if (peer.end?.code >= 4002) this.counts.kicked++;
      peer.ws.terminate();
    }
  }

  async #doSomething({ peer, user }, random, n) {
    // Whose permissions come and go may be refused.
    const mayFail = user.startsWith('u');
    const names = () => [`c${random.below(50)}`, `own-${n}`, `room-${random.below(10)}`];
    const deeds = {
      subscribe: () => peer.command('subscribe', { channel: random.of(names()) }),
      multi: () => peer.command('multi_subscribe', { multi_channel: names() }),
      unsubscribe: () => peer.command('unsubscribe', { channel: random.of(names()) }),
      query: () => peer.command('querychannel', null),
      ping: () => peer.command('ping', { text: 'x'.repeat(random.below(700)) }),
      remote: () =>
        peer
          .command('remote', { remote: 'work', uid: `${n}`, payload: [n] }, { debug: true })
          .then(() => null),
    };
    const name = random.of(['subscribe', 'subscribe', 'multi', ...Object.keys(deeds)]);
    if (peer.end) throw new Error(`closed: ${peer.end.code} ${peer.end.reason}`);
    const reply = await deeds[name]();
    if (reply && !reply.event.endsWith('_succeeded') && !mayFail)
      throw new Error(`${name}: ${JSON.stringify(reply)}`);
  }

  /** Its permissions change with a new token, or do not because the token is none. */
  async refresher(random, n) {
    const identity = { app: 'two', user: `refresh-${n}`, channels: ['a*'] };
    const peer = await this.site.open(random, identity);
    try {
      await peer.command('multi_subscribe', { multi_channel: ['a1', 'a2'] });
      const token = this.site.jwt(random, { ...identity, channels: ['a1'] });
      const good = await peer.command('refresh', { token });
      if (good.event !== 'gusher.refresh_succeeded') throw new Error(JSON.stringify(good));
      // An EdDSA signature ends in "AAAA" by itself once in 65,536: then it would be no other one.
      const end = token.endsWith('AAAA') ? 'BBBB' : 'AAAA';
      const bad = await peer.command('refresh', { token: token.slice(0, -4) + end });
      if (bad.event !== 'gusher.refresh_error') throw new Error(JSON.stringify(bad));
    } finally {
      await peer.leave('fin');
    }
  }

  /** A reader that stalls: it is closed as too slow, or wakes up in time. */
  async slowReader(random, n) {
    const identity = { app: 'slow', user: `slow-${n}` };
    const peer = await this.site.open(random, identity, { deflate: random.below(3) === 0 });
    try {
      await peer.command('subscribe', { channel: 'big' });
      peer.ws.pause();
      await this.#stay(2000 + random.below(10_000));
      if (random.below(2)) peer.ws.resume();
      await this.#stay(1000);
    } finally {
      peer.ws.resume();
      if (!peer.end) await peer.leave('reset');
      if (peer.end?.code === 1008) this.counts.slow++;
    }
  }

  // ---- backends

  async publish(random, n) {
    const app = random.of(apps.slice(0, 4));
    const size = random.of([10, 100, 100, 1000, 5000]);
    const data = random.below(4) ? `{"n":${n},"x":"${noise(size)}"}` : `text ${n} of no JSON`;
    const one = random.of([...this.live, { app, user: 'nobody' }]);
    const channel = random.of([`c${random.below(50)}`, `c${random.below(50)}`, `nobody-${n}`]);
    const deeds = {
      channel: () => this.#post(`/push/${app}/${channel}/e`, { data }, random),
      pattern: () => {
        const pattern = random.of(['^room-[0-4]$', `^own-.*${n % 10}$`, 'c(1|2)+$', `never-${n}`]);
        return this.#post(`/push/${app}`, { channel_pattern: pattern, event: 'e', data }, random);
      },
      batch: () => {
        const batch = Array.from({ length: 1 + random.below(5) }, (_, i) => ({
          channel: `c${random.below(50)}`,
          event: 'e',
          data: { n, i },
        }));
        return this.#post(`/push_batch/${app}`, { batch_data: JSON.stringify(batch) }, random);
      },
      user: () => this.#post(`/push/user/${one.app}/${one.user || 'u1'}`, { data }, random),
      socket: () => this.#post(`/push/socket/${one.app}/${one.peer?.id ?? 'none'}`, { data }, random),
      wrong: () => this.#post(`/push/${app}`, { channel_pattern: '(', data }, random, [400]),
    };
    await deeds[random.of(['channel', 'channel', 'channel', ...Object.keys(deeds)])]();
  }

  async publishBig(random, n) {
    await this.#post('/push/slow/big/e', { data: `{"n":${n},"x":"${noise(60_000)}"}` }, random);
  }

  async ask(random) {
    const app = random.of(apps);
    const channel = random.of([`c${random.below(50)}`, 'big', 'nobody']);
    const path = random.of(['channels', 'online', `online/bychannel/${channel}`]);
    await this.site.ask(`/${app}/${path}${random.of(['', '/count'])}`);
  }

  async permissions(random, n) {
    const app = random.of(['one', 'two', 'three']);
    const user = `u${random.below(50)}`;
    if (random.below(2)) {
      const list = random.of([['*'], ['c*', 'own-*'], [], [`room-${random.below(10)}`, '*']]);
      const data = JSON.stringify(list);
      await this.#post(`/reload/channel/user/${app}/${user}`, { data }, random);
    } else {
      await this.#post(`/add/channel/user/${app}/${user}`, { data: `added-${n}` }, random);
    }
  }

  async kick(random, n) {
    const one = random.of([...this.live, { app: 'one', user: 'u1' }]);
    const reason = { reason: `kick ${n}` };
    const whom =
      n % 20 === 0
        ? 'app/kicked'
        : one.peer?.id && n % 2
          ? `socket/${one.app}/${one.peer.id}`
          : `user/${one.app}/${one.user || 'nobody'}`;
    await this.#post(`/kick/${whom}`, reason, random);
  }

  /** Somebody comes, is banned, is out and stays out; then it is lifted, or ends by itself. */
  async ban(random, n) {
    const identity = { app: 'banned', user: `b-${n}` };
    const claims = { jti: `ban-${n}` };
    const what = random.of([`user/banned/b-${n}`, `token/banned/ban-${n}`]);
    const peer = await this.site.open(random, identity, { claims });
    await this.#post(`/ban/${what}`, { for: 20 }, random);
    const { code } = await Promise.race([peer.closed, pause(20_000).then(() => ({}))]);
    peer.ws.terminate();
    if (code !== 4003) throw new Error(`a ban closed a socket with ${code}`);
    const again = await this.site.open(random, identity, { claims }).catch((error) => error);
    if (again.status !== 403) {
      again.ws?.terminate();
      throw new Error(`who is banned came in: ${again.status ?? again.message ?? 'open'}`);
    }
    this.counts.refused++;
    if (random.below(2)) await this.#post(`/unban/${what}`, {}, random);
    else await this.site.ask('/bans/banned');
  }

  /** A token that is no good opens nothing. */
  async impostor(random, n) {
    const identity = { app: 'one', user: `i-${n}` };
    const good = this.site.jwt(random, identity);
    const expired = this.site.jwt(random, identity, { exp: 1000 });
    const [head, payload, signature] = good.split('.');
    const other = Buffer.from(JSON.stringify({ gusher: { app_key: 'one', user_id: 'admin' } }));
    const jwt = random.of([
      expired,
      `${head}.${other.toString('base64url')}.${signature}`,
      `${head}.${payload}.`,
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`,
      noise(300),
    ]);
    const reply = await this.site.callSlave('POST', '/auth', { form: { jwt } });
    if (reply.status !== 401) throw new Error(`a token that is no good: ${reply.status}`);
    this.counts.refused++;
  }
}
