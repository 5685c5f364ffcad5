// What goes wrong between the members of a cluster, one thing at a time.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { connect } from 'nats';
import { Cluster, clusterTest, withCluster } from './support/cluster.mjs';
import { freeAddress, run } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { natsAuth } from './support/nats_auth.mjs';
import { Nats } from './support/nats.mjs';
import { inParallel, until, within } from './support/wait.mjs';

const two = { slaves: 2, masters: 2 };

const isReady = async (member) =>
  (await request(member.slave ?? member.master, 'GET', '/readyz')).status === 200;

const ready = (members) =>
  until(
    async () => (await Promise.all(members.map(isReady))).every(Boolean),
    'every member is ready',
  );

const notReady = (members) =>
  until(
    async () => !(await Promise.all(members.map(isReady))).some(Boolean),
    'no member is ready',
  );

async function refusedAtOnce(master, path, form) {
  const began = performance.now();
  const reply = await master.call('POST', path, { form });
  assert.deepEqual([reply.status, reply.text], [503, 'the bus is away, try again']);
  assert.equal(reply.headers['retry-after'], '1');
  assert.ok(performance.now() - began < 500, 'at once, not by a time-out');
}

/** Subscribes one socket at each slave to `channel`. */
const audience = (cluster, channel) =>
  Promise.all(
    cluster.slaves.map(async (slave, i) =>
      (await cluster.login({ user: `user-${i}` }, slave)).subscribe(channel),
    ),
  );

async function pushReaches(cluster, clients, channel, data) {
  for (const [i, master] of cluster.masters.entries()) {
    await cluster.push('app', channel, 'e', JSON.stringify([data, i]), master);
    for (const client of clients)
      await client.expect(JSON.stringify({ channel, event: 'e', data: [data, i] }));
  }
}

clusterTest('NATS is frozen: refused at once, and all works when it goes on', two, async (cluster) => {
  const clients = await audience(cluster, 'x');
  await cluster.nats.pause();
  await notReady(cluster.members);
  for (const master of cluster.masters) {
    await refusedAtOnce(master, '/push/app/x/e', { data: '1' });
    await refusedAtOnce(master, '/push_batch/app', { batch_data: '[{"channel":"x","data":1}]' });
    await refusedAtOnce(master, '/push/user/app/user-0', { data: '1' });
    await refusedAtOnce(master, '/reload/channel/user/app/user-0', { data: '[]' });
    await refusedAtOnce(master, '/add/channel/user/app/user-0', { data: 'x' });
    const reply = await within(master.call('GET', '/app/online/count'), 'a count', 500);
    assert.equal(reply.headers['gusher-missing-nodes'], '2');
  }
  for (const client of clients)
    assert.equal((await client.command('gusher.ping', 0)).event, 'gusher.pong_succeeded');
  cluster.nats.resume();
  await ready(cluster.members);
  await pushReaches(cluster, clients, 'x', 'after');
  assert.deepEqual(await cluster.names('/app/online'), ['user-0', 'user-1']);
});

clusterTest(
  'a master that is cut off refuses; the others serve on; on return it serves too',
  { ...two, proxied: true },
  async (cluster) => {
    const [cut, other] = cluster.masters;
    const clients = await audience(cluster, 'x');
    for (const proxy of cut.proxies) proxy.cut();
    await notReady([cut]);
    await refusedAtOnce(cut, '/push/app/x/e', { data: '1' });
    const known = await cut.call('GET', '/app/online');
    assert.deepEqual([known.text, known.headers['gusher-missing-nodes']], ['[]', '2']);
    await other.push('app', 'x', 'e', '"other"');
    for (const client of clients) await client.expect('{"channel":"x","event":"e","data":"other"}');
    for (const proxy of cut.proxies) proxy.heal();
    await ready([cut]);
    await pushReaches(cluster, clients, 'x', 'back');
  },
);

clusterTest(
  'a slave that is cut off is out within 1 s, keeps its sockets, and is back within 1 s',
  { ...two, proxied: true },
  async (cluster) => {
    const [, cut] = cluster.slaves;
    const clients = await audience(cluster, 'x');
    for (const proxy of cut.proxies) proxy.cut();
    const began = performance.now();
    await until(
      async () => (await cluster.names('/app/online')).join() === 'user-0',
      'the slave is out of the answers',
    );
    assert.ok(performance.now() - began < 1300, `out after ${performance.now() - began} ms`);
    await notReady([cut]);
    assert.equal((await clients[1].command('gusher.ping', 0)).event, 'gusher.pong_succeeded');
    for (const proxy of cut.proxies) proxy.heal();
    const healed = performance.now();
    await until(
      async () => (await cluster.names('/app/online')).join() === 'user-0,user-1',
      'the slave is in the answers',
    );
    assert.ok(performance.now() - healed < 2500, `back after ${performance.now() - healed} ms`);
    await ready([cut]);
    await pushReaches(cluster, clients, 'x', 'back');
  },
);

