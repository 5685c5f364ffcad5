// What those who look are told: nodes, sockets, searches, and the stream of events with its live tail.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import WebSocket from 'ws';
import { clusterTest } from './support/cluster.mjs';
import { dev } from './support/console.mjs';
import { Events } from './support/events.mjs';
import { root, run, serverTest, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { Api } from './support/openapi.mjs';
import { Raw } from './support/raw.mjs';
import { until } from './support/wait.mjs';

const api = new Api(JSON.parse(fs.readFileSync(path.join(root, 'src/api/openapi.json'), 'utf8')));

/** Asks, and holds the answer against the document. */
async function asked(to, operationId, at, { status = 200, ...options } = {}) {
  const reply = await request(to, 'GET', at, options);
  assert.equal(reply.status, status, reply.text);
  api.check(api.operations.find((o) => o.operationId === operationId), reply, at);
  return reply.json();
}

const search = async (to, what, query) => {
  const id = what === 'channels' ? 'searchChannels' : 'searchUsers';
  const found = await asked(to, id, `/v1/apps/app/${what}/search`, { query });
  return [found.total, found[what].map((f) => `${f.channel ?? f.user_id} ${f.subscriptions ?? f.connections}`)];
};

serverTest('sockets tell what they may hear, hear and have waiting', {}, async (server) => {
  const began = Math.floor(Date.now() / 1000) - 1;
  const ann = await server.login({ user: 'ann', channels: ['room-*', 'news'], remotes: { ping: true } });
  await ann.subscribe('room-1', 'news');
  const nobody = await server.login({ user: '', channels: ['*'] });
  await nobody.subscribe('news');
  const id = await ann.socketId();
  const one = await asked(server.master, 'getSocket', `/v1/apps/app/sockets/${id}`);
  assert.ok(began <= one.since && one.since <= began + 60, `${one.since}`);
  assert.match(one.node, /^[0-9a-f]{8}$/);
  one.subscriptions.sort();
  assert.deepEqual(one, {
    ...one,
    socket_id: id,
    user_id: 'ann',
    address: '127.0.0.1',
    queue_bytes: 0,
    queue_messages: 0,
    n_subscriptions: 2,
    subscriptions: ['news', 'room-1'],
    n_grants: 2,
    grants: ['room-*', 'news'],
    n_remotes: 1,
    remotes: ['ping'],
  });
  const users = async (operationId, at) => {
    const list = await asked(server.master, operationId, `/v1/apps/app/${at}sockets`);
    return list.map((s) => s.user_id).sort();
  };
  assert.deepEqual(await users('listSockets', ''), ['', 'ann']);
  assert.deepEqual(await users('listSocketsOfUser', 'users/ann/'), ['ann']);
  assert.deepEqual(await users('listSocketsOfUser', 'users/bob/'), []);
  assert.deepEqual(await users('listSocketsOfChannel', 'channels/news/'), ['', 'ann']);
  assert.deepEqual(await users('listSocketsOfChannel', 'channels/room-1/'), ['ann']);
  assert.deepEqual(await users('listSocketsOfChannel', 'channels/room-2/'), []);
  await asked(server.master, 'getSocket', `/v1/apps/other/sockets/${id}`, { status: 404 });
  await asked(server.master, 'getSocket', '/v1/apps/app/sockets/nonsense', { status: 404 });
  await ann.close();
  await until(async () => {
    const reply = await request(server.master, 'GET', `/v1/apps/app/sockets/${id}`);
    return reply.status === 404;
  }, 'ann is gone');
});

const chatty = { workers: 1, 'command-rate': 0, 'address-command-rate': 0 };
serverTest('a socket that asks without end does not drive out what is known of others', chatty, async (server) => {
  const quiet = await server.login({ user: 'quiet', channels: ['*'] });
  const loud = await server.login({ user: 'loud', channels: ['*'] });
  const ids = [await quiet.socketId(), await loud.socketId()];
  const channel = 'c'.repeat(120);
  for (let i = 0; i < 80; i++) {
    for (let k = 0; k < 100; k++) loud.send({ event: 'gusher.subscribe', data: { channel } });
    for (let k = 0; k < 100; k++) await loud.next();
  }
  const told = async (id) =>
    (await asked(server.master, 'listEventsOfSocket', `/v1/apps/app/sockets/${id}/events`)).map((e) => e.event);
  assert.equal((await told(ids[0]))[0], 'opened');
  const events = await told(ids[1]);
  assert.equal(events[0], 'opened');
  assert.ok(events.length > 100 && events.length < 300, `${events.length}`);
  await quiet.close();
});

const many = { 'max-connections-per-user': 1000, 'max-connections-per-address': 0 };
serverTest('what has happened to a socket is told, also after its end', {}, async (server) => {
  const began = Date.now();
  const ann = await server.login({ user: 'ann', channels: ['room-*'] });
  const id = await ann.socketId();
  const told = async (app = 'app', socket = id) => {
    const at = `/v1/apps/${app}/sockets/${socket}/events`;
    const list = await asked(server.master, 'listEventsOfSocket', at);
    assert.deepEqual(list, [...list].sort((a, b) => a.n - b.n));
    for (const { time } of list) assert.ok(began - 1000 <= time && time <= Date.now() + 1000);
    return list.map(({ event, detail }) => `${event} ${detail}`);
  };
  await ann.subscribe('room-1');
  await ann.command('gusher.subscribe', { channel: 'secret' });
  const body = '{"channel":"secret"}';
  assert.equal((await request(server.master, 'POST', '/v1/apps/app/users/ann/channels', { body })).status, 200);
  await server.push('app', 'room-1', 'e', '{"payload":"of a message"}');
  await ann.close(4000, 'enough');
  const all = await until(async () => {
    const list = await told();
    return list.at(-1)?.startsWith('closed') && list;
  }, 'its end');
  assert.deepEqual(all, [
    'opened 127.0.0.1',
    'gusher.querychannel_succeeded {"channels":["room-*"]}',
    'gusher.subscribe_succeeded {"channel":"room-1"}',
    'gusher.subscribe_error {"channel":"secret"}',
    'grant_added secret',
    'closed client (4000)',
  ]);
  assert.deepEqual(await told('other'), []);
  assert.deepEqual(await told('app', 'nonsense'), []);
  // The next one in its place has a story of its own.
  const bob = await server.login({ user: 'bob' });
  const [first, ...more] = await told('app', await bob.socketId());
  assert.deepEqual([first, more.length], ['opened 127.0.0.1', 1]);
  assert.equal((await told()).length, 6);
});

serverTest('of long lists the beginning is told, of many sockets all', many, async (server) => {
  const names = Array.from({ length: 300 }, (_, i) => `channel-${i}`);
  const ann = await server.login({ user: 'ann', channels: names });
  for (let i = 0; i < names.length; i += 50) await ann.subscribe(...names.slice(i, i + 50));
  const [one] = await asked(server.master, 'listSocketsOfUser', '/v1/apps/app/users/ann/sockets');
  assert.deepEqual([one.n_subscriptions, one.n_grants], [300, 300]);
  assert.deepEqual([one.subscriptions.length, one.grants.length], [100, 100]);
  assert.deepEqual(one.grants, names.slice(0, 100));
  const clients = await Promise.all(names.map(() => server.login({ user: 'many' })));
  const list = await asked(server.master, 'listSocketsOfUser', '/v1/apps/app/users/many/sockets');
  const ids = await Promise.all(clients.map((c) => c.socketId()));
  assert.deepEqual(list.map((s) => s.socket_id).sort(), ids.sort());
  assert.equal((await asked(server.master, 'listSockets', '/v1/apps/app/sockets')).length, 301);
});

serverTest('behind a proxy the client is told, not the proxy', { 'trusted-proxies': '127.0.0.0/8' }, async (server) => {
  const token = keys.sign(keys.claims({ user: 'ann' }));
  const headers = { 'X-Forwarded-For': '198.51.100.7' };
  const socket = new WebSocket(server.url('app', token), { headers });
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  const direct = await server.login({ user: 'bob' });
  const address = async (user) => {
    const list = await asked(server.master, 'listSocketsOfUser', `/v1/apps/app/users/${user}/sockets`);
    return list.map((s) => s.address);
  };
  assert.deepEqual(await address('ann'), ['198.51.100.7']);
  assert.deepEqual(await address('bob'), ['127.0.0.1']);
  socket.terminate();
  await until(async () => (await address('ann')).length === 0, 'ann is gone');
  // Another one in the same place has its own address.
  const cyd = await server.login({ user: 'cyd' });
  assert.deepEqual(await address('cyd'), ['127.0.0.1']);
  await Promise.all([cyd.close(), direct.close()]);
});

serverTest('searches count, in order, page by page', {}, async (server) => {
  const names = Array.from({ length: 25 }, (_, i) => `room-${String(i).padStart(2, '0')}`);
  const ann = await server.login({ user: 'ann', channels: ['*'] });
  const bob = await server.login({ user: 'bob', channels: ['*'] });
  const also = await server.login({ user: 'bob', channels: ['*'] });
  await ann.subscribe(...names.slice(0, 13));
  await ann.subscribe(...names.slice(13), 'news', 'ünïcode');
  await bob.subscribe('room-03', 'news');
  await also.subscribe('news');
  assert.deepEqual(await search(server.master, 'channels', { contains: 'ws' }), [1, ['news 3']]);
  assert.deepEqual(await search(server.master, 'channels', { contains: 'n', limit: 1 }), [2, ['news 3']]);
  assert.deepEqual(await search(server.master, 'channels', { contains: 'n', limit: 1, after: 'news' }), [
    2,
    ['ünïcode 1'],
  ]);
  assert.deepEqual(await search(server.master, 'channels', { contains: 'nothing' }), [0, []]);
  const [total, all] = await search(server.master, 'channels', {});
  assert.equal(total, 27);
  assert.deepEqual(all, ['news 3', ...names.map((n) => `${n} ${n === 'room-03' ? 2 : 1}`), 'ünïcode 1']);
  const pages = [];
  for (let after = ''; ; after = pages.at(-1).at(-1).split(' ')[0]) {
    const [sum, page] = await search(server.master, 'channels', { limit: 7, after });
    assert.equal(sum, 27);
    if (!page.length) break;
    pages.push(page);
  }
  assert.deepEqual(pages.map((p) => p.length), [7, 7, 7, 6]);
  assert.deepEqual(pages.flat(), all);
  assert.deepEqual(await search(server.master, 'users', {}), [2, ['ann 1', 'bob 2']]);
  assert.deepEqual(await search(server.master, 'users', { contains: 'b' }), [1, ['bob 2']]);
  for (const query of [{ limit: 0 }, { limit: 1001 }, { limit: 'x' }, { limit: -1 }]) {
    const reply = await request(server.master, 'GET', '/v1/apps/app/channels/search', { query });
    api.checkProblem(reply, 400, 'invalid_parameter', JSON.stringify(query));
  }
});

serverTest('a search over more names than a page looks at', {}, async (server) => {
  // Grants that many channels share; subscribed by lists, more than one page of 4096 names.
  const n = process.env.SANITIZED ? 5000 : 9000;
  const ann = await server.login({ user: 'ann', channels: ['*'] });
  const bob = await server.login({ user: 'bob', channels: ['*'] });
  const name = (i) => `c${String(i).padStart(5, '0')}`;
  for (const [client, from, to] of [[ann, 0, n], [bob, n / 2, n]])
    for (let i = from; i < to; i += 500)
      await client.subscribe(...Array.from({ length: 500 }, (_, k) => name(i + k)));
  assert.deepEqual(await search(server.master, 'channels', { limit: 2 }), [n, [`${name(0)} 1`, `${name(1)} 1`]]);
  assert.deepEqual(await search(server.master, 'channels', { limit: 2, after: name(n / 2 - 2) }), [
    n,
    [`${name(n / 2 - 1)} 1`, `${name(n / 2)} 2`],
  ]);
  assert.deepEqual(await search(server.master, 'channels', { contains: name(n - 1) }), [1, [`${name(n - 1)} 2`]]);
});

serverTest('nodes tell what they count', {}, async (server) => {
  const client = await server.login({ user: 'ann', channels: ['*'] });
  await client.subscribe('news');
  await server.push('app', 'news', 'e', '1');
  await client.nextJson();
  const [node, ...others] = await asked(server.master, 'listNodes', '/v1/nodes');
  assert.deepEqual(others, []);
  assert.deepEqual(node.roles, ['slave', 'master']);
  const { websockets, subscriptions, publishes, deliveries, bus, workers } = node;
  assert.deepEqual({ websockets, subscriptions, publishes, deliveries, bus, workers }, {
    websockets: 1,
    subscriptions: 1,
    publishes: 1,
    deliveries: 1,
    bus: 'up',
    workers: 2,
  });
  assert.equal(node.publish_to_write.at(-1)[1], 1);
});

serverTest('a live tail shows a channel, and is nobody', {}, async (server) => {
  const events = await Events.open(server.master, { app: 'app', channel: 'news' });
  const hello = await events.next('hello');
  assert.equal(hello.nodes, true);
  const first = await events.next('nodes');
  assert.equal(first.missing, 0);
  assert.equal(first.nodes[0].node, hello.node);
  const data = '{"a":\r\n "<script>", "b":"über ☃"}';
  await server.push('app', 'other', 'e', '1');
  await server.push('app2', 'news', 'e', '1');
  await server.push('app', 'news', 'greeting', data);
  const { time, ...message } = await events.next('message');
  assert.deepEqual(message, { app: 'app', channel: 'news', event: 'greeting', data: { a: '<script>', b: 'über ☃' } });
  assert.ok(Math.abs(Date.now() - time) < 60_000);
  const second = await events.next('nodes');
  assert.ok(second.time > first.time);
  assert.deepEqual(await server.names('/app/channels'), []);
  assert.deepEqual(await asked(server.master, 'listApps', '/v1/apps'), []);
  assert.equal(second.nodes[0].websockets, 0);
  const connections = async () => (await asked(server.master, 'listNodes', '/v1/nodes'))[0].connections;
  const open = await connections();
  events.close();
  await until(async () => (await connections()) < open, 'the stream is gone');
});

serverTest('a tail has a rate, and what it leaves out it tells', {}, async (server) => {
  const events = await Events.open(server.master, { app: 'app', channel: 'fast' });
  await events.next('hello');
  const n = 1200;
  const batch = Array.from({ length: n }, (_, i) => ({ channel: 'fast', event: 'e', data: i }));
  for (let i = 0; i < n; i += 100) {
    const body = JSON.stringify(batch.slice(i, i + 100));
    const reply = await request(server.master, 'POST', '/v1/apps/app/messages/batch', { body });
    assert.equal(reply.status, 200, reply.text);
  }
  // All of them are shown or counted, and what is shown is in order.
  const shown = [];
  let dropped = 0;
  while (shown.length + dropped < n) {
    const { event, data } = await events.inbox.next('a message, or word of those left out');
    if (event === 'message') shown.push(data.data);
    if (event === 'dropped') dropped += data.messages;
  }
  assert.equal(shown.length + dropped, n);
  assert.ok(shown.length >= 500, `${shown.length}`);
  assert.deepEqual(shown, [...shown].sort((a, b) => a - b));
  events.close();
});

serverTest('who does not read costs messages, not memory', {}, async (server) => {
  const events = await Events.open(server.master, { app: 'app', channel: 'big' });
  await events.next('hello');
  events.reply.pause();
  const data = JSON.stringify('x'.repeat(60_000));
  const waiting = async () => (await asked(server.master, 'listNodes', '/v1/nodes'))[0].send_queue_bytes;
  // First the kernel takes some megabytes.
  for (let n = 0; (await waiting()) < 1 << 20; n += 20) {
    assert.ok(n < 2000, 'the queue does not grow');
    for (let i = 0; i < 20; i++) await server.push('app', 'big', 'e', data);
  }
  for (let i = 0; i < 110; i++) await server.push('app', 'big', 'e', data);
  const bytes = await waiting();
  assert.ok(bytes < 2 << 20, `${bytes} bytes wait`);
  events.reply.resume();
  assert.ok((await events.next('dropped')).messages >= 100);
  events.close();
});

serverTest('streams that come and go do not put off what others are told', { workers: 1 }, async (server) => {
  const events = await Events.open(server.master, { app: 'app', channel: 'fast' });
  await events.next('hello');
  let isOver = false;
  const comeAndGo = async () => {
    while (!isOver) {
      const other = await Events.open(server.master, { app: 'app', channel: 'other' });
      await other.next('hello');
      other.close();
    }
  };
  const others = comeAndGo();
  const batch = Array.from({ length: 100 }, () => ({ channel: 'fast', event: 'e', data: 1 }));
  for (let i = 0; i < 12; i++)
    await request(server.master, 'POST', '/v1/apps/app/messages/batch', { body: JSON.stringify(batch) });
  try {
    await events.next('dropped');
  } finally {
    isOver = true;
    await others;
    events.close();
  }
});

const tailsOnly = async () => {
  const file = path.join(keys.freshFolder('watch'), 'keys');
  const make = async (name, ...more) =>
    (await run(['key', '--name', name, '--keys-file', file, '--right', 'query', ...more])).stdout.trim();
  const bearer = (key) => ({ Authorization: `Bearer ${key}` });
  return { file, whole: bearer(await make('whole')), some: bearer(await make('some', '--app', 'app')) };
};

test('keys for some apps leave streams to whoever sees all, and those of who is gone are free at once', async () => {
  const { file, whole, some } = await tailsOnly();
  await withServer({ 'master-keys-file': file, workers: 1 }, async (server) => {
    const tail = { app: 'app', channel: 'c' };
    // Nothing is written to them for a quarter of a minute, so nothing else shows that they are gone.
    for (let round = 0; round < 3; round++) {
      const all = [];
      await until(async () => {
        while (all.length < 48) all.push(await Events.open(server.master, tail, some));
        return true;
      }, 'as many streams as there may be');
      const refused = await request(server.master, 'GET', '/v1/events', { headers: some });
      api.checkProblem(refused, 503, 'server_busy', 'one too many');
      const full = await Events.open(server.master, {}, whole);
      await full.next('nodes');
      for (const events of [...all, full]) events.close();
      await until(async () => {
        const [node] = (await request(server.master, 'GET', '/v1/nodes', { headers: whole })).json();
        return node.connections <= 2;
      }, 'they are gone');
    }
  });
});

serverTest('a stream that is asked for while all ends is refused, and nothing waits for it', {}, async (server) => {
  const raw = await Raw.connect(server.master);
  raw.write('GET /v1/events HTTP/1.1\r\nHost: gusher\r\n');
  await until(async () => (await request(server.master, 'GET', '/v1/nodes')).json()[0].received_bytes > 0, 'it is read');
  server.terminate();
  await server.log('stopping', 1);
  raw.write('\r\n');
  assert.equal((await raw.reply()).status, 503);
  await server.process.exit();
  assert.equal(server.logged('stop_forced').length, 0);
});

serverTest('streams are bounded, and end in order', { workers: 1 }, async (server) => {
  const all = [];
  for (let i = 0; i < 64; i++) all.push(await Events.open(server.master));
  const refused = await request(server.master, 'GET', '/v1/events');
  api.checkProblem(refused, 503, 'server_busy', 'one too many');
  all.shift().close();
  await until(async () => {
    const reply = await Events.open(server.master).catch(() => undefined);
    if (reply) all.push(reply);
    return reply;
  }, 'there is room again');
  await all.at(-1).next('nodes');
  server.terminate();
  assert.deepEqual(await Promise.all(all.map((e) => e.ended)), all.map(() => true));
  await server.process.exit();
});

serverTest('pages of other people may not call a master without keys', {}, async (server) => {
  const call = (site) =>
    request(server.master, 'POST', '/api/push/app/c/e', {
      headers: { 'Sec-Fetch-Site': site, Origin: 'https://evil.example', 'Content-Type': 'application/x-www-form-urlencoded' },
      body: 'data=1',
    });
  for (const site of ['same-origin', 'same-site', 'none']) assert.equal((await call(site)).status, 200, site);
  const refused = await call('cross-site');
  assert.equal(refused.status, 403, refused.text);
  await server.log('page_refused', 1);
});

serverTest('nor by a name of their own that leads to it', dev(), async (server) => {
  const call = (Host, at, body) =>
    request(server.master, 'POST', at, { agent: server.agent, headers: { Host }, body });
  const token = JSON.stringify({ app: 'app', user_id: '', channels: [] });
  const both = async (host) => [
    await call(host, '/v1/apps/app/channels/c/messages', '{"event":"e","data":1}'),
    await call(host, '/v1/dev/token', token),
  ];
  const { port } = server.master;
  for (const host of [`127.0.0.1:${port}`, `[::1]:${port}`, 'localhost', `LOCALHOST:${port}`, 'a.localhost', 'gusher'])
    for (const reply of await both(host)) assert.equal(reply.status, 200, `${host}: ${reply.text}`);
  for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'xlocalhost.', 'localhost.evil'])
    for (const reply of await both(host)) api.checkProblem(reply, 403, 'host_refused', host);
});

