// Coming and going at random, compared with a plain model: presence is exact, no message is lost,
// none comes twice, and each channel keeps its order. SEED=n repeats a run, CHURN=n scales it.
import assert from 'node:assert/strict';
import { serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { Random } from './support/random.mjs';
import { inParallel, until } from './support/wait.mjs';

const CHURN = Number(process.env.CHURN ?? 2000);

async function assertEmpty(server, apps) {
  for (const app of apps) {
    await until(
      async () => !(await server.ask(`/${app}/online`)).length,
      `nobody is online in ${app}`,
    );
    assert.deepEqual(await server.ask(`/${app}/channels`), [], app);
    assert.deepEqual(await server.ask(`/${app}/channels/count`), { count: 0 });
    assert.deepEqual(await server.ask(`/${app}/online/count`), { count: 0 });
  }
}

serverTest(`${CHURN} connects and disconnects leave nothing behind`, {}, async (server, t) => {
  const seed = Random.of(t);
  const apps = ['one', 'two'];
  const jwts = apps.map((app) => keys.sign(keys.claims({ app, user: `user of ${app}` })));
  await inParallel(CHURN, 100, async (i) => {
    const random = seed.fork(i);
    const which = random.below(2);
    const channels = [`c${random.below(50)}`, `own-${i}`].slice(0, random.below(3));
    const client = await server.connect(server.url(apps[which], jwts[which]));
    if (channels.length) {
      await client.command('gusher.multi_subscribe', { multi_channel: channels });
    }
    if (channels.length === 2) {
      await server.push(apps[which], `own-${i}`, 'e', String(i));
      // Messages of the shared channel do not exist: the next one must be our own.
      await client.expect(`{"channel":"own-${i}","event":"e","data":${i}}`);
    }
    await (random.below(2) ? client.close() : client.terminate());
  });
  await assertEmpty(server, apps);
});

// ---- the model

const APPS = ['one', 'two'];
const USERS = ['', 'ann', 'bob', 'cyd'];
const CHANNELS = ['a', 'b', 'room-1', 'room-2', 'room-3', 'über', 'x/y'];
const PEERS = 24;
const PUSHERS = 4;
const PUSHES = 12; // of each pusher in a round

/** One socket, what it should be subscribed to, and what it heard. */
class Peer {
  static async join(server, app, user) {
    const peer = Object.assign(new Peer(), { server, app, user, subscribed: new Set(), heard: [] });
    peer.client = await server.login({ app, user });
    await peer.client.socketId();
    return peer;
  }

  /** Reads on until `isIt(message)`; what comes before it are pushes. */
  async #readUntil(isIt, what) {
    for (;;) {
      const message = await this.client.nextJson(what);
      if (isIt(message)) return message;
      this.heard.push(message);
    }
  }

  async #command(event, data) {
    this.client.send({ event, data });
    const reply = await this.#readUntil((m) => m.socket_id === this.client.id, `reply to ${event}`);
    assert.equal(reply.event, `${event}_succeeded`);
  }

  async subscribe(...channels) {
    if (channels.length === 1) await this.#command('gusher.subscribe', { channel: channels[0] });
    else await this.#command('gusher.multi_subscribe', { multi_channel: channels });
    for (const channel of channels) this.subscribed.add(channel);
  }

  async unsubscribe(channel) {
    await this.#command('gusher.unsubscribe', { channel });
    this.subscribed.delete(channel);
  }

  /** Reads all that is on its way: a push to the socket travels behind everything else. */
  async settle() {
    await this.server.post(`/push/socket/${this.app}/${this.client.id}`, { data: '"settled"' });
    await this.#readUntil((message) => message === 'settled', 'the end of the round');
  }
}

/** Of one round: what was pushed, and what each peer must or may have heard of it. */
class Round {
  constructor(server, random, peers) {
    Object.assign(this, { server, random, peers });
    this.must = new Map(peers.map((peer) => [peer, new Set()]));
    this.may = new Map(peers.map((peer) => [peer, new Set()]));
  }

