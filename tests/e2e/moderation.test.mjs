// Kicks and bans: whom a backend wants out is out at once, on every worker and every node.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { clusterTest } from './support/cluster.mjs';
import { Server, serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { until } from './support/wait.mjs';

const KICKED = 4002;
const BANNED = 4003;

const jwtOf = (identity, jti) => keys.sign({ ...keys.claims(identity), jti });

/** A socket that a token with this id has opened. */
const connect = (server, identity, jti) =>
  server.connect(server.url(identity.app ?? 'app', jwtOf(identity, jti)));

async function assertOpen(server, clients, app = 'app') {
  for (const client of clients) await server.assertSilent(client, app);
}

const refused = /refused: 403 banned/;

serverTest('a socket, a user or an app is closed by its backend', {}, async (server) => {
  const make = (user, app = 'app') => connect(server, { user, app, channels: ['*'] });
  const [ann1, ann2, ann3] = [await make('ann'), await make('ann'), await make('ann')];
  const bob = await make('bob');
  const anonymous = await make('');
  const elsewhere = await make('ann', 'other');

  const id = await ann1.socketId();
  assert.equal(
    await server.post(`/kick/socket/app/${id}`, { reason: 'go away' }),
    `{"app":"app","socket_id":"${id}"}`,
  );
  assert.deepEqual(await ann1.closed(), { code: KICKED, reason: 'go away' });
  await assertOpen(server, [ann2, ann3, bob, anonymous]);

  await server.post('/kick/user/app/ann', {});
  for (const client of [ann2, ann3])
    assert.deepEqual(await client.closed(), { code: KICKED, reason: 'closed by the backend' });
  await assertOpen(server, [bob, anonymous]);
  // No ban: who is kicked may come again.
  await assertOpen(server, [await make('ann')]);

  await server.post('/kick/app/app', {});
  for (const client of [bob, anonymous]) assert.equal((await client.closed()).code, KICKED);
  await assertOpen(server, [elsewhere], 'other');
  assert.deepEqual(await server.names('/app/online'), []);
});

serverTest('an app of many sockets goes while others are served', {}, async (server) => {
  const victim = await connect(server, { user: 'v', app: 'other', channels: ['*'] });
  await victim.subscribe('c');
  const clients = await Promise.all(
    Array.from({ length: 300 }, (_, i) => connect(server, { user: `u${i}` })),
  );
  await server.post('/kick/app/app', { reason: 'closing time' });
  await server.push('other', 'c', 'e', '1');
  await victim.expect('{"channel":"c","event":"e","data":1}');
  for (const client of clients)
    assert.deepEqual(await client.closed(), { code: KICKED, reason: 'closing time' });
});

serverTest('a banned user is out, and stays out until then', {}, async (server) => {
  const now = Math.floor(Date.now() / 1000);
  const ann = await connect(server, { user: 'ann' });
  const bob = await connect(server, { user: 'bob' });
  const jwt = jwtOf({ user: 'ann' });
  const ticket = await server.auth(jwt);
  const answer = JSON.parse(await server.post('/ban/user/app/ann', { for: 3600 }));
  assert.ok(answer.until >= now + 3600 && answer.until <= now + 3660);
  assert.deepEqual(await ann.closed(), { code: BANNED, reason: 'banned' });
  // Neither by a token, nor by a ticket that was issued before, nor for a new one.
  await assert.rejects(connect(server, { user: 'ann' }), refused);
  await assert.rejects(server.connect(server.url('app', ticket)), refused);
  const reply = await server.callSlave('POST', '/auth', { form: { jwt } });
  assert.deepEqual([reply.status, reply.text], [403, 'banned\n']);
  assert.equal(reply.headers['access-control-allow-origin'], '*');
  await assertOpen(server, [bob, await connect(server, { user: '' })]);
  await assertOpen(server, [await connect(server, { user: 'ann', app: 'other' })], 'other');
  assert.deepEqual(await server.ask('/bans/app'), [{ user_id: 'ann', until: answer.until }]);

  await server.post('/unban/user/app/ann', {});
  assert.deepEqual(await server.ask('/bans/app'), []);
  await assertOpen(server, [await connect(server, { user: 'ann' })]);

  // One that is over is none.
  await server.post('/ban/user/app/ann', { for: 1 });
  await assert.rejects(connect(server, { user: 'ann' }), refused);
  await until(
    () => connect(server, { user: 'ann' }).then(Boolean, () => false),
    'the end of a ban of one second',
  );
});

serverTest('a banned token opens nothing, and closes what it opened', {}, async (server) => {
  const [one, two, other, none] = [
    await connect(server, { user: 'ann' }, 'j1'),
    await connect(server, { user: 'ann' }, 'j1'),
    await connect(server, { user: 'ann' }, 'j2'),
    await connect(server, { user: 'ann' }),
  ];
  const ticket = await server.auth(jwtOf({ user: 'ann' }, 'j1'));
  const byTicket = await server.connect(server.url('app', ticket));
  await server.post('/ban/token/app/j1', { for: 60 });
  for (const client of [one, two, byTicket]) assert.equal((await client.closed()).code, BANNED);
  await assertOpen(server, [other, none]);
  await assert.rejects(connect(server, { user: 'bob' }, 'j1'), refused);
  await assert.rejects(server.connect(server.url('app', ticket)), refused);
});

test('bans outlive the process where a file keeps them', async () => {
  const flags = { 'bans-file': path.join(keys.folder, 'bans') };
  const first = await Server.start(flags);
  try {
    await first.post('/ban/user/app/ann', { for: 3600 });
    await first.post('/ban/token/app/j1', { for: 3600 });
    await first.post('/ban/user/app/bob', { for: 3600 });
    await first.post('/unban/user/app/bob', {});
    first.process.signal('SIGKILL');
    await first.process.exited;
    const second = await Server.start(flags);
    try {
      await assert.rejects(connect(second, { user: 'ann' }), refused);
      await assert.rejects(connect(second, { user: 'eve' }, 'j1'), refused);
      await assertOpen(second, [await connect(second, { user: 'bob' })]);
      await second.stop();
    } finally {
      second.kill();
    }
  } finally {
    first.kill();
  }
});

const two = { slaves: 2, masters: 2 };

clusterTest('kicks and bans reach every node, also those that come later', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const [master, secondMaster] = cluster.masters;
  const [ann1, ann2] = [await connect(one, { user: 'ann' }), await connect(other, { user: 'ann' })];
  const bob1 = await connect(one, { user: 'bob' }, 'j1');
  const bob2 = await connect(other, { user: 'bob' }, 'j1');
  const eve = await connect(other, { user: 'eve' });
  await cluster.post(`/kick/socket/app/${await ann1.socketId()}`, {}, secondMaster);
  assert.equal((await ann1.closed()).code, KICKED);
  await cluster.post('/kick/user/app/ann', {}, master);
  assert.equal((await ann2.closed()).code, KICKED);

  await cluster.post('/ban/token/app/j1', { for: 600 }, master);
  for (const client of [bob1, bob2]) assert.equal((await client.closed()).code, BANNED);
  await cluster.post('/ban/user/app/ann', { for: 600 }, secondMaster);
  for (const slave of cluster.slaves) {
    await until(
      () => connect(slave, { user: 'ann' }).then(() => false, (e) => refused.test(e.message)),
      'the ban on every slave',
    );
    await assert.rejects(connect(slave, { user: 'bob' }, 'j1'), refused);
  }
  // Every master can tell, and a slave or master that comes knows it from the first moment on.
  const late = await cluster.addSlave();
  const lateMaster = await cluster.addMaster();
  await assert.rejects(connect(late, { user: 'ann' }), refused);
  for (const each of [master, secondMaster, lateMaster]) {
    const bans = await until(async () => {
      const list = await each.ask('/bans/app');
      return list.length === 2 && list;
    }, 'both bans');
    assert.deepEqual(
      bans.map(({ user_id: user, jti }) => user ?? jti).sort(),
      ['ann', 'j1'],
    );
  }
  await cluster.post('/unban/user/app/ann', {}, lateMaster);
  for (const slave of cluster.slaves) {
    await until(
      () => connect(slave, { user: 'ann' }).then(Boolean, () => false),
      'the end of the ban on every slave',
    );
  }
  await cluster.post('/kick/app/app', {}, lateMaster);
  assert.equal((await eve.closed()).code, KICKED);
});
