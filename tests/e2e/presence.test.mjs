// Who is there: exact at once, over several workers, and what reload and add change.
import assert from 'node:assert/strict';
import { serverTest } from './support/gusher.mjs';
import { requestText } from './support/raw.mjs';
import { until } from './support/wait.mjs';

/** Enough sockets that the kernel spreads them over both workers (all on one: 1 in 128). */
const SPREAD = 8;

/** Asserts the whole presence of an app: its users, and its channels with their users. */
async function assertPresence(server, online, channels, app = 'app') {
  const names = Object.keys(channels).sort();
  assert.deepEqual(await server.names(`/${app}/online`), [...online].sort());
  assert.deepEqual(await server.ask(`/${app}/online/count`), { count: online.length });
  assert.deepEqual(await server.names(`/${app}/channels`), names);
  assert.deepEqual(await server.ask(`/${app}/channels/count`), { count: names.length });
  for (const name of names) {
    const path = `/${app}/online/bychannel/${encodeURIComponent(name)}`;
    assert.deepEqual(await server.names(path), [...channels[name]].sort(), name);
    assert.deepEqual(await server.ask(`${path}/count`), { count: channels[name].length }, name);
  }
}

const logins = (server, n, identity) =>
  Promise.all(Array.from({ length: n }, () => server.login(identity)));

serverTest(
  'a user is there with the connect, a channel with the reply, both are gone at once',
  {},
  async (server) => {
    await assertPresence(server, [], {});
    const ann = await server.login({ user: 'ann' });
    await assertPresence(server, ['ann'], {});
    await ann.subscribe('a', 'b');
    await assertPresence(server, ['ann'], { a: ['ann'], b: ['ann'] });
    const bob = await server.login({ user: 'bob' });
    await bob.subscribe('b');
    await assertPresence(server, ['ann', 'bob'], { a: ['ann'], b: ['ann', 'bob'] });
    await ann.unsubscribe('b');
    await assertPresence(server, ['ann', 'bob'], { a: ['ann'], b: ['bob'] });
    await ann.unsubscribe('a');
    await assertPresence(server, ['ann', 'bob'], { b: ['bob'] });
    await ann.close(1000);
    await assertPresence(server, ['bob'], { b: ['bob'] });
    await bob.close(4000, 'done');
    await assertPresence(server, [], {});
  },
);

serverTest('a torn connection is gone as soon as the server hears of it', {}, async (server) => {
  const clients = await logins(server, SPREAD, { user: 'ann' });
  await Promise.all(clients.map((client) => client.subscribe('a')));
  for (const client of clients) client.terminate();
  await until(async () => !(await server.ask('/app/online')).length, 'nobody is online');
  await assertPresence(server, [], {});
});

serverTest('a kicked socket is gone before it reads why', {}, async (server) => {
  const client = await server.login({ user: 'ann' });
  await client.subscribe('a');
  client.send('this is no command');
  assert.equal((await client.closed()).code, 1007);
  await assertPresence(server, [], {});
});

serverTest(
  'a socket that does not answer the close frame is gone nevertheless',
  {},
  async (server) => {
    const raw = await server.rawSocket({ user: 'ann' });
    await assertPresence(server, ['ann'], {});
    raw.write('\xff\xff');
    assert.equal((await raw.close()).code, 1002);
    await assertPresence(server, [], {});
  },
);

serverTest('several sockets of one user count once, until the last is gone', {}, async (server) => {
  const clients = await logins(server, SPREAD, { user: 'ann' });
  await Promise.all(clients.map((client, i) => client.subscribe('all', `own-${i}`)));
  const own = Object.fromEntries(clients.map((_, i) => [`own-${i}`, ['ann']]));
  await assertPresence(server, ['ann'], { all: ['ann'], ...own });
  for (const [i, client] of clients.entries()) {
    await assertPresence(server, ['ann'], { all: ['ann'], ...own });
    await client.close();
    delete own[`own-${i}`];
  }
  await assertPresence(server, [], {});
});

serverTest('users and channels of all workers are merged', {}, async (server) => {
  const users = Array.from({ length: SPREAD }, (_, i) => `user-${i}`);
  const clients = await Promise.all(users.map((user) => server.login({ user })));
  await Promise.all(clients.map((client) => client.subscribe('all', 'über ☃/"')));
  await assertPresence(server, users, { all: users, 'über ☃/"': users });
});

serverTest('anonymous sockets make channels, but are nobody', {}, async (server) => {
  const clients = await logins(server, SPREAD, {});
  await Promise.all(clients.map((client) => client.subscribe('a', '')));
  await assertPresence(server, [], { a: [] });
  const ann = await server.login({ user: 'ann' });
  await ann.subscribe('a', '');
  // The channel without a name is never listed.
  await assertPresence(server, ['ann'], { a: ['ann'] });
});

