// Remote commands of clients, and the sinks that take them: Redis, HTTP and NATS, each the real thing.
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { AckPolicy, connect } from 'nats';
import { clusterTest } from './support/cluster.mjs';
import { freeAddress, serverTest, withServer } from './support/gusher.mjs';
import { Nats } from './support/nats.mjs';
import { Redis } from './support/redis.mjs';
import { Inbox, until } from './support/wait.mjs';

const remotes = { cmd: true, off: false };

const login = (server, user = 'ann') => server.login({ user, remotes });

function remote(client, payload, more = { debug: true }) {
  client.send({ event: 'gusher.remote', data: { remote: 'cmd', uid: 'u', payload }, ...more });
}

async function expectReply(client, event) {
  const reply = await client.nextJson(event);
  assert.deepEqual([reply.event, reply.data], [event, { remote: 'cmd', msg: null }]);
  return reply;
}

const succeeded = (client) => expectReply(client, 'gusher.remote_succeeded');
const failed = (client) => expectReply(client, 'gusher.remote_error');

serverTest('without a sink a permitted command is an error, not a kick', {}, async (server) => {
  const client = await login(server);
  remote(client, 1, {});
  await failed(client);
  assert.equal((await client.command('gusher.ping', 1)).event, 'gusher.pong_succeeded');
});

test('Redis: one element each, in the order of the commands', async () => {
  const redis = await Redis.start();
  try {
    await withServer({ 'remote-url': `redis://${redis.address}/3` }, async (server) => {
      const client = await login(server);
      for (let i = 0; i < 200; i++) remote(client, i, i === 199 ? { debug: true } : {});
      const { socket_id: id } = await succeeded(client);
      await redis.call('SELECT', '3');
      const list = await redis.call('LRANGE', 'app@cmd', '0', '-1');
      assert.deepEqual(
        list,
        Array.from(
          { length: 200 },
          (_, i) => `{"user_id":"ann","socket_id":"${id}","uid":"u","app_key":"app","data":${i}}`,
        ),
      );
      // An error of Redis is one of the command.
      await redis.call('SET', 'app@cmd', 'no list');
      await redis.call('DEL', 'other');
      remote(client, 1, {});
      await failed(client);
      await redis.call('DEL', 'app@cmd');
      remote(client, { b: 1, a: [1e3] });
      await succeeded(client);
      const [element] = await redis.call('LRANGE', 'app@cmd', '0', '-1');
      assert.match(element, /"data":\{"a":\[1000\],"b":1\}\}$/);
    });
  } finally {
    await redis.stop();
  }
});

test('a sink that is away: the server starts, a command waits for it', async () => {
  const redis = await Redis.start();
  try {
    await redis.kill();
    await withServer({ 'remote-url': `redis://${redis.address}` }, async (server) => {
      const client = await login(server);
      remote(client, 'early');
      // Others are served meanwhile, and so is this one.
      assert.equal((await client.command('gusher.ping', 1)).event, 'gusher.pong_succeeded');
      await redis.launch();
      await succeeded(client);
      assert.equal(await redis.call('LLEN', 'app@cmd'), 1);
    });
  } finally {
    await redis.stop();
  }
});

test('a sink that stays away is an error of the command', async () => {
  const nowhere = await freeAddress();
  await withServer({ 'remote-url': `redis://${nowhere}` }, async (server) => {
    const client = await login(server);
    remote(client, 1, {});
    await failed(client);
    assert.equal((await server.log('remote_failed')).length, 1);
  });
});

