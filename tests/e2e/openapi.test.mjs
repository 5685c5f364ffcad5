// The modern API is what its OpenAPI document says: requests are made of the document, good and
// bad, and every answer is checked against it.
import { Validator } from '@seriousme/openapi-schema-validator';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { clusterTest } from './support/cluster.mjs';
import { root, run, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { Api } from './support/openapi.mjs';
import { upgradeHeaders } from './support/raw.mjs';

const NAME_MAX = 1024;

/** What needs a socket that is there, or does not end: watch.test.mjs asks for these. */
const watched = ['getSocket', 'events'];

/** A server whose master has a key of each right, and one of another app; and what it says. */
async function withApi(body, flags = {}) {
  const file = path.join(keys.freshFolder('openapi'), 'keys');
  const key = {};
  const make = async (name, ...more) => {
    const { stdout } = await run(['key', '--name', name, '--keys-file', file, ...more]);
    key[name] = stdout.trim();
  };
  for (const right of ['publish', 'query', 'admin']) await make(right, '--right', right);
  const all = ['publish', 'query', 'admin'].flatMap((right) => ['--right', right]);
  await make('other', '--app', 'another', ...all);
  await withServer({ 'master-keys-file': file, ...flags }, async (server) => {
    const reply = await request(server.master, 'GET', '/v1/openapi.json');
    await body(server, new Api(reply.json()), key);
  });
}

const jwt = () => keys.sign(keys.claims({ app: 'shop' }));
const bearer = (key) => (key ? { Authorization: `Bearer ${key}` } : {});

/** The values of the parameters of a path. */
const values = (o) =>
  Object.fromEntries(
    o.parameters.filter((p) => p.in === 'path').map((p) => [p.name, p.example ?? p.name]),
  );

const pathOf = (o, given) =>
  o.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(given[name]));

const tokenOf = (o) => (o.parameters.some((p) => p.name === 'token') ? { token: jwt() } : undefined);

/** Who serves it. */
const addressOf = (server, o) => (o.tags.includes('slave') ? server.slave : server.master);

function send(server, o, { given = values(o), key, headers, target, method, ...options } = {}) {
  return request(addressOf(server, o), method ?? o.method, target ?? pathOf(o, given), {
    agent: server.agent,
    query: tokenOf(o),
    headers: { ...bearer(key), ...headers },
    ...options,
  });
}

/** Bodies with a JWT need one that is good. */
const withJwt = (text) => text.replace('"a.b.c"', JSON.stringify(jwt()));

test('the document is OpenAPI 3.1, the same wherever it is asked for', async () => {
  await withApi(async (server, api) => {
    const replies = [
      await request(server.master, 'GET', '/v1/openapi.json'),
      await request(server.slave, 'GET', '/v1/openapi.json'),
    ];
    for (const reply of replies) {
      assert.equal(reply.status, 200);
      assert.equal(reply.headers['content-type'], 'application/json;charset=UTF-8');
      assert.equal(reply.text, fs.readFileSync(path.join(root, 'src/api/openapi.json'), 'utf8'));
    }
    const validator = new Validator();
    const { valid, errors } = await validator.validate(replies[0].json());
    assert.ok(valid, JSON.stringify(errors, null, 1));
    assert.equal(validator.version, '3.1');
    const ids = api.operations.map((o) => o.operationId);
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(ids.length >= 29);
  });
});

test('the codes of problems are the documented ones', async () => {
  await withApi(async (_, api) => {
    const text = fs.readFileSync(path.join(root, 'docs/API.md'), 'utf8');
    const [, table] = /\n#### Codes\n([^]*?)\n#/.exec(text);
    const rows = table.split('\n').filter((line) => line.startsWith('| `'));
    const documented = rows.flatMap((row) => [...row.split('|')[1].matchAll(/`(\w+)`/g)].map(([, c]) => c));
    assert.deepEqual(documented.sort(), api.document.components.schemas.Code.enum);
  });
});

