// A wall clock that is stepped by a day, back and forth: who is there stays, nothing waits for it,
// and what is judged by it is judged otherwise as long as it is wrong.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Cluster } from './support/cluster.mjs';
import { bin, Server } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { Nats } from './support/nats.mjs';
import { until } from './support/wait.mjs';

const DAY_S = 86_400;
const stepper = path.join(path.dirname(bin), 'libclock_step.so');
const skip = process.env.SANITIZED
  ? 'a sanitizer wants to be loaded before all else'
  : !fs.existsSync(stepper) && `no ${path.basename(stepper)} beside the program`;

/** A clock that processes with its `env` see. */
class Clock {
  constructor() {
    this.file = keys.writeFile(`clock-${Math.random()}`, '');
    this.env = { LD_PRELOAD: stepper, CLOCK_STEP_FILE: this.file };
    this.ahead(0);
  }

  ahead(seconds) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    const fd = fs.openSync(this.file, 'r+');
    fs.writeSync(fd, bytes, 0, 8, 0);
    fs.closeSync(fd);
  }
}

const pingFlags = { 'ping-interval': 1, 'pong-timeout': 4 };

async function expectPings(client) {
  let pings = 0;
  const count = () => pings++;
  client.ws.on('ping', count);
  await until(() => pings >= 2, 'two pings');
  client.ws.off('ping', count);
}

async function statusOfAuth(server, claims) {
  const reply = await server.callSlave('POST', '/auth', { form: { jwt: keys.sign(claims) } });
  return reply.status;
}

test('the clock of a process is stepped', { skip }, async () => {
  const clock = new Clock();
  const server = await Server.start(pingFlags, { env: clock.env });
  try {
    const now_s = Math.floor(Date.now() / 1000);
    const plain = keys.claims({ user: 'plain', channels: ['*'] });
    const inAnHour = { ...plain, exp: now_s + 3600 };
    const fresh = { ...plain, exp: now_s + 7 * DAY_S, iat: now_s };
    const banned = keys.claims({ user: 'banned', channels: ['*'] });
    const victim = await (await server.login({ user: 'victim', channels: ['*'] })).subscribe('c');
    let n = 0;
    const isServed = async () => {
      await server.push('app', 'c', 'e', String(++n));
      await victim.expect(`{"channel":"c","event":"e","data":${n}}`);
      await expectPings(victim);
    };
    await server.post('/ban/user/app/banned', { for: 3600 });
    const opens = (claims) =>
      server.connect(server.url('app', keys.sign(claims))).then(
        (client) => client.close(1000).then(() => true),
        () => false,
      );

    for (const [ahead, expected] of [
      [0, { inAnHour: 200, fresh: 200, banned: false }],
      [DAY_S, { inAnHour: 401, fresh: 200, banned: true }],
      [0, { inAnHour: 200, fresh: 200, banned: false }],
      [-DAY_S, { inAnHour: 200, fresh: 401, banned: false }],
      [0, { inAnHour: 200, fresh: 200, banned: false }],
    ]) {
      const ticket = await server.auth(keys.sign(plain));
      clock.ahead(ahead);
      const what = `${ahead} s ahead`;
      // Workers see it at their next turn: with the request at the latest.
      assert.equal(await statusOfAuth(server, inAnHour), expected.inAnHour, what);
      assert.equal(await statusOfAuth(server, fresh), expected.fresh, what);
      assert.equal(await opens(banned), expected.banned, what);
      await (await server.connect(server.url('app', ticket))).close(1000); // lives by another clock
      await isServed();
    }
    assert.deepEqual(
      (await server.log('clock_stepped', 4)).map(({ ms }) => Math.round(ms / 1000)),
      [DAY_S, -DAY_S, -DAY_S, DAY_S],
    );
    await server.stop();
  } finally {
    server.kill();
  }
});

test('the clock of a cluster is stepped', { skip }, async () => {
  const clock = new Clock();
  const cluster = await Cluster.start({ slaveFlags: pingFlags, env: clock.env });
  const statuses = () =>
    Promise.all(
      cluster.members.map(async (member) => {
        const reply = await request(member.slave ?? member.master, 'GET', '/readyz');
        return reply.status;
      }),
    );
  try {
    const victim = await (await cluster.login({ user: 'victim', channels: ['*'] })).subscribe('c');
    let n = 0;
    const isServed = async () => {
      await cluster.push('app', 'c', 'e', String(++n));
      await victim.expect(`{"channel":"c","event":"e","data":${n}}`);
      assert.deepEqual(await cluster.ask('/app/online'), ['victim']);
      await victim.subscribe(`d${n}`);
      await expectPings(victim);
    };
    // Connected it is not noticed.
    for (const ahead of [0, DAY_S, 0, -DAY_S, 0]) {
      clock.ahead(ahead);
      await isServed();
      assert.deepEqual(await statuses(), [200, 200]);
    }
    for (const member of cluster.members) {
      assert.deepEqual(member.logged('node_gone'), []);
      assert.deepEqual(member.logged('bus_away'), []);
    }
    // While the next try to connect is waited for.
    for (const ahead of [-DAY_S, DAY_S, 0]) {
      await cluster.nats.kill();
      await until(async () => (await statuses()).every((status) => status === 503), 'NATS is away');
      clock.ahead(ahead);
      await cluster.nats.restart();
      await until(async () => (await statuses()).every((status) => status === 200), 'NATS is back');
      await isServed();
    }
    // Back once more, and to the end.
    clock.ahead(-DAY_S);
    await cluster.stop();
  } finally {
    cluster.kill();
  }
});

test('the clock is stepped while a sink of remote commands is away', { skip }, async () => {
  const clock = new Clock();
  const nats = await Nats.start({ jetStream: true });
  const server = await Server.start({ 'remote-url': nats.urls }, { env: clock.env });
  try {
    const ann = await server.login({ user: 'ann', remotes: { cmd: true } });
    const outcome = async () => {
      const data = { remote: 'cmd', uid: 'u', payload: 1 };
      return (await ann.command('gusher.remote', data, { debug: true })).event;
    };
    assert.equal(await outcome(), 'gusher.remote_succeeded');
    await nats.kill();
    await until(() => server.logged('remote_away').length, 'it is away');
    clock.ahead(-DAY_S);
    await nats.restart();
    await until(async () => (await outcome()) === 'gusher.remote_succeeded', 'it is back');
    await server.stop();
    await nats.stop();
  } finally {
    server.kill();
    nats.killAll();
  }
});