test('HTTP: a POST each, tried again with the same key, never a lost command', async () => {
  const seen = new Inbox();
  const statuses = [200, 503, 500, 201, 400];
  const endpoint = http.createServer((request, reply) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      seen.put({ request, body: JSON.parse(body) });
      reply.writeHead(statuses.shift()).end();
    });
  });
  await new Promise((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${endpoint.address().port}/commands?x=1`;
  try {
    await withServer({ 'remote-url': url }, async (server) => {
      const client = await login(server);
      remote(client, { n: 1 });
      const { socket_id: id } = await succeeded(client);
      const first = await seen.next();
      assert.equal(first.request.method, 'POST');
      assert.equal(first.request.url, '/commands?x=1');
      assert.match(first.request.headers['content-type'], /^application\/json/);
      const common = { user_id: 'ann', socket_id: id, uid: 'u', app_key: 'app', remote: 'cmd' };
      assert.deepEqual(first.body, { ...common, data: { n: 1 } });

      remote(client, 2);
      await succeeded(client);
      const tries = [await seen.next(), await seen.next(), await seen.next()];
      const keys = tries.map(({ request }) => request.headers['idempotency-key']);
      assert.equal(new Set(keys).size, 1);
      assert.ok(keys[0] && keys[0] !== first.request.headers['idempotency-key']);

      remote(client, 3);
      await failed(client);
      await seen.next();
      assert.equal(seen.length, 0, 'a refusal is final');
    });
  } finally {
    endpoint.close();
    endpoint.closeAllConnections();
  }
});

clusterTest(
  'NATS with JetStream: kept while no worker runs, each taken once by a group',
  { nats: { jetStream: true }, slaves: 2 },
  async (cluster) => {
    await cluster.stopMember(cluster.slaves[0]);
    await cluster.stopMember(cluster.slaves[0]);
    const slaves = [];
    for (let i = 0; i < 2; i++)
      slaves.push(await cluster.addSlave({ 'remote-url': cluster.nats.urls }));
    const clients = [await login(slaves[0], 'ann'), await login(slaves[1], 'bob')];
    for (const client of clients) {
      for (let i = 0; i < 20; i++) remote(client, i);
      for (let i = 0; i < 20; i++) await succeeded(client);
    }
    // Only now do the workers come.
    const nc = await connect({ servers: cluster.nats.urls });
    const manager = await nc.jetstreamManager();
    await manager.consumers.add('GUSHER_REMOTE', {
      durable_name: 'workers',
      ack_policy: AckPolicy.Explicit,
      filter_subject: 'gusher.remote.app.cmd',
    });
    const taken = [];
    await Promise.all(
      [1, 2].map(async () => {
        const consumer = await nc.jetstream().consumers.get('GUSHER_REMOTE', 'workers');
        while (taken.length < 40) {
          const messages = await consumer.fetch({ max_messages: 5, expires: 1000 });
          for await (const m of messages) {
            taken.push(m.json());
            await m.ackAck();
          }
        }
      }),
    );
    assert.equal(taken.length, 40);
    for (const user of ['ann', 'bob']) {
      const own = taken.filter((command) => command.user_id === user).map(({ data }) => data);
      assert.deepEqual(own.sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i));
    }
    // A worker answers through the API.
    const [one] = taken;
    await cluster.post(`/push/socket/app/${one.socket_id}`, { data: '{"done":true}' });
    const client = clients.find((c) => c.id === one.socket_id) ?? clients[one.user_id === 'ann' ? 0 : 1];
    await client.expect('{"done":true}');
    await nc.close();
  },
);

test('NATS without JetStream: a queue group takes each once; nobody there is an error', async () => {
  const nats = await Nats.start();
  try {
    await withServer({ 'remote-url': nats.urls }, async (server) => {
      const client = await login(server);
      remote(client, 'to nobody', {});
      await failed(client);
      const nc = await connect({ servers: nats.urls });
      const taken = [];
      for (let i = 0; i < 2; i++)
        nc.subscribe('gusher.remote.app.cmd', {
          queue: 'workers',
          callback: (_, m) => taken.push(m.json().data),
        });
      await nc.flush();
      for (let i = 0; i < 50; i++) remote(client, i);
      for (let i = 0; i < 50; i++) await succeeded(client);
      await until(() => taken.length === 50, 'all commands at the workers');
      assert.equal(new Set(taken).size, 50);
      await nc.close();
    });
  } finally {
    await nats.stop();
  }
});

test('a sink with an address that is none ends the start', async () => {
  for (const url of ['ftp://x', 'redis://', 'nonsense']) {
    await assert.rejects(withServer({ 'remote-url': url }, () => {}), /--remote-url/);
  }
});
