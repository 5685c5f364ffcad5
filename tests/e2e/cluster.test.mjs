// Slaves and masters as processes of their own, with a real NATS between them.
import assert from 'node:assert/strict';
import { clusterTest } from './support/cluster.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { until, within } from './support/wait.mjs';

const two = { slaves: 2, masters: 2 };

const health = (member, path) => request(member.slave ?? member.master, 'GET', path);

clusterTest('every kind of push reaches sockets on any slave', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const ann = await cluster.login({ user: 'ann', channels: ['*'] }, one);
  const ann2 = await cluster.login({ user: 'ann', channels: ['*'] }, other);
  const bob = await cluster.login({ user: 'bob', channels: ['*'] }, other);
  await ann.subscribe('news');
  await bob.subscribe('news', 'own');
  for (const master of cluster.masters) {
    await cluster.push('app', 'news', 'e', '1', master);
    await ann.expect('{"channel":"news","event":"e","data":1}');
    await bob.expect('{"channel":"news","event":"e","data":1}');
    await cluster.push('app', 'own', 'e', '"o"', master);
    await bob.expect('{"channel":"own","event":"e","data":"o"}');
    await cluster.post('/push/user/app/ann', { data: '{"for":"ann"}' }, master);
    await ann.expect('{"for":"ann"}');
    await ann2.expect('{"for":"ann"}');
    await cluster.post(`/push/socket/app/${await ann2.socketId()}`, { data: '2' }, master);
    await ann2.expect('2');
    const batch = JSON.stringify([
      { channel: 'news', event: 'b', data: 1 },
      { channel: 'own', event: 'b', data: 2 },
      { channel: 'nobody', event: 'b', data: 3 },
    ]);
    await cluster.post('/push_batch/app', { batch_data: batch }, master);
    await ann.expect('{"channel":"news","event":"b","data":1}');
    await bob.expect('{"channel":"news","event":"b","data":1}');
    await bob.expect('{"channel":"own","event":"b","data":2}');
    const reply = await cluster.post(
      '/push/app',
      { channel_pattern: '^(news|own)$', event: 'p', data: '0' },
      master,
    );
    assert.equal(reply, '{"total":2,"pattern":"^(news|own)$"}');
    await ann.expect('{"channel":"news","event":"p","data":0}');
    const got = [await bob.next(), await bob.next()].sort();
    assert.deepEqual(got, [
      '{"channel":"news","event":"p","data":0}',
      '{"channel":"own","event":"p","data":0}',
    ]);
    for (const client of [ann, ann2, bob]) await cluster.assertSilent(client, 'app', master);
  }
});

clusterTest('presence is that of all slaves, exact at once', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const a = await cluster.login({ user: 'ann' }, one);
  const b = await cluster.login({ user: 'ann' }, other);
  const c = await cluster.login({ user: 'bob' }, other);
  await a.subscribe('x');
  await b.subscribe('x', 'y');
  await c.subscribe('z.with.dots and *');
  for (const master of cluster.masters) {
    assert.deepEqual(await cluster.names('/app/online', master), ['ann', 'bob']);
    assert.deepEqual(await cluster.ask('/app/online/count', master), { count: 2 });
    assert.deepEqual(await cluster.names('/app/channels', master), ['x', 'y', 'z.with.dots and *']);
    assert.deepEqual(await cluster.ask('/app/channels/count', master), { count: 3 });
    assert.deepEqual(await cluster.names('/app/online/bychannel/x', master), ['ann']);
    assert.deepEqual(await cluster.ask('/app/online/bychannel/x/count', master), { count: 1 });
    assert.deepEqual(await cluster.names('/other/online', master), []);
  }
  await b.unsubscribe('y');
  assert.deepEqual(await cluster.names('/app/channels'), ['x', 'z.with.dots and *']);
  await c.close();
  await until(
    async () => (await cluster.names('/app/online')).join() === 'ann',
    'bob is gone everywhere',
  );
});

clusterTest('grants change on every slave, before the user is told', two, async (cluster) => {
  const clients = [];
  for (const slave of cluster.slaves) {
    clients.push(await cluster.login({ user: 'ann', channels: ['a'] }, slave));
  }
  for (const client of clients) await client.subscribe('a');
  await cluster.post('/add/channel/user/app/ann', { data: 'b' }, cluster.masters[1]);
  for (const client of clients) {
    assert.deepEqual(await client.nextJson(), {
      event: 'gusher.addchannel',
      socket_id: '',
      data: { channel: 'b' },
    });
    await client.subscribe('b');
  }
  await cluster.post('/reload/channel/user/app/ann', { data: '["b"]' });
  for (const client of clients) {
    assert.equal((await client.nextJson()).event, 'gusher.reloadchannel');
    const refused = await client.command('gusher.subscribe', { channel: 'a' });
    assert.equal(refused.event, 'gusher.subscribe_error');
  }
  assert.deepEqual(await cluster.names('/app/channels'), ['b']);
});

clusterTest('a ticket opens a socket on any slave', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const client = await cluster.login({ user: 'ann' }, other, { authAt: one });
  await client.subscribe('x');
  await cluster.push('app', 'x', 'e', '1');
  await client.expect('{"channel":"x","event":"e","data":1}');
});

