// The stock browser client of this API, as a page uses it, through its whole life.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test from 'node:test';
import WebSocket from 'ws';
import { Server, serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { Inbox } from './support/wait.mjs';

// What the client expects of a browser.
globalThis.WebSocket = WebSocket;
globalThis.window = globalThis;
globalThis.localStorage = {}; // it looks there for its debug switch
const { Gusher } = createRequire(import.meta.url)('@xpomelox/gusher');

/** Collects what a channel or the whole client emits under `event`. */
function heard(emitter, event) {
  const inbox = new Inbox();
  emitter.bind(event, (data) => inbox.put(data));
  return (what = event) => inbox.next(what);
}

function page(server, token, options = {}) {
  const [url] = server.url('app', '').split('?');
  return new Gusher('app', { url, token, ...options });
}

const ticket = (server, identity) => server.auth(keys.sign(keys.claims(identity)));

serverTest('subscribes in lists of ten, hears its channels, leaves them', {}, async (server) => {
  const gusher = page(server, await ticket(server, { user: 'u' }));
  const names = Array.from({ length: 23 }, (_, i) => `room-${i}`);
  const connected = heard(gusher, 'connected');
  const lists = heard(gusher, 'gusher.multi_subscribe_succeeded');
  const rooms = gusher.subscribes(names);
  gusher.connect();
  await connected();
  const sizes = [await lists(), await lists(), await lists()].map((data) => data.channel.length);
  assert.deepEqual(sizes, [10, 10, 3]);
  assert.ok(
    names.every((name) => rooms[name].subscribed),
    'every channel knows that it is live',
  );
  assert.deepEqual(await server.names('/app/channels'), [...names].sort());

  // A message reaches the channel it was sent to, and the listeners of the whole page.
  const first = heard(rooms['room-0'], 'greeting');
  const last = heard(rooms['room-22'], 'greeting');
  const all = heard(gusher, '*');
  await server.push('app', 'room-22', 'greeting', '{"n":22,"text":"über ☃"}');
  await server.push('app', 'room-0', 'greeting', '[1,2]');
  assert.deepEqual(await last(), { n: 22, text: 'über ☃' });
  assert.deepEqual(await first(), [1, 2]);
  assert.deepEqual(await all(), {
    channel: 'room-22',
    event: 'greeting',
    data: { n: 22, text: 'über ☃' },
  });
  assert.equal((await all()).channel, 'room-0');

  // One more channel while connected, and one less.
  const subscribed = heard(gusher, 'gusher.subscribe_succeeded');
  const late = heard(gusher.subscribe('late'), 'e');
  assert.deepEqual(await subscribed(), { channel: 'late' });
  const unsubscribed = heard(gusher, 'gusher.unsubscribe_succeeded');
  gusher.unsubscribe('room-0');
  assert.deepEqual(await unsubscribed(), { channel: 'room-0' });
  await server.push('app', 'room-0', 'greeting', '"nobody hears this"');
  await server.push('app', 'late', 'e', 'true');
  assert.equal(await late(), true);
  assert.deepEqual((await all()).event, 'gusher.subscribe_succeeded');
  assert.deepEqual((await all()).event, 'gusher.unsubscribe_succeeded');
  assert.deepEqual(await all(), { channel: 'late', event: 'e', data: true });

  // Pushes to the user, in the form that suits this client, and changes of its permissions.
  const personal = heard(gusher, 'letter');
  const added = heard(gusher, 'gusher.addchannel');
  await server.post('/push/user/app/u', { data: '{"event":"letter","data":{"from":"b"}}' });
  await server.post('/add/channel/user/app/u', { data: 'extra' });
  assert.deepEqual(await personal(), { from: 'b' });
  assert.deepEqual(await added(), { channel: 'extra' });

  const closed = heard(gusher, 'closed');
  gusher.disconnect();
  await closed();
  assert.deepEqual(await server.ask('/app/channels'), []);
});

serverTest('a list with a forbidden channel in it is refused as a whole', {}, async (server) => {
  const gusher = page(server, await ticket(server, { channels: ['good'] }));
  const refused = heard(gusher, 'gusher.multi_subscribe_error');
  const rooms = gusher.subscribes(['good', 'bad']);
  const refusedRoom = heard(rooms.good, 'gusher.multi_subscribe_error');
  gusher.connect();
  assert.deepEqual(await refused(), { channel: ['good', 'bad'] });
  await refusedRoom();
  assert.equal(rooms.good.subscribed, false);
  assert.deepEqual(await server.ask('/app/channels'), []);
  gusher.disconnect();
});

serverTest(
  'an event of the page itself is answered by a kick that says why',
  {},
  async (server) => {
    const gusher = page(server, await ticket(server));
    const room = gusher.subscribe('room');
    const live = heard(gusher, 'gusher.multi_subscribe_succeeded');
    const closed = heard(gusher, 'closed');
    gusher.connect();
    await live();
    room.trigger('shout', { text: 'hello' });
    const { code, reason, wasClean } = await closed();
    assert.deepEqual(
      { code, reason, wasClean },
      { code: 1008, reason: 'bad_command: unknown event', wasClean: true },
    );
  },
);

serverTest(
  'a token that is no good shows as an error, never as a connection',
  {},
  async (server) => {
    const gusher = page(server, 'nonsense');
    const errors = heard(gusher, 'error');
    const closed = heard(gusher, 'closed');
    gusher.bind('connected', () => assert.fail('connected with a bad token'));
    gusher.connect();
    assert.match((await errors()).message, /401/);
    assert.equal((await closed()).code, 1006);
  },
);

test('comes back by itself after the server was restarted, and with a new token', async () => {
  let server = await Server.start();
  const { host, port } = server.slave;
  try {
    // A JWT is good at any server of this key; a ticket dies with the server that issued it.
    const jwt = keys.sign(keys.claims());
    const gusher = page(server, jwt, { reconnection: true, reconnectionDelay: 50 });
    const live = heard(gusher, 'gusher.multi_subscribe_succeeded');
    const closed = heard(gusher, 'closed');
    const news = heard(gusher.subscribe('news'), 'e');
    heard(gusher, 'error'); // of each attempt while nobody listens at the port
    gusher.connect();
    await live();
    server.terminate();
    assert.equal((await closed()).code, 1001);
    await server.stop();

    server = await Server.start({ 'api-listen': `${host}:${port}` });
    await live('the subscription after the restart');
    await server.push('app', 'news', 'e', '1');
    assert.equal(await news(), 1);

    gusher.setAuthToken(await ticket(server));
    gusher.connect();
    await live('the subscription under the new token');
    await server.push('app', 'news', 'e', '2');
    assert.equal(await news(), 2);
    gusher.disconnect();
    await server.stop();
  } finally {
    server.kill();
  }
});
