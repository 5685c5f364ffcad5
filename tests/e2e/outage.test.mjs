// What clients and backends notice while NATS is away, or a member leaves.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cluster, clusterTest, withCluster } from './support/cluster.mjs';
import { run } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { Proxy } from './support/proxy.mjs';
import { until } from './support/wait.mjs';

const notReady = (member) =>
  until(
    async () => (await request(member.slave ?? member.master, 'GET', '/readyz')).status === 503,
    'the member is not ready',
  );

const succeeded = (id, channel) => ({
  event: 'gusher.subscribe_succeeded',
  socket_id: id,
  data: { channel },
});

clusterTest('a stopping slave stalls nobody', { slaves: 2 }, async (cluster) => {
  const [stopping, other] = cluster.slaves;
  const [master] = cluster.masters;
  const ann = await (await cluster.login({ user: 'ann', channels: ['*'] }, other)).subscribe('x');
  // It does not answer the close frame, so its slave goes on for a while.
  const asleep = await stopping.rawSocket({ user: 'bob', channels: ['*'] });
  await until(
    async () => (await cluster.ask('/app/online/count')).count === 2,
    'both are online',
  );
  stopping.terminate();
  let stalled = 0;
  const ended = stopping.process.exit();
  let isOver = false;
  ended.then(() => (isOver = true));
  await until(() => master.logged('node_stops').length, 'its masters know that it stops');
  assert.equal(isOver, false);
  for (let n = 0; !isOver || n < 3; n++) {
    const began = performance.now();
    const count = await master.call('GET', '/app/online/count');
    assert.equal(count.status, 200);
    assert.equal(count.headers['gusher-missing-nodes'], undefined);
    const push = await master.call('POST', '/push/app', {
      form: { channel_pattern: '^x$', event: 'e', data: '1' },
    });
    assert.deepEqual([push.status, push.json().total], [200, 1]);
    await ann.expect('{"channel":"x","event":"e","data":1}');
    stalled = Math.max(stalled, performance.now() - began);
    if (isOver) break;
  }
  await ended;
  asleep.close();
  // A question that nobody answers takes two seconds.
  assert.ok(stalled < 1500, `a query and a push took ${stalled} ms`);
  assert.deepEqual(await cluster.ask('/app/online/count'), { count: 1 });
});

clusterTest('NATS is away: a ping does not wait for what waits', {}, async (cluster) => {
  const ann = await cluster.login({ user: 'ann', channels: ['*'] });
  const { socket_id: id } = await ann.command('gusher.ping', {});
  await cluster.nats.kill();
  await notReady(cluster.slaves[0]);
  ann.send({ event: 'gusher.subscribe', data: { channel: 'a' } });
  ann.send({ event: 'gusher.unsubscribe', data: { channel: 'a' } });
  const pong = await ann.command('gusher.ping', { n: 1 });
  assert.deepEqual([pong.event, pong.data], ['gusher.pong_succeeded', { n: 1 }]);
  const query = await ann.command('gusher.querychannel', {});
  assert.equal(query.event, 'gusher.querychannel_succeeded');
  await cluster.nats.restart();
  assert.deepEqual(await ann.nextJson(), succeeded(id, 'a'));
  assert.equal((await ann.nextJson()).event, 'gusher.unsubscribe_succeeded');
});

const patient = {
  takesLong: true,
  slaveFlags: { 'ping-interval': 1, 'pong-timeout': 3 },
};

clusterTest('NATS is away: who asks for much stays open', patient, async (cluster) => {
  const commands = 600; // more than a slave keeps of one socket's replies
  const names = (n) => Array.from({ length: 8 }, (_, i) => `a-channel-with-a-usual-name-${n}-${i}`);
  const ann = await cluster.login({ user: 'ann', channels: ['*'] });
  await cluster.nats.kill();
  await notReady(cluster.slaves[0]);
  for (let n = 0; n < commands; n++)
    ann.send({ event: 'gusher.multi_subscribe', data: { multi_channel: names(n) } });
  ann.send({ event: 'gusher.ping', data: {} }); // is not read any more
  let pings = 0;
  ann.ws.on('ping', () => pings++);
  await until(() => pings >= 6, 'six pings');
  await cluster.nats.restart();
  for (let n = 0; n < commands; n++)
    assert.equal((await ann.nextJson()).event, 'gusher.multi_subscribe_succeeded');
  assert.equal((await ann.nextJson()).event, 'gusher.pong_succeeded');
});