test('good requests are answered as the document says', async () => {
  await withApi(async (server, api, key) => {
    for (const o of api.operations) {
      const what = `${o.method} ${o.path}`;
      if (['openSocket', ...watched].includes(o.operationId)) continue;
      const options = { key: key[o['x-right']] };
      if (!o.requestBody) {
        const reply = await send(server, o, options);
        assert.equal(reply.status, 200, `${what}: ${reply.text}`);
        api.check(o, reply, what);
        if (o.method === 'GET') {
          const head = await send(server, o, { ...options, method: 'HEAD' });
          assert.deepEqual([head.status, head.text], [200, ''], what);
        }
        continue;
      }
      for (const text of api.goodBodies(o)) {
        const isGood = !/jwt|levels/.test(text) || /a\.b\.c|bus=debug/.test(text);
        const reply = await send(server, o, { ...options, body: withJwt(text) });
        assert.equal(reply.status === 200, isGood, `${what} ${text}: ${reply.text}`);
        api.check(o, reply, `${what} ${text}`);
      }
      // Its type does not matter, and no body is one where none is needed.
      const type = { 'Content-Type': 'text/plain' };
      const body = withJwt(api.goodBodies(o)[0]);
      api.check(o, await send(server, o, { ...options, body, headers: type }), what);
      if (!o.requestBody.required) assert.equal((await send(server, o, options)).status, 200, what);
    }
    const socket = api.operations.find((o) => o.operationId === 'openSocket');
    const client = await server.connect(
      `ws://${server.slave.host}:${server.slave.port}${pathOf(socket, { app: 'shop' })}?token=${jwt()}`,
    );
    await client.subscribe('AA');
  });
});

test('bad bodies are refused with a code and a place', async () => {
  await withApi(async (server, api, key) => {
    for (const o of api.operations.filter((op) => op.requestBody)) {
      for (const [body, code, pointer] of api.badBodies(o)) {
        const what = `${o.method} ${o.path} ${body.slice(0, 80)}`;
        const reply = await send(server, o, { key: key[o['x-right']], body });
        api.check(o, reply, what);
        const problem = api.checkProblem(reply, 400, code, what);
        if (pointer) assert.equal(problem.pointer, pointer, what);
      }
    }
  });
});

test('only keys with the right for the app may call the master', async () => {
  await withApi(async (server, api, key) => {
    for (const o of api.operations) {
      const what = `${o.method} ${o.path}`;
      const right = o['x-right'];
      if (!right) {
        assert.deepEqual(o.security, [], what);
        continue;
      }
      const refused = async (shown, status, code) => {
        const reply = await send(server, o, { key: shown });
        api.check(o, reply, what);
        api.checkProblem(reply, status, code, what);
        assert.match(reply.headers['www-authenticate'], /^Bearer/, what);
      };
      await refused(undefined, 401, 'key_needed');
      await refused('gk_unknown', 401, 'key_unknown');
      for (const other of ['publish', 'query', 'admin'])
        if (other !== right) await refused(key[other], 403, 'key_without_right');
      if (o.parameters.some((p) => p.name === 'app' && p.in === 'path'))
        await refused(key.other, 403, 'key_of_other_app');
    }
  });
});

test('wrong paths, methods and names are problems', async () => {
  await withApi(async (server, api, key) => {
    for (const o of api.operations.filter(({ path: at }) => at.startsWith('/v1/'))) {
      const what = `${o.method} ${o.path}`;
      const options = { key: key[o['x-right']] };
      const allowed = api.methodsOf(o.path);
      for (const method of ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS']) {
        if (allowed.includes(method) || (method === 'OPTIONS' && o.path === '/v1/auth')) continue;
        const reply = await send(server, o, { ...options, method });
        api.checkProblem(reply, 405, 'method_not_allowed', `${method} ${o.path}`);
        const named = reply.headers.allow.split(', ').filter((m) => m !== 'OPTIONS');
        assert.deepEqual(named.sort(), [...allowed].sort(), what);
      }
      for (const target of [`${pathOf(o, values(o))}/`, `${pathOf(o, values(o))}/more`])
        api.checkProblem(await send(server, o, { ...options, target }), 404, 'not_found', target);
      for (const name of Object.keys(values(o))) {
        const given = { ...values(o), [name]: 'n'.repeat(NAME_MAX + 1) };
        const reply = await send(server, o, { ...options, given });
        api.check(o, reply, what);
        api.checkProblem(reply, 413, 'name_too_long', `${what} ${name}`);
        const target = o.path.replace(`{${name}}`, '%zz').replace(/\{\w+\}/g, 'x');
        const broken = await send(server, o, { ...options, target });
        api.checkProblem(broken, 400, 'malformed_request', `${what} ${name}`);
      }
    }
    for (const target of ['/v1', '/v1/', '/v1/nothing', '/v1//apps', '/v1/apps/a/b/c/d/e/f/g/h'])
      for (const address of [server.master, server.slave])
        api.checkProblem(await request(address, 'GET', target), 404, 'not_found', target);
    // Elsewhere refusals are what they were.
    const seed = await request(server.master, 'GET', '/v2');
    assert.equal(seed.text, '404 page not found\n');
  });
});

