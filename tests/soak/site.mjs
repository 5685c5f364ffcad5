// What is soaked: `gusher all`, or a slave and a master with NATS between them; its keys, and its sink
// of remote commands.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Cluster } from '../e2e/support/cluster.mjs';
import { run, Server } from '../e2e/support/gusher.mjs';
import { request } from '../e2e/support/http.mjs';
import * as keys from '../e2e/support/keys.mjs';
import { until } from '../e2e/support/wait.mjs';
import { Peer } from './peer.mjs';

/** What no log may hold, whatever else it says. */
const report = /Sanitizer|runtime error:|Assertion|fatal|out of memory/i;

/** Takes remote commands: most of them, that is. It closes each connection, so that the server holds
 *  none when it has nothing to send. */
async function startSink() {
  const sink = http.createServer((message, reply) => {
    message.resume();
    message.on('end', () => {
      sink.taken++;
      reply.writeHead(sink.taken % 20 ? 200 : 400, { Connection: 'close' }).end();
    });
  });
  sink.taken = 0;
  await new Promise((resolve) => sink.listen(0, '127.0.0.1', resolve));
  return sink;
}

/** It gives up connections before the server does: a request must not meet the end of its own. */
const newAgent = () => new http.Agent({ keepAlive: true, maxSockets: 16, timeout: 1500 });

async function makeMasterKey(file) {
  const rights = ['publish', 'query', 'admin'].flatMap((right) => ['--right', right]);
  const { code, stdout } = await run(['key', '--name', 'soak', ...rights, '--keys-file', file]);
  const key = /gk_\S+/.exec(stdout)?.[0];
  if (code !== 0 || !key) throw new Error('gusher key made none');
  return key;
}

export class Site {
  /** `logFile(name)`: where the log of a process goes; `env`: for all of them. */
  static async start({ cluster, env, logFile }) {
    const site = new Site();
    site.logFile = logFile;
    site.signers = [{ alg: 'RS256' }, keys.pairOf('ES256', 'e'), keys.pairOf('EdDSA', 'd')];
    site.jwks = keys.writeFile('soak-jwks.json', '');
    site.#writeKeys();
    const masterKeys = keys.writeFile('soak-master-keys', '');
    site.key = await makeMasterKey(masterKeys);
    site.sink = await startSink();
    const slaveFlags = {
      'jwks-file': site.jwks,
      'bans-file': path.join(keys.folder, 'soak-bans-slave'),
      'remote-url': `http://127.0.0.1:${site.sink.address().port}/`,
      'receive-max-message-size': 8192,
      'send-queue-bytes': 262_144,
      'write-timeout': 5,
      'request-timeout': 20, // we may stand still for a while ourselves
      'ping-interval': 15,
      'pong-timeout': 40,
    };
    const masterFlags = {
      'jwks-file': site.jwks,
      'bans-file': path.join(keys.folder, 'soak-bans-master'),
      'master-keys-file': masterKeys,
      'max-body': 1 << 20,
    };
    try {
      if (cluster) {
        site.cluster = await Cluster.start({ slaveFlags, masterFlags, env });
        [site.slave] = site.cluster.slaves;
        [site.master] = site.cluster.masters;
        site.servers = { slave: site.slave, master: site.master };
      } else {
        site.slave = site.master = await Server.start({ ...slaveFlags, ...masterFlags }, { env });
        site.servers = { all: site.slave };
      }
    } catch (error) {
      site.sink.close();
      throw error;
    }
    return site;
  }

  constructor() {
    this.events = {};
    this.rounds = 0;
    this.reports = [];
    this.agent = newAgent();
  }

