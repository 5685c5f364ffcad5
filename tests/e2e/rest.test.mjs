// The modern API below /v1: what it does, beside what its document says (openapi.test.mjs).
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { clusterTest } from './support/cluster.mjs';
import { run, serverTest, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { Raw } from './support/raw.mjs';
import { until } from './support/wait.mjs';

const PROBLEM = 'application/problem+json';

/** A request below /v1; the body as text or as what is to become JSON. */
function v1(server, method, target, body = '', headers = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return request(server.master, method, `/v1${target}`, { body: text, headers, agent: server.agent });
}

async function assertAnswer(reply, text) {
  const { status, text: got, headers } = await reply;
  assert.deepEqual([status, got], [200, text]);
  assert.equal(headers['content-type'], 'application/json;charset=UTF-8');
}

async function assertProblem(reply, status, code) {
  const got = await reply;
  assert.equal(got.status, status, got.text);
  assert.equal(got.headers['content-type'], PROBLEM);
  assert.equal(got.json().code, code);
  return got;
}

serverTest('what is published is what is sent, byte for byte', {}, async (server) => {
  const client = await server.login({ app: 'shop', user: 'u' });
  await client.subscribe('ch');
  const id = await client.socketId();
  const values = [
    '{"b" : 1.0,"a":[ 1e400, 9007199254740993 ],"a":2}',
    '"a string \\u0041 stays"',
    '"{\\"not\\":\\"parsed\\"}"',
    '"1"',
    'null',
    '-0.10',
    '""',
    '[]',
  ];
  for (const data of values) {
    const told = `{"channel":"ch","event":"e\\n\\u00fc","data":${data}}`;
    await assertAnswer(
      v1(server, 'POST', '/apps/shop/channels/ch/messages', ` {"data": ${data} ,"event":"e\\n\\u00fc"}`),
      told,
    );
    const heard = await client.next();
    assert.ok(heard.endsWith(`"data":${data}}`), heard);
    assert.equal(JSON.parse(heard).event, 'e\nü');
    await assertAnswer(
      v1(server, 'POST', '/apps/shop/users/u/messages', `{"data":${data}}`),
      `{"user_id":"u","data":${data}}`,
    );
    await client.expect(data);
    await assertAnswer(
      v1(server, 'POST', `/apps/shop/sockets/${id}/messages`, `{"data":${data}}`),
      `{"socket_id":"${id}","data":${data}}`,
    );
    await client.expect(data);
    await assertAnswer(
      v1(server, 'POST', '/apps/shop/messages', `{"channel_pattern":"^c","event":"p","data":${data}}`),
      '{"total":1,"pattern":"^c"}',
    );
    await client.expect(`{"channel":"ch","event":"p","data":${data}}`);
    await assertAnswer(
      v1(
        server,
        'POST',
        '/apps/shop/messages/batch',
        `[{"channel":"ch","event":"1","data":${data}},{"channel":"no","event":"2","data":1},{"data":${data},"event":"3","channel":"c\\u0068"}]`,
      ),
      '{"total":3}',
    );
    await client.expect(
      `{"channel":"ch","event":"1","data":${data}}`,
      `{"channel":"ch","event":"3","data":${data}}`,
    );
  }
  await server.assertSilent(client, 'shop');
});

serverTest('names in paths are what they say', {}, async (server) => {
  const client = await server.login({ app: 'a/b', user: 'ü/ %' });
  await client.subscribe('x/y?z');
  const message = { event: 'e', data: 1 };
  const target = `/apps/a%2Fb/channels/${encodeURIComponent('x/y?z')}/messages`;
  await assertAnswer(v1(server, 'POST', target, message), '{"channel":"x/y?z","event":"e","data":1}');
  await client.expect('{"channel":"x/y?z","event":"e","data":1}');
  const users = await v1(server, 'GET', '/apps/a%2Fb/users');
  assert.deepEqual(users.json(), ['ü/ %']);
  // An app may have any name, and none is mistaken for a path of the other API.
  await assertAnswer(v1(server, 'GET', '/apps/channels/channels'), '[]');
  await assertProblem(v1(server, 'GET', '/channels'), 404, 'not_found');
});

serverTest('a batch is judged whole before anything is sent', {}, async (server) => {
  const client = await server.login({ app: 'shop' });
  await client.subscribe('ch');
  const good = { channel: 'ch', event: 'e', data: 1 };
  const reply = await v1(server, 'POST', '/apps/shop/messages/batch', [good, good, { channel: 'ch', event: 'e' }]);
  assert.deepEqual(reply.json(), {
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    code: 'missing_member',
    detail: 'The member "data" of element 2 is missing.',
    pointer: '/2/data',
  });
  await server.assertSilent(client, 'shop');
  await assertAnswer(v1(server, 'POST', '/apps/shop/messages/batch', '[]'), '{"total":0}');
});

serverTest("a user's channels are added to and replaced", {}, async (server) => {
  const client = await server.login({ app: 'shop', user: 'u', channels: ['a', 'b'] });
  await client.subscribe('a', 'b');
  await assertAnswer(
    v1(server, 'POST', '/apps/shop/users/u/channels', '{"channel":"c\\u0064"}'),
    '{"user_id":"u","data":"c\\u0064"}',
  );
  await client.expect('{"event":"gusher.addchannel","socket_id":"","data":{"channel":"cd"}}');
  await client.subscribe('cd');
  await assertAnswer(
    v1(server, 'PUT', '/apps/shop/users/u/channels', '{"channels":["b", "x*"]}'),
    '{"user_id":"u","data":["b", "x*"]}',
  );
  await client.expect('{"event":"gusher.reloadchannel","socket_id":"","data":{"channels":["b","x*"]}}');
  assert.deepEqual((await v1(server, 'GET', '/apps/shop/channels')).json(), ['b']);
  await assertAnswer(v1(server, 'GET', '/apps/shop/channels/count'), '{"count":1}');
  await assertAnswer(v1(server, 'GET', '/apps/shop/channels/b/users'), '["u"]');
  await assertAnswer(v1(server, 'GET', '/apps/shop/channels/b/users/count'), '{"count":1}');
  await assertAnswer(v1(server, 'GET', '/apps/shop/users/count'), '{"count":1}');
});

serverTest('a page uses it alone: auth, a socket, an end by its backend', {}, async (server) => {
  const jwt = keys.sign({ ...keys.claims({ app: 'shop', user: 'u' }), jti: 't1' });
  const auth = () =>
    request(server.slave, 'POST', '/v1/auth', { body: JSON.stringify({ jwt }), agent: server.agent });
  const reply = await auth();
  assert.equal(reply.headers['access-control-allow-origin'], '*');
  const preflight = await request(server.slave, 'OPTIONS', '/v1/auth');
  assert.equal(preflight.status, 204);
  const connect = (token) =>
    server.connect(`ws://${server.slave.host}:${server.slave.port}/v1/apps/shop/ws?token=${token}`);
  const { token } = reply.json();
  const [one, two] = [await connect(token), await connect(jwt)];
  await assertAnswer(
    v1(server, 'POST', `/apps/shop/sockets/${await one.socketId()}/kick`, { reason: 'ü' }),
    `{"app":"shop","socket_id":"${one.id}"}`,
  );
  assert.deepEqual(await one.closed(), { code: 4002, reason: 'ü' });
  await assertAnswer(v1(server, 'POST', '/apps/shop/users/u/kick'), '{"app":"shop","user_id":"u"}');
  assert.deepEqual(await two.closed(), { code: 4002, reason: 'closed by the backend' });

  const three = await connect(token);
  const until_s = Math.floor(Date.now() / 1000) + 1000;
  await assertAnswer(
    v1(server, 'PUT', '/apps/shop/bans/users/u', { until: until_s }),
    `{"app":"shop","user_id":"u","until":${until_s}}`,
  );
  assert.equal((await three.closed()).code, 4003);
  await assertProblem(auth(), 403, 'banned');
  await assert.rejects(connect(token), /refused: 403 .*"code":"banned"/);
  const forSome = await v1(server, 'PUT', '/apps/shop/bans/tokens/t1', { for: 60 });
  assert.ok(Math.abs(forSome.json().until - Date.now() / 1000 - 60) < 30);
  const bans = (await v1(server, 'GET', '/apps/shop/bans')).json();
  assert.deepEqual(bans.map((ban) => ban.user_id ?? ban.jti).sort(), ['t1', 'u']);
  for (const [target, name] of [['users/u', '"user_id":"u"'], ['tokens/t1', '"jti":"t1"']])
    await assertAnswer(
      v1(server, 'DELETE', `/apps/shop/bans/${target}`),
      `{"app":"shop",${name},"lifted":true}`,
    );
  await assertAnswer(v1(server, 'GET', '/apps/shop/bans'), '[]');
  const four = await connect(token);
  await assertAnswer(v1(server, 'POST', '/apps/shop/kick', '{}'), '{"app":"shop"}');
  assert.equal((await four.closed()).code, 4002);
  for (const body of [{}, { until: 1 }, { for: 0 }, { for: 1e10 }, { for: 1, until: until_s }])
    await assertProblem(v1(server, 'PUT', '/apps/shop/bans/users/u', body), 400, 'invalid_period');
  for (const body of ['{"for":1.5}', '{"for":-1}', '{"for":1e3}'])
    await assertProblem(v1(server, 'PUT', '/apps/shop/bans/users/u', body), 400, 'wrong_type');
  const reason = { reason: 'x'.repeat(124) };
  await assertProblem(v1(server, 'POST', '/apps/shop/kick', reason), 400, 'invalid_reason');
});

serverTest('requests that cannot be read are problems', { 'max-body': 1024 }, async (server) => {
  const raw = async (text, address = server.master) => {
    const connection = await Raw.connect(address);
    connection.write(text);
    const reply = await connection.reply();
    connection.destroy();
    return [reply.status, reply.headers['content-type'], /"code":"(\w+)"/.exec(reply.body)?.[1]];
  };
  const head = (length) => `Host: h\r\nContent-Length: ${length}\r\n\r\n`;
  const target = '/v1/apps/a/messages/batch';
  assert.deepEqual(await raw(`POST ${target} HTTP/1.1\r\n${head(1025)}`), [413, PROBLEM, 'body_too_long']);
  assert.deepEqual(await raw(`GET ${target} HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n`), [
    400,
    PROBLEM,
    'malformed_request',
  ]);
  assert.deepEqual(await raw(`GET ${target} HTTP/1.1\r\nHost: h\r\nA: ${'a'.repeat(33_000)}\r\n\r\n`), [
    431,
    PROBLEM,
    'headers_too_long',
  ]);
  const text = 'text/plain; charset=utf-8';
  assert.deepEqual(await raw(`POST /api/push/a HTTP/1.1\r\n${head(1025)}`), [413, text, undefined]);
});

test('limits on connections are problems', async () => {
  await withServer({ 'max-connections-per-user': 1 }, async (server) => {
    const jwt = keys.sign(keys.claims({ app: 'shop', user: 'u' }));
    const url = `ws://${server.slave.host}:${server.slave.port}/v1/apps/shop/ws?token=${jwt}`;
    await server.connect(url);
    await assert.rejects(server.connect(url), /refused: 429 .*"code":"too_many_connections"/);
  });
});

// ---- stats

serverTest('stats and apps count exactly', {}, async (server) => {
  const stats = () => v1(server, 'GET', '/stats');
  const apps = () => v1(server, 'GET', '/apps');
  await assertAnswer(stats(), '{"apps":0,"connections":0,"users":0}');
  await assertAnswer(apps(), '[]');
  const clients = [];
  for (const [app, user] of [
    ['b', 'ann'], ['b', 'ann'], ['b', 'bob'], ['b', ''], ['a"', 'ann'], ['c', ''],
  ])
    clients.push(await server.login({ app, user }));
  await assertAnswer(stats(), '{"apps":3,"connections":6,"users":3}');
  const all =
    '[{"app":"a\\"","connections":1,"users":1},{"app":"b","connections":4,"users":2},{"app":"c","connections":1,"users":0}]';
  await assertAnswer(apps(), all);
  await clients[2].close();
  await clients[5].close();
  await until(
    async () => (await stats()).text === '{"apps":2,"connections":4,"users":2}',
    'the sums without those who left',
  );
});

serverTest('many sockets of many apps are counted in pages', {}, async (server) => {
  const n = 300;
  for (let i = 0; i < n; i++)
    await server.login({ app: `app${i % 40}`, user: i % 3 ? `u${i % 100}` : '' });
  const { apps, connections, users } = (await v1(server, 'GET', '/stats')).json();
  const pairs = new Set();
  for (let i = 0; i < n; i++) if (i % 3) pairs.add(`${i % 40} ${i % 100}`);
  assert.deepEqual([apps, connections, users], [40, n, pairs.size]);
});

test('a key sees the apps that it is for', async () => {
  const file = path.join(keys.freshFolder('rest'), 'keys');
  const { stdout } = await run(['key', '--name', 'k', '--keys-file', file, '--app', 'a', '--app', 'c']);
  const headers = { Authorization: `Bearer ${stdout.trim()}` };
  await withServer({ 'master-keys-file': file }, async (server) => {
    for (const app of ['a', 'b', 'c']) await server.login({ app, user: 'u' });
    await assertAnswer(
      v1(server, 'GET', '/stats', '', headers),
      '{"apps":2,"connections":2,"users":2}',
    );
    const apps = await v1(server, 'GET', '/apps', '', headers);
    assert.deepEqual(apps.json().map(({ app }) => app), ['a', 'c']);
  });
});

clusterTest(
  'over a cluster a user is counted once',
  { slaves: 2, masters: 2 },
  async (cluster) => {
    for (const slave of cluster.slaves) {
      await cluster.login({ app: 'shop', user: 'ann' }, slave);
      await cluster.login({ app: 'shop', user: '' }, slave);
      await cluster.login({ app: 'shop', user: `of ${slave.slave.port}` }, slave);
    }
    await cluster.login({ app: 'chat', user: 'ann' }, cluster.slaves[1]);
    for (const master of cluster.masters) {
      await assertAnswer(v1(master, 'GET', '/stats'), '{"apps":2,"connections":7,"users":4}');
      await assertAnswer(
        v1(master, 'GET', '/apps'),
        '[{"app":"chat","connections":1,"users":1},{"app":"shop","connections":6,"users":3}]',
      );
    }
    await cluster.killMember(cluster.slaves[1]);
    const late = await v1(cluster.masters[0], 'GET', '/apps');
    const left = '[{"app":"shop","connections":3,"users":2}]';
    if (late.headers['gusher-missing-nodes'] === undefined) assert.equal(late.text, left);
    await until(async () => {
      const reply = await v1(cluster.masters[0], 'GET', '/apps');
      return reply.text === left && !reply.headers['gusher-missing-nodes'];
    }, 'the sums of those who are left');
  },
);

// ---- idempotency keys

const key = (value) => ({ 'Idempotency-Key': value });

serverTest('a publish with a key is carried out once', {}, async (server) => {
  const client = await server.login({ app: 'shop', user: 'u' });
  await client.subscribe('ch');
  const id = await client.socketId();
  const publishes = [
    ['/apps/shop/channels/ch/messages', { event: 'e', data: 1 }],
    ['/apps/shop/messages', { channel_pattern: 'ch', event: 'e', data: 2 }],
    ['/apps/shop/messages/batch', [{ channel: 'ch', event: 'e', data: 3 }]],
    ['/apps/shop/users/u/messages', { data: 4 }],
    [`/apps/shop/sockets/${id}/messages`, { data: 5 }],
  ];
  for (const [target, body] of publishes) {
    const first = await v1(server, 'POST', target, body, key('k 1'.replace(' ', '-')));
    assert.deepEqual([first.status, first.headers['idempotency-replayed']], [200, undefined]);
    await client.next();
    for (let i = 0; i < 3; i++) {
      const again = await v1(server, 'POST', target, body, key('k-1'));
      assert.equal(again.headers['idempotency-replayed'], 'true');
      assert.deepEqual([again.status, again.text], [200, first.text]);
      assert.equal(again.headers['content-type'], first.headers['content-type']);
    }
    await assertProblem(
      v1(server, 'POST', target, `${JSON.stringify(body)} `, key('k-1')),
      422,
      'idempotency_key_reused',
    );
    await server.assertSilent(client, 'shop');
    // Another key, or none, is another message.
    await assertAnswer(v1(server, 'POST', target, body, key('k-2')), first.text);
    await assertAnswer(v1(server, 'POST', target, body), first.text);
    await client.next();
    await client.next();
  }
  await server.assertSilent(client, 'shop');
});

serverTest('keys are 1 to 255 visible characters', {}, async (server) => {
  const target = '/apps/shop/channels/ch/messages';
  const body = { event: 'e', data: 1 };
  for (const good of ['x', '!'.repeat(255), '"quoted"'])
    assert.equal((await v1(server, 'POST', target, body, key(good))).status, 200, good);
  for (const bad of ['', 'a b', 'x'.repeat(256), 'a\tb', 'ü'])
    await assertProblem(v1(server, 'POST', target, body, key(bad)), 400, 'invalid_idempotency_key');
  // Elsewhere it says nothing.
  assert.equal((await v1(server, 'GET', '/apps/shop/users', '', key('a b'))).status, 200);
  assert.equal((await v1(server, 'POST', '/apps/shop/users/u/kick', '', key('a b'))).status, 200);
});

serverTest('what was refused may come again', { 'max-payload': 100 }, async (server) => {
  const target = '/apps/shop/channels/ch/messages';
  const refused = [
    ['{', 400],
    [{ event: 'e' }, 400],
    [{ event: 'e', data: 'x'.repeat(101) }, 413],
  ];
  for (const [body, status] of refused)
    for (let i = 0; i < 2; i++)
      assert.equal((await v1(server, 'POST', target, body, key('k'))).status, status);
  const body = { event: 'e', data: 1 };
  const reply = await v1(server, 'POST', target, body, key('k'));
  assert.deepEqual([reply.status, reply.headers['idempotency-replayed']], [200, undefined]);
});

serverTest('a key is in use until its request is answered', {}, async (server) => {
  const client = await server.login({ app: 'shop' });
  await client.subscribe('ch');
  const body = { channel_pattern: '^c', event: 'e', data: 1 };
  const replies = await Promise.all(
    Array.from({ length: 24 }, () => v1(server, 'POST', '/apps/shop/messages', body, key('k'))),
  );
  const first = replies.filter((r) => r.status === 200 && !r.headers['idempotency-replayed']);
  assert.equal(first.length, 1);
  for (const reply of replies) {
    if (reply.status === 200) assert.equal(reply.text, first[0].text);
    else await assertProblem(reply, 409, 'idempotency_key_in_use');
    assert.equal(reply.headers['retry-after'], reply.status === 409 ? '1' : undefined);
  }
  await client.next();
  await server.assertSilent(client, 'shop');
});

test('each key of the master has idempotency keys of its own', async () => {
  const file = path.join(keys.freshFolder('rest'), 'keys');
  const shown = [];
  for (const name of ['one', 'two']) {
    const { stdout } = await run(['key', '--name', name, '--keys-file', file]);
    shown.push({ Authorization: `Bearer ${stdout.trim()}`, ...key('k') });
  }
  await withServer({ 'master-keys-file': file }, async (server) => {
    const send = (headers, data) =>
      v1(server, 'POST', '/apps/shop/channels/c/messages', { event: 'e', data }, headers);
    assert.equal((await send(shown[0], 1)).status, 200);
    const other = await send(shown[1], 2);
    assert.deepEqual([other.status, other.headers['idempotency-replayed']], [200, undefined]);
    await assertProblem(send(shown[1], 1), 422, 'idempotency_key_reused');
    assert.equal((await send(shown[0], 1)).headers['idempotency-replayed'], 'true');
  });
});

clusterTest('masters know of each other what was published', { masters: 2 }, async (cluster) => {
  const client = await cluster.login({ app: 'shop' });
  await client.subscribe('ch');
  const [one, two] = cluster.masters;
  for (let i = 0; i < 20; i++) {
    const send = (master) =>
      v1(master, 'POST', '/apps/shop/channels/ch/messages', { event: 'e', data: i }, key(`k${i}`));
    const first = await send(one);
    assert.equal(first.status, 200);
    await client.expect(`{"channel":"ch","event":"e","data":${i}}`);
    // The other one hears of it by another road than we do. A body that is none tells whether it has.
    const target = '/apps/shop/channels/ch/messages';
    await until(
      async () => (await v1(two, 'POST', target, '{', key(`k${i}`))).status === 422,
      'word of the key at the other master',
    );
    const again = await send(two);
    assert.equal(again.text, first.text);
    assert.equal(again.headers['idempotency-replayed'], 'true');
  }
  for (const master of cluster.masters) await cluster.assertSilent(client, 'shop', master);
});