test('limits are problems', async () => {
  const flags = { 'max-payload': 1000, 'max-batch': 3, 'max-body': 100_000 };
  await withApi(async (server, api, key) => {
    const byId = (id) => api.operations.find((o) => o.operationId === id);
    const refused = async (id, body, code, raw = JSON.stringify(body)) => {
      const o = byId(id);
      const reply = await send(server, o, { key: key[o['x-right']], body: raw });
      api.check(o, reply, id);
      api.checkProblem(reply, 413, code, id);
    };
    const long = 'x'.repeat(NAME_MAX + 1);
    const data = 'y'.repeat(1000);
    const message = { channel: 'c', event: 'e', data: 1 };
    for (const id of ['publish', 'publishToUser', 'publishToSocket', 'publishByPattern'])
      await refused(id, { channel_pattern: 'c', event: 'e', data }, 'data_too_long');
    await refused('publish', { event: long, data: 1 }, 'name_too_long');
    await refused('publishByPattern', { channel_pattern: 'c', event: long, data: 1 }, 'name_too_long');
    await refused('publishBatch', [{ ...message, channel: long }], 'name_too_long');
    await refused('publishBatch', [{ ...message, data }], 'data_too_long');
    await refused('publishBatch', Array(4).fill(message), 'too_many_messages');
    await refused('replaceChannels', { channels: Array(10_001).fill('a') }, 'too_many_channels');
    await refused('publish', null, 'body_too_long', `{"data":"${'z'.repeat(100_000)}"}`);
    const pattern = await send(server, byId('publishByPattern'), {
      key: key.publish,
      body: '{"channel_pattern":"(","event":"e","data":1}',
    });
    api.checkProblem(pattern, 400, 'invalid_pattern', 'a pattern');
  }, flags);
});

test('handshakes are refused as the document says', async () => {
  await withApi(async (server, api) => {
    const o = api.operations.find((op) => op.operationId === 'openSocket');
    const open = (app, token, headers = upgradeHeaders) =>
      request(server.slave, 'GET', `/v1/apps/${app}/ws${token ? `?token=${token}` : ''}`, {
        headers: { ...headers },
      });
    const refused = async (sent, status, code) => {
      const reply = await sent;
      api.check(o, reply, code);
      api.checkProblem(reply, status, code, code);
    };
    await refused(open('shop'), 401, 'token_needed');
    await refused(open('shop', 'nonsense'), 401, 'token_refused');
    await refused(open('elsewhere', jwt()), 401, 'token_of_other_app');
    await refused(open('shop', jwt(), {}), 400, 'not_a_websocket');
    await refused(
      open('shop', jwt(), { ...upgradeHeaders, 'Sec-WebSocket-Version': '8' }),
      426,
      'websocket_version',
    );
    const auth = api.operations.find((op) => op.operationId === 'auth');
    const reply = await send(server, auth, { body: '{"jwt":"a.b.c"}' });
    api.check(auth, reply, 'auth');
    api.checkProblem(reply, 401, 'jwt_refused', 'auth');
    assert.equal(reply.headers['access-control-allow-origin'], '*');
  });
});

clusterTest('each role has its own operations', {}, async (cluster) => {
  const [slave] = cluster.slaves;
  const [master] = cluster.masters;
  const api = new Api((await request(slave.slave, 'GET', '/v1/openapi.json')).json());
  for (const o of api.operations.filter(({ operationId: id }) => !watched.includes(id))) {
    const at = pathOf(o, values(o));
    const here = await request(slave.slave, o.method, at);
    const there = await request(master.master, o.method, at);
    const [isSlave, isAbout] = [o.tags.includes('slave'), o.tags.includes('about')];
    const is404 = (reply) => reply.status === 404 || reply.status === 405;
    assert.equal(is404(here), !isSlave && !isAbout, `${o.method} ${at} of the slave: ${here.status}`);
    assert.equal(is404(there), isSlave, `${o.method} ${at} of the master: ${there.status}`);
  }
});
