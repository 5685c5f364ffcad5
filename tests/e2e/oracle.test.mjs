// A cluster under random use and random faults, compared with a plain model (support/model.mjs).
// SEED=n takes the same road again as far as timing allows, ORACLE_STEPS=n sets its length.
import assert from 'node:assert/strict';
import { clusterTest } from './support/cluster.mjs';
import { request } from './support/http.mjs';
import { Listener, Model, permits } from './support/model.mjs';
import { Random } from './support/random.mjs';
import { pause, until, within } from './support/wait.mjs';

const STEPS = Number(process.env.ORACLE_STEPS ?? 600);
const APPS = ['one', 'two'];
const USERS = ['', 'ann', 'bob', 'cyd', 'x.y *>'];
const CHANNELS = ['a', 'b', 'c.d', 'e*f', 'room-1', 'room-2', 'room-3', 'über', 'x/y', 'sp ace'];
const GRANTS = [['*'], ['a', 'b', 'room-*'], ['room-*', 'über', 'x/y'], ['a', 'c.d', 'sp ace']];
const PEERS = 16;
const PRESENCE_MS = 1000 * Number(process.env.ORACLE_SCALE ?? 2);
const DELAYS = [0, 0, 3, 15];

/** A socket with its model. */
class Peer {
  static async join(world, random) {
    const peer = new Peer();
    const slave = random.of(world.slaves);
    const identity = { app: random.of(APPS), user: random.of(USERS), grants: random.of(GRANTS) };
    Object.assign(peer, { world, slave, waiting: null, notified: [] });
    peer.listener = new Listener(world.model, identity);
    // Grants change for live sockets alone, so nobody joins while they do.
    await world.alone(peer.lock, async () => {
      const { app, user, grants } = identity;
      peer.client = await world.cluster.login({ app, user, channels: grants }, slave);
      peer.client.closing.then(() => peer.#closed());
      // From its handshake on it hears what is for its user.
      peer.listener.isDeaf = world.deaf.has(slave);
      world.model.add(peer.listener);
      peer.reading = peer.#read();
      peer.isBusy = true;
      world.peers.add(peer);
      await peer.#command('gusher.querychannel', null);
      peer.isBusy = false;
    }).catch((error) => {
      if (!slave.isGone) throw error;
    });
    return peer;
  }

  get lock() {
    return `${this.listener.app} ${this.listener.user}`;
  }

  #closed() {
    if (this.isLeaving || this.world.isOver) return;
    this.world.fail(new Error(`the socket of ${this.listener.name} was closed`));
  }