clusterTest(
  'without a secret the ticket is the JWT itself, and the log says so once',
  { slaves: 2, slaveFlags: { 'ticket-secret': undefined } },
  async (cluster) => {
    const jwt = keys.sign(keys.claims({ user: 'ann' }));
    assert.equal(await cluster.slaves[0].auth(jwt), jwt);
    const client = await cluster.slaves[1].connect(cluster.slaves[1].url('app', jwt));
    await client.subscribe('x');
    for (const slave of cluster.slaves) assert.equal((await slave.log('tickets_are_jwts')).length, 1);
    assert.equal(cluster.masters[0].logged('tickets_are_jwts').length, 0);
  },
);

clusterTest('both roles tell of their health', {}, async (cluster) => {
  for (const member of cluster.members) {
    const healthy = await health(member, '/healthz');
    assert.deepEqual([healthy.status, healthy.text], [200, 'ok']);
    const ready = await health(member, '/readyz');
    assert.deepEqual([ready.status, ready.text], [200, 'ready']);
  }
});

clusterTest('NATS restarted: sockets stay, nothing is missing on return', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const ann = await cluster.login({ user: 'ann' }, one);
  const bob = await cluster.login({ user: 'bob' }, other);
  await ann.subscribe('x');
  await bob.subscribe('x');
  const [server] = cluster.nats.servers;
  await server.kill();
  for (const master of cluster.masters) {
    await until(async () => (await health(master, '/readyz')).status === 503, 'masters know');
    const began = performance.now();
    const refused = await master.call('POST', '/push/app/x/e', { form: { data: '1' } });
    assert.equal(refused.status, 503);
    assert.equal(refused.text, 'the bus is away, try again');
    assert.ok(performance.now() - began < 500, 'refused at once');
    const known = await master.call('GET', '/app/online');
    assert.equal(known.headers['gusher-missing-nodes'], '2');
    assert.equal(known.text, '[]');
  }
  // Sockets live on: what needs no bus is answered.
  assert.equal((await ann.command('gusher.ping', 1)).event, 'gusher.pong_succeeded');
  // What needs it waits for its return.
  bob.send({ event: 'gusher.subscribe', data: { channel: 'later' } });
  await server.restart();
  for (const member of cluster.members) {
    await until(async () => (await health(member, '/readyz')).status === 200, 'all are ready again');
  }
  const reply = await bob.nextJson('the reply that waited');
  assert.equal(reply.event, 'gusher.subscribe_succeeded');
  for (const master of cluster.masters) {
    await cluster.push('app', 'x', 'e', '2', master);
    for (const client of [ann, bob]) await client.expect('{"channel":"x","event":"e","data":2}');
    await cluster.push('app', 'later', 'e', '3', master);
    await bob.expect('{"channel":"later","event":"e","data":3}');
    assert.deepEqual(await cluster.names('/app/online', master), ['ann', 'bob']);
    for (const client of [ann, bob]) await cluster.assertSilent(client, 'app', master);
  }
});

for (const [how, away, back] of [
  ['killed', (cluster, slave) => cluster.killMember(slave), null],
  ['frozen', (_, slave) => slave.process.pause(), (_, slave) => slave.process.resume()],
]) {
  clusterTest(`a slave that is ${how} is out of every answer within 1 s`, two, async (cluster) => {
    const [one, other] = cluster.slaves;
    await cluster.login({ user: 'ann' }, one);
    await cluster.login({ user: 'bob' }, other);
    assert.deepEqual(await cluster.names('/app/online'), ['ann', 'bob']);
    await away(cluster, other);
    const began = performance.now();
    for (const master of cluster.masters) {
      // Asked before the silence is noticed, the answer waits no longer than that, and says so.
      const reply = await within(master.call('GET', '/app/online'), 'an answer', 1500);
      assert.deepEqual(reply.json(), ['ann']);
    }
    const gone = async () => {
      const replies = await Promise.all(cluster.masters.map((m) => m.call('GET', '/app/online')));
      return replies.every((r) => !('gusher-missing-nodes' in r.headers) && r.text === '["ann"]');
    };
    await until(gone, 'the slave is out of the answers');
    assert.ok(performance.now() - began < 1300, `took ${performance.now() - began} ms`);
    if (!back) return;
    await back(cluster, other);
    const resumed = performance.now();
    const isBack = async () => (await cluster.names('/app/online')).join() === 'ann,bob';
    await until(isBack, 'the slave is back');
    assert.ok(performance.now() - resumed < 1300, `took ${performance.now() - resumed} ms`);
  });
}

clusterTest('three NATS servers: a subscription is sure at every master', {
  nats: 3, slaves: 2, masters: 3,
}, async (cluster) => {
  const clients = [];
  for (const slave of cluster.slaves) clients.push(await cluster.login({ user: 'ann' }, slave));
  for (let i = 0; i < 50; i++) {
    const channel = `c${i}`;
    for (const client of clients) await client.subscribe(channel);
    await Promise.all(cluster.masters.map((master, m) => cluster.push('app', channel, 'e', String(m), master)));
    for (const client of clients) {
      const got = [];
      for (let m = 0; m < 3; m++) got.push((await client.nextJson(`push ${m} to ${channel}`)).data);
      assert.deepEqual(got.sort(), [0, 1, 2]);
    }
  }
});