const open = { ...dev(), 'master-open': 'on' };
serverTest('unless the network keeps others away', open, async (server) => {
  const reply = await request(server.master, 'GET', '/v1/nodes', { agent: server.agent, headers: { Host: 'gusher.internal.example' } });
  assert.equal(reply.status, 200, reply.text);
});

test('keys decide about streams', async () => {
  const file = path.join(keys.freshFolder('watch'), 'keys');
  const make = async (name, ...more) =>
    (await run(['key', '--name', name, '--keys-file', file, ...more])).stdout.trim();
  const [whole, some, publisher] = [
    await make('whole', '--right', 'query'),
    await make('some', '--right', 'query', '--app', 'app'),
    await make('publisher', '--right', 'publish'),
  ];
  const bearer = (key) => ({ Authorization: `Bearer ${key}` });
  await withServer({ 'master-keys-file': file }, async (server) => {
    const refused = async (at, key, status, code) => {
      const headers = key && bearer(key);
      api.checkProblem(await request(server.master, 'GET', at, { headers }), status, code, at);
    };
    await refused('/v1/events', undefined, 401, 'key_needed');
    await refused('/v1/events', publisher, 403, 'key_without_right');
    await refused('/v1/events?app=other&channel=x', some, 403, 'key_of_other_app');
    await refused('/v1/nodes', some, 403, 'key_of_some_apps');
    for (const at of ['/v1/events?app=app', '/v1/events?channel=x'])
      await refused(at, whole, 400, 'invalid_parameter');
    await refused(`/v1/events?app=app&channel=${'x'.repeat(2000)}`, whole, 413, 'name_too_long');
    const limited = await Events.open(server.master, { app: 'app', channel: 'news' }, bearer(some));
    assert.equal((await limited.next('hello')).nodes, false);
    const full = await Events.open(server.master, {}, bearer(whole));
    assert.equal((await full.next('hello')).nodes, true);
    // Keys that are gone look at nothing any more.
    server.process.signal('SIGHUP');
    assert.equal(await limited.ended, true);
    assert.equal(await full.ended, true);
  });
});