  /** One key comes and goes with each exchange; those that sign stay. */
  #writeKeys() {
    const guest = keys.pairOf('ES384', `guest-${this.rounds++}`);
    const list = [...this.signers.slice(1), guest].map((pair) => keys.jwkOf(pair));
    fs.writeFileSync(`${this.jwks}.new`, JSON.stringify({ keys: list }));
    fs.renameSync(`${this.jwks}.new`, this.jwks);
  }

  /** Exchanges the keys while all goes on. */
  reload() {
    this.#writeKeys();
    for (const server of Object.values(this.servers)) server.process.signal('SIGHUP');
  }

  // ---- what backends and pages do

  call(method, path, { headers, ...options } = {}) {
    return request(this.master.master, method, `/api${path}`, {
      agent: this.agent,
      headers: { Authorization: `Bearer ${this.key}`, ...headers },
      ...options,
    });
  }

  async ask(path) {
    const reply = await this.call('GET', path);
    if (reply.status !== 200) throw new Error(`${path}: ${reply.status} ${reply.text}`);
    return reply.json();
  }

  callSlave(method, path, options) {
    return request(this.slave.slave, method, `/gcs${path}`, { agent: this.agent, ...options });
  }

  jwt(random, identity, more = {}) {
    const signer = random.of(this.signers);
    const claims = { ...keys.claims({ remotes: { work: true }, ...identity }), ...more };
    return signer.privateKey ? keys.signBy(signer, claims) : keys.sign(claims);
  }

  /** The whole road of a page, or the JWT at once. */
  async open(random, identity, { claims, ...options } = {}) {
    let token = this.jwt(random, identity, claims);
    if (random.below(2)) {
      const reply = await this.callSlave('POST', '/auth', { form: { jwt: token } });
      if (reply.status !== 200)
        throw Object.assign(new Error(`auth: ${reply.status}`), { status: reply.status });
      token = reply.json().token;
    }
    return Peer.open(this.slave.url(identity.app, token), options);
  }

  // ---- what it says of itself

  /** Writes what was logged to files and counts it; it is not kept here. */
  takeLogs() {
    for (const [name, server] of Object.entries(this.servers)) {
      const lines = server.process.lines.stderr;
      const text = server.process.stderr;
      server.process.stderr = '';
      while (lines.length) lines.next().catch(() => {});
      if (!text) continue;
      fs.appendFileSync(this.logFile(name), text);
      if (report.test(text)) this.reports.push(`${name}: ${report.exec(text)[0]} in its log`);
      for (const [, event] of text.matchAll(/"event":"(\w+)"/g))
        this.events[event] = (this.events[event] ?? 0) + 1;
    }
  }

  get pids() {
    return Object.values(this.servers).map((server) => server.process.child.pid);
  }

  /** { rssKib, anonKib, threads, fds } of each process. */
  sample() {
    const of = (server) => {
      const proc = `/proc/${server.process.child.pid}`;
      const status = fs.readFileSync(`${proc}/status`, 'utf8');
      const number = (key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(status)[1]);
      return {
        rssKib: number('VmRSS'),
        anonKib: number('RssAnon'),
        threads: number('Threads'),
        fds: fs.readdirSync(`${proc}/fd`).length,
      };
    };
    return Object.fromEntries(
      Object.entries(this.servers).map(([name, server]) => [name, of(server)]),
    );
  }

  /** Our own connections are closed, those that are kept alive, too. */
  async disconnect() {
    this.agent.destroy();
    this.agent = newAgent();
    for (const server of Object.values(this.servers)) server.agent.destroy();
  }

  /** What each process holds when nobody is there. */
  async descriptors() {
    await this.disconnect();
    return Object.values(this.sample()).map(({ fds }) => fds);
  }

  /** Waits for the descriptors that were there at the start; gives what there is then. */
  async descriptorsBack(before, ms) {
    let now;
    const isBack = async () => {
      now = await this.descriptors();
      return now.every((n, i) => n <= before[i]);
    };
    await until(isBack, 'descriptors as at the start', ms).catch(() => {});
    return now;
  }

  /** The end as an operator asks for it; throws where it was not clean. */
  async stop() {
    await this.disconnect();
    this.takeLogs();
    try {
      if (this.cluster) await this.cluster.stop();
      else await this.master.stop();
    } finally {
      this.sink.closeAllConnections();
      this.sink.close();
      this.takeLogs();
    }
  }

  kill() {
    if (this.cluster) this.cluster.kill();
    else this.master.kill();
    this.sink.close();
  }
}

/** Bytes that nobody compresses. */
export const noise = (n) => crypto.randomBytes(Math.ceil((n * 3) / 4)).toString('base64').slice(0, n);
