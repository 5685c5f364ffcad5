// The program itself: one-shot commands, and servers that are started, watched and stopped.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from './client.mjs';
import { request } from './http.mjs';
import * as keys from './keys.mjs';
import { Process } from './process.mjs';
import { Raw, requestText, upgradeHeaders } from './raw.mjs';
import { until } from './wait.mjs';

export { Process };

export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const bin = path.resolve(process.env.GUSHER_BIN ?? path.join(root, 'build/gusher'));

/** A stop may take 5 s (the server's own word); the rest is for the machine. */
const STOP_MS = 6000;

/** The tester's own GUSHER_ settings must not steer what is tested. */
export function environment(more = {}) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('GUSHER_'));
  return { ...Object.fromEntries(own), ...more };
}

function assertNoReport(stderr) {
  assert.doesNotMatch(stderr, /Sanitizer|runtime error:|Assertion|fatal/i, 'stderr of the server');
}

/** Runs a command to its end: { code, signal, stdout, stderr }. */
export async function run(args, { env, command = bin, ...options } = {}) {
  const p = new Process(command, args, { env: environment(env), ...options });
  try {
    const ended = await p.exit();
    assertNoReport(p.stderr);
    return { ...ended, stdout: p.stdout, stderr: p.stderr };
  } finally {
    p.kill();
  }
}

/** { name: value } as flags; undefined leaves one out, true stands without a value. */
function flagList(flags) {
  return Object.entries(flags)
    .filter(([, value]) => value !== undefined)
    .flatMap(([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, String(value)]));
}

const commonFlags = { 'public-pem-file': keys.publicFile, 'log-format': 'json', workers: 2 };
const slaveFlags = { 'api-listen': '127.0.0.1:0' };
const masterFlags = { 'master-api-listen': '127.0.0.1:0' };
const standardFlags = {
  all: { ...commonFlags, ...slaveFlags, ...masterFlags },
  slave: { ...commonFlags, ...slaveFlags },
  master: { ...commonFlags, ...masterFlags },
};

/** An address that nobody listens on at the moment. */
export async function freeAddress() {
  const listener = net.createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return `127.0.0.1:${port}`;
}

function addressOf(text) {
  const [, host, port] = /^(.*):(\d+)$/.exec(text);
  return { host, port: Number(port) };
}

export class Server {
  /** Starts `gusher <role>` and waits until it listens for all that the role serves. */
  static async start(flags = {}, { role = 'all', env, standard, program = bin, tls } = {}) {
    const all = { ...(standard ?? standardFlags[role]), ...flags };
    const server = new Server(flagList(all), env, program, role, tls);
    try {
      await server.#ready();
    } catch (error) {
      server.kill();
      throw error;
    }
    return server;
  }

  /** `tls`: what clients need to trust it, as options of node's tls. */
  constructor(args, env, program, role = 'all', tls = {}) {
    this.role = role;
    this.tls = tls;
    this.process = new Process(program, [role, ...args], { env: environment(env) });
    this.clients = new Set();
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
    this.tlsAgent = new https.Agent({ keepAlive: true, maxSockets: 16 });
    this.gcs = '/gcs';
    this.api = '/api';
  }

