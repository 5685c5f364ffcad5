// A cluster: slaves and masters, each a process of its own, and the NATS servers between them.
import test from 'node:test';
import { Server } from './gusher.mjs';
import * as keys from './keys.mjs';
import { Nats } from './nats.mjs';
import { Proxy } from './proxy.mjs';

export const ticketSecret = 'a secret of the cluster under test';

const ROLES = ['slave', 'master'];

export class Cluster {
  /**
   * Starts the bus, then all members at once, and waits until they serve.
   * - nats: how many servers, or the options of Nats.start
   * - slaves, masters: how many of each
   * - flags: for all of them; slaveFlags, masterFlags: for one role ('nats' and 'ticket-secret' are
   *   given, undefined leaves one out)
   * - env: of all members
   * - proxied: each member reaches each NATS server through a proxy of its own, in
   *   member.proxies; the servers do not tell of each other then
   */
  static async start({ nats = 1, slaves = 1, masters = 1, ...options } = {}) {
    const cluster = new Cluster(options);
    try {
      const bus = typeof nats === 'number' ? { servers: nats } : nats;
      cluster.nats = await Nats.start({ advertise: !options.proxied, ...bus });
      const starting = [
        ...Array.from({ length: slaves }, () => cluster.addSlave()),
        ...Array.from({ length: masters }, () => cluster.addMaster()),
      ];
      // All have ended their start before one failure tears the others down.
      for (const { reason } of await Promise.allSettled(starting)) if (reason) throw reason;
    } catch (error) {
      cluster.kill();
      throw error;
    }
    return cluster;
  }

  constructor({ flags = {}, slaveFlags = {}, masterFlags = {}, env = {}, proxied = false }) {
    this.flags = {
      slave: { 'ticket-secret': ticketSecret, ...flags, ...slaveFlags },
      master: { ...flags, ...masterFlags },
    };
    this.env = env;
    this.proxied = proxied;
    this.slaves = [];
    this.masters = [];
    this.proxies = new Set();
  }

  get members() {
    return [...this.slaves, ...this.masters];
  }

  // ---- members come and go

  /** One more slave, with further flags; gives its Server. */
  addSlave(flags) {
    return this.#add('slave', flags);
  }

  addMaster(flags) {
    return this.#add('master', flags);
  }

  async #add(role, flags) {
    const proxies = this.proxied
      ? await Promise.all(this.nats.servers.map((server) => Proxy.start(server.port)))
      : [];
    for (const proxy of proxies) this.proxies.add(proxy);
    const nats = proxies.length ? proxies.map((proxy) => proxy.url()).join(',') : this.nats.urls;
    const member = await Server.start(
      { nats, ...this.flags[role], ...flags },
      { role, env: this.env },
    );
    member.proxies = proxies;
    this[`${role}s`].push(member);
    return member;
  }

  #forget(member) {
    for (const role of ROLES) {
      const list = this[`${role}s`];
      if (list.includes(member)) list.splice(list.indexOf(member), 1);
    }
  }

  async #withoutProxies(member) {
    for (const proxy of member.proxies) this.proxies.delete(proxy);
    await Promise.all(member.proxies.map((proxy) => proxy.stop()));
  }

  /** Stops a member in order, asserts that its end was clean. */
  async stopMember(member) {
    this.#forget(member);
    await member.stop();
    await this.#withoutProxies(member);
  }

  /** The end of a member without a farewell. */
  async killMember(member) {
    this.#forget(member);
    member.kill();
    await member.process.exit();
    await this.#withoutProxies(member);
  }

  // ---- what clients and backends do

  /** The whole road of a page. The ticket may be of another slave (`authAt`) than the socket's. */
  async login(identity = {}, slave = this.slaves[0], { authAt = slave } = {}) {
    const ticket = await authAt.auth(keys.sign(keys.claims(identity)));
    return slave.connect(slave.url(identity.app ?? 'app', ticket));
  }

  push(app, channel, event, data, master = this.masters[0]) {
    return master.push(app, channel, event, data);
  }

  post(path, params, master = this.masters[0]) {
    return master.post(path, params);
  }

  ask(path, master = this.masters[0]) {
    return master.ask(path);
  }

  names(path, master = this.masters[0]) {
    return master.names(path);
  }

  /**
   * Proves that nothing else is under way to `client` of what `master` has pushed: a push to its
   * socket by the same master travels behind all that. It says nothing of other masters.
   */
  async assertSilent(client, app = 'app', master = this.masters[0]) {
    await master.assertSilent(client, app);
  }

  // ---- the end

  /** Stops all members as an operator does, asserts that their ends were clean; then the bus. */
  async stop() {
    const { members } = this;
    const ends = await Promise.allSettled(members.map((member) => this.stopMember(member)));
    for (const { reason } of ends) if (reason) throw reason;
    await this.nats.stop();
  }

  /** For what goes wrong: waits for nothing. */
  kill() {
    for (const member of this.members) member.kill();
    for (const proxy of this.proxies) proxy.stop();
    this.nats?.killAll();
  }
}

/** Runs `body` with a cluster of its own, which must end cleanly when it is over. */
export async function withCluster(options, body) {
  const cluster = await Cluster.start(options);
  try {
    await body(cluster);
    await cluster.stop();
  } finally {
    cluster.kill();
  }
}

/**
 * A test with a cluster of its own. `takesLong`: it only waits, so that once, with the program that
 * users run, is enough.
 */
export function clusterTest(name, { takesLong = false, ...options }, body) {
  const skip = takesLong && process.env.SANITIZED ? 'takes long' : false;
  test(name, { skip }, (t) => withCluster(options, (cluster) => body(cluster, t)));
}