/** One slave behind a proxy that holds back what NATS and it say to each other. */
async function withSlowRoad(body) {
  await withCluster({ slaves: 0 }, async (cluster) => {
    const road = await Proxy.start(cluster.nats.servers[0].port);
    cluster.proxies.add(road);
    const slave = await cluster.addSlave({ nats: road.url() });
    await body(cluster, slave, road);
    await cluster.stopMember(slave);
    cluster.proxies.delete(road);
    await road.stop();
  });
}

test('a name that is taken back with a denied command is not promised by the next one', () =>
  withSlowRoad(async (cluster, slave, road) => {
    const ann = await cluster.login({ user: 'ann', channels: ['x', 'y'] }, slave);
    await ann.command('gusher.ping', {});
    road.delay(150);
    // On its way while the commands below wait for their fence.
    await cluster.post('/reload/channel/user/app/ann', { data: '["y"]' });
    ann.send({ event: 'gusher.multi_subscribe', data: { multi_channel: ['x', 'y'] } });
    ann.send({ event: 'gusher.subscribe', data: { channel: 'y' } });
    const events = [];
    while (events.length < 3) events.push((await ann.nextJson()).event);
    road.delay(0);
    const promised = events.includes('gusher.subscribe_succeeded');
    assert.deepEqual(
      events.filter((event) => !event.startsWith('gusher.subscribe_')),
      ['gusher.reloadchannel', 'gusher.multi_subscribe_error'],
    );
    assert.deepEqual(await cluster.ask('/app/channels'), promised ? ['y'] : []);
  }));

// ---- what is wrong with the set-up is said

test('what NATS does not permit is logged', async () => {
  const users = [
    '{user: a, password: a, permissions: {subscribe: {deny: ["gusher.c.>"]}}}',
    '{user: m, password: m, permissions: {publish: {deny: ["gusher.c.>"]}}}',
  ];
  const nats = { config: `authorization { users: [ ${users.join(', ')} ] }` };
  await withCluster({ nats, slaves: 0, masters: 0 }, async (cluster) => {
    const as = (user) => cluster.nats.urls.replace('//', `//${user}:${user}@`);
    const slave = await cluster.addSlave({ nats: as('a') });
    const master = await cluster.addMaster({ nats: as('m') });
    const ann = await cluster.login({ user: 'ann', channels: ['*'] }, slave);
    ann.send({ event: 'gusher.subscribe', data: { channel: 'x' } });
    await cluster.push('app', 'x', 'e', '1', master);
    for (const member of [slave, master]) {
      await until(() => member.logged('bus_not_permitted').length, 'it is logged');
      assert.match(member.logged('bus_not_permitted')[0].reason, /gusher\.c\.app\.x/);
    }
  });
});

for (const [what, flags, sentence] of [
  ['credentials', ['--nats-creds'], /cannot read the file of NATS credentials, .*nowhere: No such/],
  ['authorities', ['--nats-ca-file'], /cannot read the file of NATS certificate authorities/],
]) {
  test(`a file of ${what} that is not there is named`, async () => {
    const { code, stderr } = await run([
      ...['slave', '--public-pem-file', keys.publicFile, '--api-listen', '127.0.0.1:0'],
      ...['--nats', 'nats://127.0.0.1:1', ...flags, `${keys.freshFolder('x')}/nowhere`],
    ]);
    assert.equal(code, 2);
    assert.match(stderr, sentence);
  });
}

test('a NATS whose messages are too short is refused', () =>
  withCluster(
    { nats: { config: 'max_payload: 1024' }, slaves: 0, masters: 0 },
    async (cluster) => {
      const { code, stderr } = await run([
        ...['slave', '--public-pem-file', keys.publicFile, '--api-listen', '127.0.0.1:0'],
        ...['--nats', cluster.nats.urls, '--nats-wait', '1'],
      ]);
      assert.equal(code, 1);
      assert.match(stderr, /NATS cannot be used: its max_payload is less than 4096 bytes/);
    },
  ));