  async #ready() {
    const needed = this.role === 'all' ? ['slave', 'master'] : [this.role];
    while (needed.some((role) => !this[role])) {
      const line = JSON.parse(await this.process.line('stderr', /"event":"listening"/));
      const address = { ...addressOf(line.address), tls: line.tls === 'on' ? this.tls : undefined };
      if (/slave/.test(line.role)) this.slave = { ...address };
      if (/master/.test(line.role)) this.master = { ...address };
      this.workers = line.workers;
    }
  }

  get stderr() {
    return this.process.stderr;
  }

  /** Log lines of one event so far. */
  logged(event) {
    return this.stderr
      .split('\n')
      .filter((line) => line.includes(`"event":"${event}"`))
      .map((line) => JSON.parse(line));
  }

  /** The same when there are `n`: a line may come behind what it tells of, as the log has a thread
   *  of its own. */
  log(event, n = 1) {
    return until(() => {
      const lines = this.logged(event);
      return lines.length >= n && lines;
    }, `${n} lines of ${event}`);
  }

  // ---- HTTP

  #request(to, method, path, options) {
    const agent = to.tls ? this.tlsAgent : this.agent;
    return request(to, method, path, { agent, ...options });
  }

  /** A request to the master, below its prefix. */
  call(method, path, options) {
    return this.#request(this.master, method, this.api + path, options);
  }

  /** A request to the slave, below its prefix. */
  callSlave(method, path, options) {
    return this.#request(this.slave, method, this.gcs + path, options);
  }

  /** A command that must succeed; gives the text of the answer. */
  async post(path, params) {
    const reply = await this.call('POST', path, { form: params });
    assert.equal(reply.status, 200, `${path}: ${reply.text}`);
    return reply.text;
  }

  push(app, channel, event, data) {
    return this.post(`/push/${app}/${encodeURIComponent(channel)}/${event}`, { data });
  }

  /** The JSON of a query. */
  async ask(path) {
    const reply = await this.call('GET', path);
    assert.equal(reply.status, 200, `${path}: ${reply.text}`);
    return reply.json();
  }

  /** A list of names, sorted: the server promises no order. */
  async names(path) {
    return (await this.ask(path)).sort();
  }

  // ---- sockets

  url(app, token, route = 'ws') {
    const { host, port, tls } = this.slave;
    return `${tls ? 'wss' : 'ws'}://${host}:${port}${this.gcs}/${route}/${encodeURIComponent(app)}?token=${token}`;
  }

  /** Exchanges a JWT for a ticket. */
  async auth(jwt) {
    const reply = await this.callSlave('POST', '/auth', { form: { jwt } });
    assert.equal(reply.status, 200, reply.text);
    return reply.json().token;
  }

  async connect(url) {
    const client = await Client.open(url, this.slave.tls);
    this.clients.add(client.ws);
    client.ws.on('close', () => this.clients.delete(client.ws));
    return client;
  }

  /** The whole road of a page: JWT, ticket, socket. */
  async login(identity = {}) {
    const ticket = await this.auth(keys.sign(keys.claims(identity)));
    return this.connect(this.url(identity.app ?? 'app', ticket));
  }

  async raw(address = this.slave) {
    const raw = await Raw.connect(address);
    this.clients.add({ terminate: () => raw.destroy() });
    return raw;
  }

  wsTarget(identity = {}) {
    const jwt = keys.sign(keys.claims(identity));
    return `${this.gcs}/ws/${identity.app ?? 'app'}?token=${jwt}`;
  }

  /** A WebSocket without a library: the handshake is over, frames are the test's own. */
  async rawSocket(identity) {
    const raw = await this.raw();
    raw.write(requestText('GET', this.wsTarget(identity), upgradeHeaders));
    assert.equal((await raw.reply()).status, 101);
    return raw;
  }

  /**
   * Proves that nothing else is under way to `client`: a push to its socket travels behind all
   * that was pushed before, so it must be the next message.
   */
  async assertSilent(client, app = 'app') {
    const id = await client.socketId();
    await this.post(`/push/socket/${app}/${id}`, { data: '"nothing before this"' });
    assert.equal(await client.next(), '"nothing before this"');
  }

  // ---- the end

  /** Asks for the end. A second signal would not wait for anything, so stop() sends no more. */
  terminate(signal = 'SIGTERM') {
    this.stopping = true;
    this.process.signal(signal);
  }

  /** Stops as an operator does, and asserts that it was a clean end. */
  async stop() {
    for (const client of this.clients) client.terminate();
    this.agent.destroy();
    this.tlsAgent.destroy();
    if (!this.stopping) this.terminate();
    const ended = await this.process.exit(STOP_MS);
    assertNoReport(this.stderr);
    assert.deepEqual(ended, { code: 0, signal: null }, this.stderr);
  }

  kill() {
    this.agent.destroy();
    this.tlsAgent.destroy();
    this.process.kill();
  }
}

/** Runs `body` with a server of its own, which must end cleanly when it is over. */
export async function withServer(flags, body, options) {
  const server = await Server.start(flags, options);
  try {
    await body(server);
    await server.stop();
  } finally {
    server.kill();
  }
}

/** A test with a server of its own. */
export function serverTest(name, flags, body) {
  test(name, (t) => withServer(flags, (server) => body(server, t)));
}