clusterTest('one of three NATS servers dies: its members go to the others', { ...two, nats: 3 }, async (cluster) => {
  const clients = await audience(cluster, 'x');
  for (const server of cluster.nats.servers.slice(0, 2)) {
    const { server_id: id } = await server.monitor('/varz');
    await server.kill();
    await until(
      () => cluster.members.every((member) => member.logged('bus_up').at(-1).server !== id),
      'nobody believes to be connected to it',
    );
    await ready(cluster.members);
    await pushReaches(cluster, clients, 'x', server.name);
    await server.launch();
    await cluster.nats.routed();
  }
  await ready(cluster.members);
  await pushReaches(cluster, clients, 'x', 'all');
});

clusterTest('ten thousand subscriptions are confirmed together', { slaves: 1 }, async (cluster) => {
  const client = await cluster.login({ user: 'ann' });
  const [server] = cluster.nats.servers;
  const before = (await server.monitor('/varz')).in_msgs;
  const lists = Array.from({ length: 1000 }, (_, i) =>
    Array.from({ length: 10 }, (__, k) => `channel-${i}-${k}`),
  );
  for (const multi_channel of lists)
    client.send({ event: 'gusher.multi_subscribe', data: { multi_channel } });
  for (const list of lists) {
    const reply = await client.nextJson('a confirmation');
    assert.equal(reply.event, 'gusher.multi_subscribe_succeeded');
    assert.deepEqual(reply.data.channel, list);
  }
  // Beats are among these.
  const messages = (await server.monitor('/varz')).in_msgs - before;
  assert.ok(messages < 500, `${messages} messages for 1000 lists`);
  assert.deepEqual(await cluster.ask('/app/channels/count'), { count: 10_000 });
  await cluster.push('app', 'channel-999-9', 'e', '1');
  await client.expect('{"channel":"channel-999-9","event":"e","data":1}');
});

clusterTest('many sockets that subscribe in a burst share confirmations', { slaves: 1 }, async (cluster) => {
  const clients = await Promise.all(
    Array.from({ length: 200 }, (_, i) => cluster.login({ user: `u${i}` })),
  );
  const [server] = cluster.nats.servers;
  const before = (await server.monitor('/varz')).in_msgs;
  for (const [i, client] of clients.entries())
    client.send({ event: 'gusher.subscribe', data: { channel: `own-${i}` } });
  for (const client of clients)
    assert.equal((await client.nextJson()).event, 'gusher.subscribe_succeeded');
  const messages = (await server.monitor('/varz')).in_msgs - before;
  assert.ok(messages < 100, `${messages} messages for 200 subscriptions`);
});

clusterTest('a slave joins under load, and another leaves: nobody else notices', two, async (cluster) => {
  const clients = await audience(cluster, 'x');
  const [first] = clients;
  let sent = 0;
  let goesOn = true;
  const load = (async () => {
    while (goesOn) await cluster.push('app', 'x', 'e', String(sent++));
  })();
  const third = await cluster.addSlave();
  const joined = await cluster.login({ user: 'new' }, third);
  joined.send({ event: 'gusher.subscribe', data: { channel: 'x' } });
  await cluster.stopMember(cluster.slaves[1]);
  goesOn = false;
  await load;
  const drain = async (client, from) => {
    for (let next = from; next < sent; next++) assert.equal((await client.nextJson()).data, next);
  };
  await drain(first, 0);
  // Messages may come before the reply to the subscription; from it on it misses none.
  let before = -1;
  for (;;) {
    const message = await joined.nextJson('the reply or a message');
    if (message.event === 'gusher.subscribe_succeeded') break;
    if (before >= 0) assert.equal(message.data, before + 1);
    before = message.data;
  }
  if (before < 0) before = (await joined.nextJson('the first message')).data;
  await drain(joined, before + 1);
  assert.deepEqual(await cluster.names('/app/online'), ['new', 'user-0']);
});

clusterTest('rolling restart of everything', { ...two, nats: 3 }, async (cluster) => {
  // One socket comes again whenever its slave goes, as a page does.
  let client;
  const connect = async () => {
    client = await (await cluster.login({ user: 'ann' }, cluster.slaves.at(-1))).subscribe('x');
  };
  const works = async (what) => {
    await cluster.push('app', 'x', 'e', JSON.stringify(what), cluster.masters.at(-1));
    for (;;) {
      const { data } = await client.nextJson(`the push after ${what}`);
      if (data === what) break;
    }
    assert.deepEqual(await cluster.names('/app/online', cluster.masters.at(-1)), ['ann']);
  };
  await connect();
  await works('the beginning');
  for (const slave of [...cluster.slaves]) {
    await cluster.addSlave();
    const closing = client.closing;
    const isMine = client.ws.url.includes(`:${slave.slave.port}/`);
    slave.terminate();
    if (isMine) {
      assert.equal((await closing).code, 1001);
      await connect();
    }
    await cluster.stopMember(slave);
    await works('a slave');
  }
  for (const master of [...cluster.masters]) {
    await cluster.addMaster();
    await cluster.stopMember(master);
    await works('a master');
  }
  for (const server of cluster.nats.servers) {
    await server.restart();
    await cluster.nats.routed();
    await ready(cluster.members);
    await works(server.name);
  }
});