  async #read() {
    try {
      for (;;) this.#take(await this.client.next().catch(() => null));
    } catch (error) {
      if (error !== this.end) this.world.fail(error);
    }
  }

  end = new Error('the socket is closed');

  #take(text) {
    if (text === null) {
      if (this.client.ws.readyState === 1) return; // nothing came for a while
      this.waiting?.reject(this.end);
      throw this.end;
    }
    const message = JSON.parse(text);
    if (message.event === 'gusher.addchannel' || message.event === 'gusher.reloadchannel') {
      this.#regrant(message);
    } else if (message.socket_id) {
      // At once: what comes behind the reply must meet the model as the reply leaves it.
      this.id = message.socket_id;
      this.waiting.apply(message.event);
      this.waiting.resolve();
    } else if (message.settle) {
      this.settled?.(message.settle);
    } else {
      this.listener.hear(message.data?.id ?? message.id, message.channel);
    }
  }

  #regrant({ event, data }) {
    const { listener } = this;
    if (event === 'gusher.addchannel') {
      if (!listener.grants.includes(data.channel)) listener.grants.push(data.channel);
    } else {
      listener.grants = data.channels;
      for (const [name, state] of listener.channels)
        if (state !== 'joining' && !permits(listener.grants, name)) listener.off(name);
    }
    this.regranted?.();
  }

  /** Sends a command; `apply(event)` gets the event of the reply. */
  async #command(event, data, apply = () => {}) {
    const replied = new Promise((resolve, reject) => (this.waiting = { apply, resolve, reject }));
    this.client.send({ event, data });
    await within(replied, `a reply to ${event} for ${this.listener.name}`);
  }

  async subscribe(names) {
    const { listener } = this;
    const before = [...listener.grants];
    const isRight = (grants) => names.every((name) => permits(grants, name));
    const apply = (event) => {
      const isDone = event.endsWith('_succeeded');
      if (isRight(before) === isRight(listener.grants) && !this.isRegranting)
        assert.equal(isDone, isRight(before), `${event} ${names} by ${before}`);
      for (const name of names) {
        if (isDone) listener.channels.set(name, 'on');
        else if (listener.channels.get(name) === 'joining') listener.channels.delete(name);
      }
    };
    for (const name of names)
      if (!listener.channels.has(name)) listener.channels.set(name, 'joining');
    if (names.length === 1) await this.#command('gusher.subscribe', { channel: names[0] }, apply);
    else await this.#command('gusher.multi_subscribe', { multi_channel: names }, apply);
  }

  async unsubscribe(name) {
    this.listener.leaving(name);
    await this.#command('gusher.unsubscribe', { channel: name }, (event) => {
      // Not permitted any more: the reload has ended it, or is about to.
      if (event === 'gusher.unsubscribe_succeeded') this.listener.off(name);
      else assert.ok(this.isRegranting || !permits(this.listener.grants, name), `${event} ${name}`);
    });
  }

  /** Hears all that `master` has pushed so far: a push to the socket travels behind it. */
  async settle(master) {
    const token = `${master.name} ${this.world.nSettled++}`;
    const came = new Promise((resolve) => {
      this.settled = (settle) => settle === token && resolve();
    });
    const isUnder = (message) => message.by === master.name && message.isAnswered;
    const under = new Set([...this.listener.pending].filter(isUnder));
    const data = JSON.stringify({ settle: token });
    await master.post(`/push/socket/${this.listener.app}/${this.id}`, { data });
    await within(came, `what was pushed before ${token} to ${this.listener.name}`);
    for (const message of under)
      assert.ok(!this.listener.pending.has(message), `lost: ${message.id} at ${this.listener.name}`);
  }

  /** Ends it: 'close' in order, 'terminate' without a word, 'killed' with its slave. */
  async leave(how) {
    this.isLeaving = true;
    this.world.peers.delete(this);
    this.world.model.remove(this.listener);
    this.regranted?.();
    if (how !== 'killed') await this.client[how]();
    await this.reading;
  }
}

class World {
  constructor(cluster, random) {
    Object.assign(this, { cluster, random, model: new Model(), peers: new Set() });
    this.deaf = new Set();
    this.locks = new Map();
    this.nSettled = 0;
    this.steps = 0;
    this.failed = new Promise((_, reject) => (this.fail = reject));
    this.failed.catch(() => {});
    this.nameMasters();
  }

  get slaves() {
    return this.cluster.slaves;
  }

  nameMasters() {
    for (const master of this.cluster.masters) master.name ??= `m${(this.nMasters = (this.nMasters ?? 0) + 1)}`;
  }

  /** One at a time for each `lock`. */
  async alone(lock, body) {
    const before = this.locks.get(lock) ?? Promise.resolve();
    const mine = before.then(body);
    this.locks.set(lock, mine.catch(() => {}));
    return mine;
  }

  // ---- pushes