  /** Notes one message. Whoever subscribes while it is on its way may hear it. */
  #note(data, app, channel) {
    const key = `${JSON.stringify(data)} ${channel}`;
    for (const peer of this.peers) {
      if (peer.app !== app) continue;
      this.may.get(peer).add(key);
      if (peer.subscribed.has(channel)) this.must.get(peer).add(key);
    }
  }

  #noteDirect(data, peers) {
    const key = `${JSON.stringify(data)} direct`;
    for (const peer of peers) for (const set of [this.must, this.may]) set.get(peer).add(key);
  }

  async #pushOnce(random, by, number) {
    const { server } = this;
    const app = random.of(APPS);
    const data = (part = 0) => ({ by, number, part });
    const text = JSON.stringify(data());
    const push = {
      channel: () => {
        const channel = random.of(CHANNELS);
        this.#note(data(), app, channel);
        return server.push(app, channel, 'e', text);
      },
      batch: () => {
        const channels = [0, 1, 2].map(() => random.of(CHANNELS));
        const batch = channels.map((channel, i) => ({ channel, event: 'e', data: data(i) }));
        channels.forEach((channel, i) => this.#note(data(i), app, channel));
        return server.post(`/push_batch/${app}`, { batch_data: JSON.stringify(batch) });
      },
      pattern: () => {
        for (const channel of CHANNELS.filter((name) => /^room-[12]$/.test(name)))
          this.#note(data(), app, channel);
        const form = { channel_pattern: '^room-[12]$', event: 'e', data: text };
        return server.post(`/push/${app}`, form);
      },
      user: () => {
        const user = random.of(USERS.slice(1));
        this.#noteDirect(
          data(),
          this.peers.filter((p) => p.app === app && p.user === user),
        );
        return server.post(`/push/user/${app}/${user}`, { data: text });
      },
      socket: () => {
        const peer = random.of(this.peers);
        this.#noteDirect(data(), [peer]);
        return server.post(`/push/socket/${peer.app}/${peer.client.id}`, { data: text });
      },
    };
    await push[random.of(Object.keys(push))]();
  }

  /** All pushers at once, and beside them peers that subscribe to something more. */
  async run() {
    const pushers = Array.from({ length: PUSHERS }, async (_, by) => {
      const random = this.random.fork(by);
      for (let number = 0; number < PUSHES; number++) await this.#pushOnce(random, by, number);
    });
    const late = this.peers
      .filter(() => this.random.below(4) === 0)
      .map((peer) => peer.subscribe(this.random.of(CHANNELS)));
    await Promise.all([...pushers, ...late]);
    await Promise.all(this.peers.map((peer) => peer.settle()));
    for (const peer of this.peers) this.#judge(peer);
  }

  #judge(peer) {
    const heard = new Set();
    const last = new Map();
    for (const message of peer.heard.splice(0)) {
      const { channel = 'direct', data = message } = message;
      const key = `${JSON.stringify(data)} ${channel}`;
      assert.ok(!heard.has(key), `twice: ${key}`);
      assert.ok(this.may.get(peer).has(key), `not for this socket: ${key}`);
      heard.add(key);
      // Each pusher waits for its answers, so its messages of a channel have an order.
      const road = `${data.by} ${channel}`;
      const place = data.number * 10 + data.part;
      assert.ok(place > (last.get(road) ?? -1), `out of order: ${key}`);
      last.set(road, place);
    }
    for (const key of this.must.get(peer)) assert.ok(heard.has(key), `lost: ${key}`);
  }
}

/** What the model says of an app: { online, channels: { name: users } }. */
function expectedPresence(peers, app) {
  const here = peers.filter((peer) => peer.app === app);
  const users = (list) => [...new Set(list.map((p) => p.user).filter(Boolean))].sort();
  const live = CHANNELS.filter((name) => here.some((peer) => peer.subscribed.has(name))).sort();
  const entries = live.map((name) => [name, users(here.filter((p) => p.subscribed.has(name)))]);
  return { online: users(here), channels: Object.fromEntries(entries) };
}

async function presence(server, app) {
  const channels = {};
  for (const name of await server.names(`/${app}/channels`))
    channels[name] = await server.names(`/${app}/online/bychannel/${encodeURIComponent(name)}`);
  return { online: await server.names(`/${app}/online`), channels };
}

/** Some leave, some come, all change their subscriptions. True: somebody's connection was torn. */
async function shuffle(server, all, peers) {
  const leaving = peers.filter(() => all.below(5) === 0);
  const torn = leaving.filter(() => all.below(3) === 0);
  for (const peer of leaving) peers.splice(peers.indexOf(peer), 1);
  await Promise.all(
    leaving.map((peer) => (torn.includes(peer) ? peer.client.terminate() : peer.client.close())),
  );
  const newcomers = Array.from({ length: PEERS - peers.length }, () =>
    Peer.join(server, all.of(APPS), all.of(USERS)),
  );
  peers.push(...(await Promise.all(newcomers)));
  await Promise.all(
    peers.map(async (peer, place) => {
      const random = all.fork(place);
      for (let i = random.below(4); i > 0; i--) {
        if (peer.subscribed.size && random.below(3) === 0)
          await peer.unsubscribe(random.of([...peer.subscribed]));
        else
          await peer.subscribe(
            ...Array.from({ length: 1 + random.below(3) }, () => random.of(CHANNELS)),
          );
      }
    }),
  );
  return torn.length > 0;
}

serverTest('random rounds agree with the model', {}, async (server, t) => {
  const random = Random.of(t);
  const peers = [];
  for (let round = 0; round < Math.max(1, CHURN / 100); round++) {
    const torn = await shuffle(server, random, peers);
    await new Round(server, random, peers).run();
    for (const app of APPS) {
      const expected = expectedPresence(peers, app);
      const agrees = async () => {
        assert.deepEqual(await presence(server, app), expected, `app ${app}, round ${round}`);
        return true;
      };
      // The server hears of a torn connection a moment after us; all else is exact at once.
      if (torn)
        await until(() => agrees().catch(() => false), 'presence without the torn').catch(agrees);
      else await agrees();
    }
  }
  await Promise.all(peers.map(({ client }) => client.close()));
  await assertEmpty(server, APPS);
});