clusterTest('rubbish on the bus is dropped, counted and logged', { slaves: 1 }, async (cluster) => {
  const client = await (await cluster.login({ user: 'ann' })).subscribe('x');
  const nc = await connect({ servers: cluster.nats.urls });
  const [slave] = cluster.slaves;
  const subjects = (await cluster.nats.connections())
    .flatMap((c) => c.subscriptions_list ?? [])
    .filter((subject) => subject.startsWith('gusher.'));
  assert.ok(subjects.includes('gusher.c.app.x'), subjects.join());
  let seed = 1;
  const byte = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 16 & 255;
  const shapes = [
    () => Buffer.alloc(0),
    () => Buffer.from([71, 2, 1]),
    () => Buffer.from([71, 1, 200]),
    () => Buffer.from([71, 1, 1, 5, 255, 255, 255, 255]),
    // MSG that reloads grants, with a list of names that is none
    () => Buffer.from([71, 1, 1, 4, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 4, 8, 0, 0, 0, 2, 9, 9]),
    () => Buffer.from([71, 1, 1 + (byte() % 10), ...Array.from({ length: byte() }, byte)]),
    () => Buffer.from(Array.from({ length: byte() }, byte)),
  ];
  for (const subject of new Set(subjects))
    for (let i = 0; i < 300; i++) nc.publish(subject, shapes[i % shapes.length]());
  await nc.flush();
  await until(() => slave.logged('bus_messages_dropped').length, 'a line in the log');
  await until(() => isReady(slave), 'the slave is ready');
  await cluster.push('app', 'x', 'e', '"still here"');
  await client.expect('{"channel":"x","event":"e","data":"still here"}');
  await nc.close();
});

clusterTest('a message longer than NATS takes is refused, whole', { slaves: 1 }, async (cluster) => {
  const client = await (await cluster.login({ user: 'ann' })).subscribe('x');
  const [master] = cluster.masters;
  const text = (n) => JSON.stringify('x'.repeat(n));
  const reply = await master.call('POST', '/push/app/x/e', { form: { data: text(1 << 20) } });
  assert.deepEqual([reply.status, reply.text], [413, 'the message is longer than the bus takes']);
  const batch = `[{"channel":"x","data":1},{"channel":"x","data":${text(1 << 20)}}]`;
  const refused = await master.call('POST', '/push_batch/app', { form: { batch_data: batch } });
  assert.equal(refused.status, 413, refused.text);
  const most = (1 << 20) - 1024;
  await cluster.push('app', 'x', 'e', text(most));
  assert.equal((await client.nextJson()).data.length, most);
  await cluster.assertSilent(client);
});

clusterTest('a long list is streamed, exact over two slaves', two, async (cluster) => {
  const users = Array.from({ length: 1200 }, (_, i) => `${i}-`.padEnd(600, 'long '));
  await inParallel(users.length, 32, async (i) => {
    const slave = cluster.slaves[i % 2];
    await slave.connect(slave.url('app', keys.sign(keys.claims({ user: users[i] }))));
    // Some are on both.
    const other = cluster.slaves[(i + 1) % 2];
    if (i % 5 === 0)
      await other.connect(other.url('app', keys.sign(keys.claims({ user: users[i] }))));
  });
  const reply = await cluster.masters[0].call('GET', '/app/online');
  assert.equal(reply.headers['transfer-encoding'], 'chunked');
  assert.equal(reply.headers['content-length'], undefined);
  assert.deepEqual(reply.json().sort(), [...users].sort());
  assert.deepEqual(await cluster.ask('/app/online/count'), { count: users.length });
});

// ---- the start