clusterTest('in a cluster: any master, all nodes', { slaves: 2, masters: 2 }, async (cluster) => {
  const [one, other] = cluster.masters.map((m) => m.master);
  await until(async () => (await asked(one, 'listNodes', '/v1/nodes')).length === 4, 'all four nodes');
  const nodes = await asked(other, 'listNodes', '/v1/nodes');
  assert.deepEqual(nodes.map((n) => n.roles.join()).sort(), ['master', 'master', 'slave', 'slave']);
  assert.equal(new Set(nodes.map((n) => n.node)).size, 4);
  for (const slave of cluster.slaves) {
    const client = await cluster.login({ user: 'ann', channels: ['*'] }, slave);
    await client.subscribe('news');
  }
  const sockets = await asked(one, 'listSocketsOfUser', '/v1/apps/app/users/ann/sockets');
  assert.equal(new Set(sockets.map((s) => s.node)).size, 2);
  for (const s of sockets) await asked(other, 'getSocket', `/v1/apps/app/sockets/${s.socket_id}`);
  assert.deepEqual(await search(one, 'channels', {}), [1, ['news 2']]);
  assert.deepEqual(await search(one, 'users', {}), [1, ['ann 2']]);
  // What is published on one master is in the tail of the other, which holds no socket, from its hello on.
  const tails = await Promise.all([one, other].map((m) => Events.open(m, { app: 'app', channel: 'quiet' })));
  await Promise.all(tails.map((t) => t.next('hello')));
  for (let i = 0; i < 5; i++) {
    const body = JSON.stringify({ event: 'e', data: i });
    const reply = await request(i % 2 ? one : other, 'POST', '/v1/apps/app/channels/quiet/messages', { body });
    assert.equal(reply.status, 200, reply.text);
    for (const tail of tails) assert.equal((await tail.next('message')).data, i);
  }
  for (const tail of tails) tail.close();
  await cluster.killMember(cluster.slaves[1]);
  await until(async () => (await asked(one, 'listNodes', '/v1/nodes')).length === 3, 'one node less');
});

clusterTest('while NATS is away a tail begins, and goes on when it is back', {}, async (cluster) => {
  const [{ master }] = cluster.masters;
  await cluster.nats.kill();
  await until(async () => (await request(master, 'GET', '/readyz')).status === 503, 'the bus is away');
  const tail = await Events.open(master, { app: 'app', channel: 'news' });
  await tail.next('hello');
  const { nodes } = await tail.next('nodes');
  assert.deepEqual(nodes.map((n) => [n.roles.join(), n.bus]), [['master', 'away']]);
  await cluster.nats.restart();
  await until(async () => (await request(master, 'GET', '/readyz')).status === 200, 'the bus is back');
  const body = '{"event":"e","data":"back"}';
  await until(async () => {
    const reply = await request(master, 'POST', '/v1/apps/app/channels/news/messages', { body });
    return reply.status === 200;
  }, 'a publish is taken');
  assert.equal((await tail.next('message')).data, 'back');
  tail.close();
});
