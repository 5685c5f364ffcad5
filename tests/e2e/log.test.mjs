// The log: a level for each area, changed while it runs; ids that lead from a refusal to its line.
import assert from 'node:assert/strict';
import { clusterTest } from './support/cluster.mjs';
import { run, serverTest } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import { until } from './support/wait.mjs';

const put = (to, body) => request(to, 'PUT', '/v1/log', { body: JSON.stringify(body) });

serverTest('levels of areas change while it runs', {}, async (server) => {
  const ask = () => request(server.master, 'GET', '/v1/stats', { headers: { 'X-Request-Id': 'mine' } });
  await ask();
  assert.deepEqual(server.logged('request'), [], 'requests are not logged at first');
  const reply = await put(server.master, { levels: 'warn,http=debug,sockets=debug' });
  assert.deepEqual([reply.status, reply.json()], [200, { levels: 'warn,http=debug,sockets=debug', node: '' }]);
  await ask();
  const line = await until(() => server.logged('request').find((l) => l.request === 'mine'), 'its line');
  const { method, path, status, level } = line;
  assert.deepEqual({ method, path, status, level }, { method: 'GET', path: '/v1/stats', status: 200, level: 'debug' });
  assert.ok(line.us >= 0 && line.us < 10_000_000, `${line.us}`);
  const client = await server.login({ user: 'ann', channels: ['*'] });
  const id = await client.socketId();
  const opened = await until(() => server.logged('socket_opened').find((l) => l.socket === id), 'its coming');
  assert.deepEqual([opened.app, opened.user, opened.address], ['app', 'ann', '127.0.0.1']);
  await client.close();
  await until(() => server.logged('socket_closed').find((l) => l.socket === id), 'its end');
  // The token is in the query of the handshake, which is in no line.
  assert.ok(!server.stderr.includes('token='));
  await put(server.master, { levels: 'silent' });
  const before = server.stderr;
  await ask();
  await put(server.master, { levels: 'info' });
  const [after] = await server.log('log_levels', 1).then(() => server.logged('log_levels').slice(-1));
  assert.equal(after.levels, 'info');
  assert.equal(server.logged('request').filter((l) => l.request === 'mine').length, 1, before);
});

serverTest('a request has an id, its own or ours', {}, async (server) => {
  const ask = (path, id) => request(server.master, 'GET', path, { headers: id && { 'X-Request-Id': id } });
  assert.equal((await ask('/v1/stats')).headers['x-request-id'], undefined);
  assert.equal((await ask('/v1/stats', 'a-1')).headers['x-request-id'], 'a-1');
  const [one, two] = [await ask('/v1/nothing'), await ask('/v1/nothing')].map((r) => r.headers['x-request-id']);
  assert.match(one, /^[0-9a-f]{8}-\d+-[0-9a-f]+$/);
  assert.notEqual(one, two);
  assert.equal((await ask('/v1/nothing', 'b')).headers['x-request-id'], 'b');
  // What could not stand in a log or a header is not taken over.
  for (const bad of ['x'.repeat(129), 'a b', 'ü'.repeat(3)])
    assert.match((await ask('/v1/nothing', Buffer.from(bad).toString('latin1'))).headers['x-request-id'], /^[0-9a-f]{8}-/);
});

serverTest('wrong levels are refused', {}, async (server) => {
  for (const levels of ['loud', 'bus', 'bus=loud', 'cars=info', 'info;warn']) {
    const reply = await put(server.master, { levels });
    assert.deepEqual([reply.status, reply.json().code], [400, 'invalid_log_levels'], levels);
  }
  const reply = await put(server.master, { levels: 'info', node: 'x y' });
  assert.deepEqual([reply.status, reply.json().code], [400, 'invalid_parameter']);
  const ended = await run(['all', '--dev', '--log-level', 'loud']);
  assert.equal(ended.code, 2);
  assert.match(ended.stderr, /--log-level .*debug, info, warn, error or silent/);
});

clusterTest('in a cluster all nodes change theirs, or one', { slaves: 2 }, async (cluster) => {
  const [{ master }] = cluster.masters;
  const levels = async () => {
    const nodes = (await request(master, 'GET', '/v1/nodes')).json();
    return Object.fromEntries(nodes.map((n) => [n.node, n.log]));
  };
  await until(async () => Object.keys(await levels()).length === 3, 'three nodes');
  assert.equal((await put(master, { levels: 'info,bus=debug' })).status, 200);
  const all = (wanted) => async () => Object.values(await levels()).every((l) => l === wanted);
  await until(all('info,bus=debug'), 'all of them');
  const nodes = (await request(master, 'GET', '/v1/nodes')).json();
  const { node } = nodes.find((n) => n.roles.includes('slave'));
  assert.equal((await put(master, { levels: 'sockets=debug', node })).status, 200);
  await until(async () => (await levels())[node].includes('sockets=debug'), 'that one');
  const others = Object.entries(await levels()).filter(([id]) => id !== node);
  assert.deepEqual(others.map(([, l]) => l), ['info,bus=debug', 'info,bus=debug']);
});