test('without NATS the start ends with a sentence', async () => {
  const nowhere = await freeAddress();
  const began = performance.now();
  const args = ['--public-pem-file', keys.publicFile, '--nats', `nats://${nowhere}`];
  const { code, stderr } = await run([
    ...['slave', ...args, '--nats-wait', '1', '--api-listen', '127.0.0.1:0'],
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /gusher: NATS cannot be used: .* \(waited 1 s\)/);
  assert.ok(performance.now() - began < 10_000);
});

for (const [what, nats, sentence] of [
  ['no scheme', '127.0.0.1:4222', /NATS address number 1 must be nats:/],
  ['another scheme', 'nats://a:1,http://user:secret@b:2', /NATS address number 2 must be nats:/],
  ['nothing', ' , ', /must be nats:/],
]) {
  test(`NATS addresses with ${what} are refused`, async () => {
    const { code, stderr } = await run([
      ...['master', '--public-pem-file', keys.publicFile, '--master-api-listen', '127.0.0.1:0'],
      ...['--nats', nats],
    ]);
    assert.notEqual(code, 0);
    assert.match(stderr, sentence);
    assert.doesNotMatch(stderr, /secret/);
  });
}

test('the start waits for NATS to come', async () => {
  const nats = await Nats.start();
  const cluster = new Cluster({});
  cluster.nats = nats;
  try {
    const [server] = nats.servers;
    await server.kill();
    const starting = Promise.all([cluster.addSlave(), cluster.addMaster()]);
    await server.launch();
    await starting;
    const client = await (await cluster.login({ user: 'ann' })).subscribe('x');
    await cluster.push('app', 'x', 'e', '1');
    await client.expect('{"channel":"x","event":"e","data":1}');
    await cluster.stop();
  } finally {
    cluster.kill();
  }
});

test('credentials: a user of the account serves, a stranger is refused', async () => {
  const auth = await natsAuth();
  const nats = { config: auth.config };
  await withCluster({ nats, flags: { 'nats-creds': auth.creds } }, async (cluster) => {
    const client = await (await cluster.login({ user: 'ann' })).subscribe('x');
    await cluster.push('app', 'x', 'e', '1');
    await client.expect('{"channel":"x","event":"e","data":1}');
    const { code, stderr } = await run([
      ...['master', '--public-pem-file', keys.publicFile, '--master-api-listen', '127.0.0.1:0'],
      ...['--nats', cluster.nats.urls, '--nats-creds', auth.otherCreds, '--nats-wait', '2'],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /NATS cannot be used: .*[Aa]uthorization/);
  });
});

test('a NATS that refused the members for a while takes them again', async () => {
  const password = (text) => `authorization { user: a, password: ${text} }`;
  const nats = await Nats.start({ config: password('good') });
  const [server] = nats.servers;
  const cluster = new Cluster({ flags: { nats: server.url.replace('//', '//a:good@') } });
  cluster.nats = nats;
  try {
    await Promise.all([cluster.addSlave(), cluster.addMaster()]);
    const client = await (await cluster.login({ user: 'ann' })).subscribe('x');
    const file = server.args[server.args.indexOf('-c') + 1];
    const config = fs.readFileSync(file, 'utf8');
    await server.kill();
    fs.writeFileSync(file, config.replace('good', 'other'));
    await server.launch();
    await until(
      () => cluster.members.every((member) => member.logged('bus_refused').length >= 2),
      'all members are refused',
    );
    await server.kill();
    fs.writeFileSync(file, config);
    await server.launch();
    await ready(cluster.members);
    await cluster.push('app', 'x', 'e', '1');
    await client.expect('{"channel":"x","event":"e","data":1}');
    await client.subscribe('y');
    await cluster.stop();
  } finally {
    cluster.kill();
  }
});

test('TLS to NATS, by a certificate of our own authority', async () => {
  const folder = keys.freshFolder('tls');
  const file = (name) => path.join(folder, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = (name) => ['-newkey', 'rsa:2048', '-nodes', '-keyout', file(`${name}.key`)];
  openssl('req', '-x509', '-days', '2', '-subj', '/CN=ca', ...key('ca'), '-out', file('ca.pem'));
  openssl('req', '-subj', '/CN=localhost', ...key('nats'), '-out', file('nats.csr'));
  const names = keys.writeFile('names.cnf', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  openssl(
    ...['x509', '-req', '-days', '2', '-in', file('nats.csr'), '-CA', file('ca.pem')],
    ...['-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', names, '-out', file('nats.pem')],
  );
  const config = `tls { cert_file: "${file('nats.pem')}", key_file: "${file('nats.key')}" }`;
  const nats = await Nats.start({ config });
  const cluster = new Cluster({
    flags: { nats: nats.urls.replaceAll('nats://', 'tls://'), 'nats-ca-file': file('ca.pem') },
  });
  cluster.nats = nats;
  try {
    await Promise.all([cluster.addSlave(), cluster.addMaster()]);
    const client = await (await cluster.login({ user: 'ann' })).subscribe('x');
    const data = JSON.stringify('y'.repeat(500_000)); // more than one record, both ways
    await cluster.push('app', 'x', 'e', data);
    await client.expect(`{"channel":"x","event":"e","data":${data}}`);
    await nats.restart();
    await ready(cluster.members);
    await cluster.push('app', 'x', 'e', '2');
    await client.expect('{"channel":"x","event":"e","data":2}');
    await cluster.stop();
  } finally {
    cluster.kill();
  }
});
