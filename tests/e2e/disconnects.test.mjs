// The flight recorder: why sockets have ended, also after they are gone.
import assert from 'node:assert/strict';
import { clusterTest } from './support/cluster.mjs';
import { serverTest } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import { until } from './support/wait.mjs';

const asked = async (to, path) => {
  const reply = await request(to, 'GET', `/v1/apps/${path}/disconnects`);
  assert.equal(reply.status, 200, reply.text);
  return reply.json();
};

serverTest('why sockets have ended', {}, async (server) => {
  const began = Math.floor(Date.now() / 1000);
  const ids = {};
  const ends = {
    ann: async (client) => client.close(4321, 'bye'),
    bob: async (client) => client.terminate(),
    cyd: async (client) => (client.send('nonsense'), client.closed()),
    'dan/x': async (client) => (await server.post('/kick/user/app/dan%2Fx', { reason: 'go' }), client.closed()),
  };
  for (const [user, end] of Object.entries(ends)) {
    const client = await server.login({ user });
    ids[user] = await client.socketId();
    await end(client);
  }
  await (await server.login({ user: '', app: 'other' })).close();
  const all = await until(async () => {
    const list = await asked(server.master, 'app');
    return list.length === 4 && list;
  }, 'all four');
  for (const { since, ended } of all) assert.ok(began <= since && since <= ended && ended <= began + 600);
  const told = Object.fromEntries(
    all.map(({ user_id: user, socket_id: id, reason, code, detail }) => [user, { id, reason, code, detail }]),
  );
  assert.deepEqual(told, {
    ann: { id: ids.ann, reason: 'client', code: 4321, detail: '' },
    bob: { id: ids.bob, reason: 'gone', code: 1006, detail: '' },
    cyd: { id: ids.cyd, reason: 'bad_command', code: 1007, detail: 'not JSON' },
    'dan/x': { id: ids['dan/x'], reason: 'kicked', code: 4002, detail: 'go' },
  });
  assert.deepEqual((await asked(server.master, 'app/users/cyd')).map(({ reason }) => reason), ['bad_command']);
  assert.equal((await asked(server.master, 'app/users/dan%2Fx')).length, 1);
  assert.deepEqual(await asked(server.master, 'app/users/nobody'), []);
  assert.deepEqual((await asked(server.master, 'other')).map(({ user_id: user }) => user), ['']);
});

clusterTest('in a cluster any master tells of all slaves', { slaves: 2 }, async (cluster) => {
  for (const slave of cluster.slaves)
    await (await cluster.login({ user: 'ann', channels: ['*'] }, slave)).close();
  for (const { master } of cluster.masters)
    await until(async () => (await asked(master, 'app/users/ann')).length === 2, 'both ends');
});