  async #push(master, messages, path, form) {
    try {
      const reply = await master.call('POST', path, { form });
      if (reply.status === 200) {
        for (const message of messages) message.isAnswered = true;
        return;
      }
      assert.equal(reply.status, 503, `${path}: ${reply.status} ${reply.text}`);
      assert.ok(this.model.isBusDown || this.faulty, `${path} was refused: ${reply.text}`);
    } catch (error) {
      if (!master.isGone) throw error;
    }
    for (const message of messages) this.model.failed(message);
  }

  async pushSomething(master, random) {
    const { model } = this;
    const app = random.of(APPS);
    const push = (to) => Object.assign(model.push(master.name, app, to), { by: master.name });
    const json = (message) => JSON.stringify({ id: message.id });
    const kinds = {
      channel: () => {
        const channel = random.of(CHANNELS);
        const m = push({ channel });
        return this.#push(master, [m], `/push/${app}/${encodeURIComponent(channel)}/e`, { data: json(m) });
      },
      batch: () => {
        const list = Array.from({ length: 1 + random.below(5) }, () => push({ channel: random.of(CHANNELS) }));
        const batch = list.map((m) => ({ channel: m.to.channel, event: 'e', data: { id: m.id } }));
        return this.#push(master, list, `/push_batch/${app}`, { batch_data: JSON.stringify(batch) });
      },
      user: () => {
        const user = random.of(USERS.slice(1));
        const m = push({ user });
        return this.#push(master, [m], `/push/user/${app}/${encodeURIComponent(user)}`, { data: json(m) });
      },
      socket: () => {
        const peers = [...this.peers].filter((peer) => peer.id);
        if (!peers.length) return null;
        const peer = random.of(peers);
        // By another app's key it is nobody's.
        const key = random.below(4) ? peer.listener.app : APPS[1 - APPS.indexOf(peer.listener.app)];
        const m = model.push(master.name, key, { socket: peer.listener });
        m.by = master.name;
        return this.#push(master, [m], `/push/socket/${key}/${peer.id}`, { data: json(m) });
      },
    };
    await kinds[random.of(Object.keys(kinds))]();
  }

  // ---- grants

  async regrant(random) {
    const app = random.of(APPS);
    const user = random.of(USERS.slice(1));
    await this.alone(`${app} ${user}`, async () => {
      const peers = [...this.peers].filter((p) => p.listener.app === app && p.listener.user === user);
      const target = `channel/user/${app}/${encodeURIComponent(user)}`;
      const isReload = random.below(2) === 0;
      const grants = random.of(GRANTS);
      if (isReload)
        for (const { listener } of peers)
          for (const name of listener.channels.keys())
            if (!permits(grants, name)) listener.leaving(name);
      const told = peers.map((peer) => {
        peer.isRegranting = true;
        return new Promise((resolve) => (peer.regranted = resolve));
      });
      const data = isReload ? JSON.stringify(grants) : random.of(CHANNELS);
      const master = random.of(this.cluster.masters);
      const reply = await master
        .call('POST', isReload ? `/reload/${target}` : `/add/${target}`, { form: { data } })
        .catch((error) => {
          if (!master.isGone) throw error;
        });
      // Under a fault it may have gone nowhere: then the old grants stand, and nobody is told.
      if (reply?.status === 200 && !this.faulty)
        await within(Promise.all(told), `${user} of ${app} to be told of new grants`);
      for (const peer of peers) peer.isRegranting = false;
    });
  }

  // ---- what a step is

  async peerStep(random) {
    const [...peers] = this.peers;
    const peer = peers.length >= PEERS ? random.of(peers) : null;
    if (!peer) {
      await Peer.join(this, random);
      return;
    }
    if (peer.isBusy) return;
    peer.isBusy = true;
    const names = (n) => [...new Set(Array.from({ length: n }, () => random.of(CHANNELS)))];
    try {
      const dice = random.below(20);
      if (dice === 0) await peer.leave('close');
      else if (dice === 1) await peer.leave('terminate');
      else if (dice < 5 && peer.listener.channels.size)
        await peer.unsubscribe(random.of([...peer.listener.channels.keys()]));
      else if (dice < 7 && !this.faulty) await peer.settle(random.of(this.cluster.masters));
      else await peer.subscribe(names(dice < 14 ? 1 : 2 + random.below(4)));
    } catch (error) {
      if (!peer.isLeaving) throw error;
    }
    peer.isBusy = false;
  }

  /** Many steps side by side. */
  async phase(steps, during) {
    let left = steps;
    const lane = async (i, step) => {
      const random = this.random.fork(this.steps + i);
      while (left-- > 0 && !this.isOver) await step(random);
    };
    const pushers = this.cluster.masters.map((master, i) =>
      lane(100 + i, (random) => master.isGone || this.pushSomething(master, random)),
    );
    const others = [0, 1, 2, 3, 4].map((i) => lane(i, (random) => this.peerStep(random)));
    const grants = lane(50, (random) => (random.below(6) ? this.peerStep(random) : this.regrant(random)));
    const all = [...pushers, ...others, grants, during?.()];
    await Promise.race([Promise.all(all), this.failed]);
    this.steps += steps;
  }

  // ---- faults: each ends with all well again

  setDelays(random) {
    for (const member of this.cluster.members)
      for (const proxy of member.proxies) proxy.delay(random.of(DELAYS));
  }

  async ready() {
    for (const member of this.cluster.members) {
      const isReady = async () => {
        const reply = await request(member.slave ?? member.master, 'GET', '/readyz');
        return reply.status === 200;
      };
      await until(isReady, 'every member is ready');
    }
  }

  faults = {
    'a slave is killed': async (random) => {
      const slave = random.of(this.slaves);
      // Nobody joins it any more, then its sockets go with it.
      slave.isGone = true;
      this.slaves.splice(this.slaves.indexOf(slave), 1);
      const lost = [...this.peers].filter((peer) => peer.slave === slave);
      const gone = lost.map((peer) => peer.leave('killed'));
      await this.cluster.killMember(slave);
      await Promise.all(gone);
      await this.cluster.addSlave();
      this.setDelays(random);
    },
    'a master is killed': async (random) => {
      const master = random.of(this.cluster.masters);
      master.isGone = true;
      await this.cluster.killMember(master);
      await this.cluster.addMaster();
      this.nameMasters();
    },
    'a slave is frozen': async (random) => {
      const slave = random.of(this.slaves);
      await slave.process.pause();
      await pause(300 + random.below(1200));
      slave.process.resume();
    },
    'a slave is cut off': async (random) => {
      const slave = random.of(this.slaves);
      this.deaf.add(slave);
      for (const peer of this.peers) {
        if (peer.slave !== slave) continue;
        peer.listener.isDeaf = true;
        peer.listener.excuseAll();
      }
      for (const proxy of slave.proxies) proxy.cut();
      await until(
        async () => (await request(slave.slave, 'GET', '/readyz')).status === 503,
        'the slave knows that it is cut off',
      );
      for (const proxy of slave.proxies) proxy.heal();
      await this.ready();
      this.deaf.delete(slave);
      for (const peer of this.peers) if (peer.slave === slave) peer.listener.isDeaf = false;
    },
    'NATS is restarted': async () => {
      this.model.busDown();
      await Promise.all(this.cluster.nats.servers.map((server) => server.kill()));
      await Promise.all(this.cluster.nats.servers.map((server) => server.launch()));
      await this.cluster.nats.routed();
      await this.ready();
      this.model.busUp();
    },
  };

  // ---- the reckoning

  async presence(app) {
    const master = this.random.of(this.cluster.masters);
    const channels = {};
    for (const name of await master.names(`/${app}/channels`))
      channels[name] = await master.names(`/${app}/online/bychannel/${encodeURIComponent(name)}`);
    const online = await master.names(`/${app}/online`);
    assert.deepEqual(await master.ask(`/${app}/online/count`), { count: online.length });
    return { online, channels };
  }

  async reckon() {
    for (const peer of this.peers)
      for (const master of this.cluster.masters) await peer.settle(master);
    for (const peer of this.peers) {
      const lost = [...peer.listener.pending].map((message) => message.id);
      assert.deepEqual(lost, [], `lost at ${peer.listener.name}`);
    }
    const end = Date.now() + PRESENCE_MS;
    for (const app of APPS) {
      const expected = this.model.presence(app);
      for (;;) {
        try {
          assert.deepEqual(await this.presence(app), expected, app);
          break;
        } catch (error) {
          if (Date.now() > end) throw error;
        }
      }
    }
  }

  /** When all are gone NATS knows of no channel and no user any more. */
  async leaveNothing() {
    await Promise.all([...this.peers].map((peer) => peer.leave('close')));
    const left = async () => {
      const lists = await Promise.all(this.cluster.nats.servers.map((s) => s.connections()));
      const subjects = lists.flat().flatMap((c) => c.subscriptions_list ?? []);
      return subjects.filter((subject) => /^gusher\.[cu]\./.test(subject));
    };
    let last = [];
    await until(async () => !(last = await left()).length, 'no subscription is left').catch(() =>
      assert.deepEqual(last, [], 'subscriptions left behind'),
    );
  }
}

async function play(cluster, t) {
  const random = Random.of(t);
  const world = new World(cluster, random);
  const faults = Object.keys(world.faults);
  try {
    while (world.steps < STEPS) {
      world.setDelays(random);
      const name = random.below(2) ? random.of(faults) : null;
      world.faulty = name !== null;
      await world.phase(100, name && (() => world.faults[name](random.fork(world.steps))));
      world.faulty = false;
      await world.ready();
      await Promise.race([world.reckon(), world.failed]).catch((error) => {
        error.message = `after step ${world.steps}${name ? `, ${name}` : ''}: ${error.message}`;
        throw error;
      });
    }
    await world.leaveNothing();
  } finally {
    world.isOver = true;
  }
}

const small = { slaves: 3, masters: 2, proxied: true };
clusterTest('a cluster at one NATS server agrees with the model', small, play);
clusterTest('a cluster at three NATS servers agrees with the model', { ...small, nats: 3 }, play);