serverTest('apps do not see each other, whatever their keys look like', {}, async (server) => {
  const apps = ['one', 'two', '*', 'o?e', '[ot]ne', 'one@channels'];
  for (const app of apps) {
    const client = await server.login({ app, user: `user of ${app}` });
    await client.subscribe(`channel of ${app}`);
  }
  for (const app of apps) {
    const channel = `channel of ${app}`;
    await assertPresence(
      server,
      [`user of ${app}`],
      { [channel]: [`user of ${app}`] },
      encodeURIComponent(app),
    );
  }
});

// ---- add and reload

const added = (channel) => ({ event: 'gusher.addchannel', socket_id: '', data: { channel } });
const reloaded = (channels) => ({
  event: 'gusher.reloadchannel',
  socket_id: '',
  data: { channels },
});

/** The permissions of a socket. */
async function permissions(client) {
  return (await client.command('gusher.querychannel', null)).data.channels;
}

serverTest('add permits one channel more, on every socket of the user', {}, async (server) => {
  const clients = await logins(server, SPREAD, { user: 'ann', channels: ['a'] });
  const stranger = await server.login({ user: 'bob', channels: ['a'] });
  const again = await server.login({ app: 'other', user: 'ann', channels: ['a'] });
  await Promise.all(clients.map((client) => client.subscribe('a')));
  await server.post('/add/channel/user/app/ann', { data: 'b*' });
  for (const client of clients) {
    assert.deepEqual(await client.nextJson(), added('b*'));
    assert.deepEqual(await permissions(client), ['a', 'b*']);
    await client.subscribe('bb');
  }
  // Twice is told twice and counts once; nothing is subscribed by it.
  await server.post('/add/channel/user/app/ann', { data: 'b*' });
  for (const client of clients) {
    assert.deepEqual(await client.nextJson(), added('b*'));
    assert.deepEqual(await permissions(client), ['a', 'b*']);
  }
  await assertPresence(server, ['ann', 'bob'], { a: ['ann'], bb: ['ann'] });
  await server.assertSilent(stranger);
  await server.assertSilent(again, 'other');
  // Only live sockets change: a new one has what its token says.
  assert.deepEqual(await permissions(await server.login({ user: 'ann', channels: ['a'] })), ['a']);
});

serverTest(
  'reload ends what the new list does not permit, before anybody hears of it',
  {},
  async (server) => {
    const clients = await logins(server, SPREAD, { user: 'ann', channels: ['*'] });
    await Promise.all(clients.map((client) => client.subscribe('keep', 'glob-1', 'gone')));
    await server.post('/reload/channel/user/app/ann', { data: '["keep","glob-*","new"]' });
    // The answer of the command stands for its effect on every worker.
    await assertPresence(server, ['ann'], { keep: ['ann'], 'glob-1': ['ann'] });
    await server.push('app', 'gone', 'e', '1');
    await server.push('app', 'glob-1', 'e', '2');
    for (const client of clients) {
      assert.deepEqual(await client.nextJson(), reloaded(['keep', 'glob-*', 'new']));
      await client.expect('{"channel":"glob-1","event":"e","data":2}');
      assert.deepEqual(await permissions(client), ['keep', 'glob-*', 'new']);
      const reply = await client.command('gusher.subscribe', { channel: 'gone' });
      assert.equal(reply.event, 'gusher.subscribe_error');
    }
    await server.post('/reload/channel/user/app/ann', { data: '["*"]' });
    await assertPresence(server, ['ann'], { keep: ['ann'], 'glob-1': ['ann'] });
    await server.post('/reload/channel/user/app/ann', { data: '[]' });
    await assertPresence(server, ['ann'], {});
    for (const client of clients) {
      assert.deepEqual(await client.nextJson(), reloaded(['*']));
      assert.deepEqual(await client.nextJson(), reloaded([]));
      assert.deepEqual(await permissions(client), []);
    }
  },
);

serverTest(
  'a reload and what follows it are in force in the order they were answered',
  {},
  async (server) => {
    const clients = await logins(server, SPREAD, { user: 'ann' });
    await Promise.all(clients.map((client) => client.subscribe('a')));
    for (let i = 0; i < 20; i++) {
      await server.push('app', 'a', 'e', String(i));
      await server.post('/add/channel/user/app/ann', { data: `x${i}` });
    }
    await server.post('/reload/channel/user/app/ann', { data: '[]' });
    await server.push('app', 'a', 'e', '"too late"');
    for (const client of clients) {
      for (let i = 0; i < 20; i++) {
        await client.expect(`{"channel":"a","event":"e","data":${i}}`);
        assert.deepEqual(await client.nextJson(), added(`x${i}`));
      }
      assert.deepEqual(await client.nextJson(), reloaded([]));
      await server.assertSilent(client);
    }
  },
);

serverTest('a refused handshake leaves no trace', {}, async (server) => {
  const raw = await server.raw();
  raw.write(requestText('GET', server.wsTarget({ user: 'ann' })));
  assert.equal((await raw.reply()).status, 400);
  await assertPresence(server, [], {});
});
