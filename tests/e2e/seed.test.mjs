// The most telling conversations of the API in our own words, every text exact, so that the
// contract is covered where the recorded ones are not at hand.
import assert from 'node:assert/strict';
import { serverTest } from './support/gusher.mjs';
import { uuid } from './support/client.mjs';
import * as keys from './support/keys.mjs';

/** The exact text of a reply to a command, the socket's id in its place. */
const reply = (id, event, data, more = '') =>
  `{"event":"gusher.${event}","socket_id":"${id}","data":${data}${more}}`;

/** Sends text as it stands and asserts the whole reply. */
async function say(client, text, event, data) {
  client.send(text);
  await client.expect(reply(client.id, event, data));
}

serverTest('from the token to the message: one page, one backend', {}, async (server) => {
  const jwt = keys.sign(keys.claims({ app: 'shop', user: 'ann', channels: ['news', 'cart-*'] }));
  const auth = await server.callSlave('POST', '/auth', { form: { jwt } });
  assert.equal(auth.status, 200);
  assert.match(auth.text, /^\{"token":"[A-Za-z0-9_-]+"\}\n$/);
  const page = await server.connect(server.url('shop', auth.json().token));

  // The first reply tells the socket's id; all later ones tell the same.
  page.send('{"event":"gusher.subscribe","data":{"channel":"news"}}');
  const first = await page.next();
  page.id = JSON.parse(first).socket_id;
  assert.match(page.id, uuid);
  assert.equal(first, reply(page.id, 'subscribe_succeeded', '{"channel":"news"}'));

  assert.equal(
    await server.push('shop', 'news', 'headline', '{"title":"It works","n":1.0}'),
    '{"channel":"news","event":"headline","data":{"title":"It works","n":1.0}}',
  );
  await page.expect('{"channel":"news","event":"headline","data":{"title":"It works","n":1.0}}');

  await say(
    page,
    '{"event":"gusher.querychannel","data":null}',
    'querychannel_succeeded',
    '{"channels":["news","cart-*"]}',
  );
  const list = '["cart-1","cart-2","cart-1"]';
  await say(
    page,
    `{"event":"gusher.multi_subscribe","data":{"multi_channel":${list}}}`,
    'multi_subscribe_succeeded',
    `{"channel":${list}}`,
  );
  assert.deepEqual(await server.names('/shop/channels'), ['cart-1', 'cart-2', 'news']);

  assert.equal(
    await server.post('/push/shop', { channel_pattern: '^cart-\\d$', event: 'sale', data: '50%' }),
    '{"total":2,"pattern":"^cart-\\\\d$"}',
  );
  const sales = [await page.next(), await page.next()].sort();
  assert.deepEqual(
    sales,
    [1, 2].map((n) => `{"channel":"cart-${n}","event":"sale","data":"50%"}`),
  );

  await say(
    page,
    '{"data":{"channel":"news"},"event":"gusher.unsubscribe"}',
    'unsubscribe_succeeded',
    '{"channel":"news"}',
  );
  await server.push('shop', 'news', 'headline', '"nobody reads this"');
  await server.assertSilent(page, 'shop');

  assert.equal(
    await server.post('/push/user/shop/ann', { data: 'hi' }),
    '{"user_id":"ann","data":"hi"}',
  );
  await page.expect('"hi"');
  assert.equal(
    await server.post(`/push/socket/shop/${page.id}`, { data: '{"a":[]}' }),
    `{"socket_id":"${page.id}","data":"{\\"a\\":[]}"}`,
  );
  await page.expect('{"a":[]}');
});

serverTest('gusher.ping echoes any JSON and tells the time', {}, async (server) => {
  const client = await server.login();
  const id = await client.socketId();
  for (const data of ['null', '"text"', '{"b":1,"a":[1.50,"\\u00e9"]}', '1e400', '""']) {
    client.send(`{"event":"gusher.ping","data":${data}}`);
    const [, text, time] = /^(.*),"time":(\d+)\}$/.exec(await client.next());
    assert.equal(`${text}}`, reply(id, 'pong_succeeded', data));
    assert.ok(Math.abs(time - Date.now() / 1000) < 5, `time ${time}`);
  }
});

serverTest('permissions: stars stand for one or more characters', {}, async (server) => {
  const rules = [
    ['app*', ['apple', 'app*', 'app☃'], ['app', 'App1', 'xapple']],
    ['t*st', ['test', 't**st'], ['tst', 'tests', 'atest']],
    ['a*b*c', ['a1b2c', 'abbbc'], ['abc', 'abbc1', 'ab1c']],
    ['**', ['ab'], ['a', '']],
    ['*', ['', 'anything', 'line\nfeed'], []],
    ['a.c', ['a.c'], ['abc']],
    ['plain', ['plain'], ['plain2', 'Plain', '']],
    ['', [''], ['x']],
  ];
  for (const [permission, allowed, denied] of rules) {
    const client = await server.login({ channels: [permission] });
    await client.socketId();
    const names = [...allowed.map((name) => [name, true]), ...denied.map((name) => [name, false])];
    for (const [name, ok] of names) {
      const [channel, outcome] = [JSON.stringify(name), ok ? 'succeeded' : 'error'];
      const what = `"${permission}" for ${channel}`;
      for (const verb of ['subscribe', 'unsubscribe']) {
        client.send(`{"event":"gusher.${verb}","data":{"channel":${channel}}}`);
        assert.equal(
          await client.next(),
          reply(client.id, `${verb}_${outcome}`, `{"channel":${channel}}`),
          what,
        );
      }
      client.send(`{"event":"gusher.multi_subscribe","data":{"multi_channel":[${channel}]}}`);
      assert.equal(
        await client.next(),
        reply(client.id, `multi_subscribe_${outcome}`, `{"channel":[${channel}]}`),
        what,
      );
    }
  }
});

serverTest('multi_subscribe is all or nothing, and needs a list of strings', {}, async (server) => {
  const client = await server.login({ channels: ['a', 'b'] });
  await client.socketId();
  const refused = [
    ['{"multi_channel":["a","c"]}', '{"channel":["a","c"]}'],
    ['{"multi_channel":["a",1]}', '{"channel":["a",1]}'],
    ['{"multi_channel":[]}', '{"channel":[]}'],
    ['{"multi_channel":"a"}', '{"channel":[]}'],
    ['{}', '{"channel":[]}'],
    ['null', '{"channel":[]}'],
  ];
  for (const [data, told] of refused)
    await say(
      client,
      `{"event":"gusher.multi_subscribe","data":${data}}`,
      'multi_subscribe_error',
      told,
    );
  assert.deepEqual(await server.ask('/app/channels'), []);
  // Escapes are the characters they stand for, and are echoed as they were written.
  await say(
    client,
    '{"event":"gusher.multi_subscribe","data":{"multi_channel":["\\u0061"]}}',
    'multi_subscribe_succeeded',
    '{"channel":["\\u0061"]}',
  );
  assert.deepEqual(await server.ask('/app/channels'), ['a']);
});

serverTest(
  'subscribing twice gives one copy; unsubscribing what was not subscribed succeeds',
  {},
  async (server) => {
    const client = await server.login();
    await client.unsubscribe('c');
    await client.subscribe('c', 'c', 'c');
    await server.push('app', 'c', 'e', '1');
    await client.expect('{"channel":"c","event":"e","data":1}');
    await client.unsubscribe('c');
    await server.push('app', 'c', 'e', '2');
    await server.assertSilent(client);
  },
);

serverTest(
  'commands are read as JSON: order, blanks, escapes and unknown members do not matter',
  {},
  async (server) => {
    const client = await server.login();
    await client.socketId();
    const same = [
      '{"data":{"channel":"c"},"event":"gusher.subscribe"}',
      ' {\n"event" : "gusher.subscribe" ,\t"data" : { "channel" : "c" } }\r\n',
      '{"event":"gusher.sub\\u0073cribe","data":{"channel":"c"}}',
      '{"id":7,"event":"gusher.subscribe","x":[{}],"data":{"channel":"c","y":null},"debug":true}',
    ];
    for (const text of same) await say(client, text, 'subscribe_succeeded', '{"channel":"c"}');
  },
);

serverTest('many commands in one go are answered in order', {}, async (server) => {
  const client = await server.login({ channels: ['even-*'] });
  await client.socketId();
  const names = Array.from({ length: 100 }, (_, i) => `${i % 2 ? 'odd' : 'even'}-${i}`);
  for (const name of names) client.send({ event: 'gusher.subscribe', data: { channel: name } });
  for (const [i, name] of names.entries())
    await client.expect(
      reply(client.id, `subscribe_${i % 2 ? 'error' : 'succeeded'}`, `{"channel":"${name}"}`),
    );
});

serverTest(
  'a message reaches its subscribers, on all workers, and nobody else',
  {},
  async (server) => {
    const listeners = await Promise.all(
      Array.from({ length: 20 }, (_, i) => server.login({ user: `u${i}` })),
    );
    const strangers = [
      [await server.login({ app: 'other', user: 'u1' }), 'other'],
      [await server.login({ user: 'u' }), 'app'],
      [await server.login({ user: 'u' }), 'app'],
    ];
    await Promise.all(listeners.map((client) => client.subscribe('c')));
    await strangers[0][0].subscribe('c');
    await strangers[1][0].subscribe('C', 'c2', '*c', '');
    for (let i = 0; i < 50; i++) await server.push('app', 'c', 'e', String(i));
    for (const client of listeners) {
      for (let i = 0; i < 50; i++) await client.expect(`{"channel":"c","event":"e","data":${i}}`);
      await server.assertSilent(client);
    }
    for (const [client, app] of strangers) await server.assertSilent(client, app);
  },
);

serverTest(
  'apps are worlds of their own: pushes, users, sockets, reload and add',
  {},
  async (server) => {
    const mine = await server.login({ app: 'one', user: 'u' });
    const other = await server.login({ app: 'two', user: 'u' });
    for (const client of [mine, other]) await client.subscribe('c');
    await server.push('one', 'c', 'e', '1');
    await server.post('/push/one', { channel_pattern: 'c', event: 'e', data: '2' });
    await server.post('/push_batch/one', { batch_data: '[{"channel":"c","event":"e","data":3}]' });
    await server.post('/push/user/one/u', { data: '4' });
    await server.post(`/push/socket/one/${other.id}`, { data: '5' });
    await server.post('/add/channel/user/one/u', { data: 'x' });
    await server.post('/reload/channel/user/one/u', { data: '[]' });
    await server.assertSilent(other, 'two');
    assert.deepEqual(await server.ask('/two/channels'), ['c']);
    for (const n of [1, 2, 3]) await mine.expect(`{"channel":"c","event":"e","data":${n}}`);
    await mine.expect('4');
    assert.match(await mine.next(), /gusher\.addchannel/);
    assert.match(await mine.next(), /gusher\.reloadchannel/);
  },
);

serverTest(
  'pushes may carry any name: stars, blanks, gusher.*, other scripts',
  {},
  async (server) => {
    const client = await server.login();
    const names = [
      'a*b',
      '*',
      'gusher.subscribe',
      'with blank',
      'ü/☃?#&=%',
      'app@c',
      '"quoted"\\',
      'tab\tname',
    ];
    for (const name of names) {
      await client.subscribe(name);
      const text = JSON.stringify({ channel: name, event: 'gusher.kick', data: 1 });
      assert.equal(await server.push('app', name, 'gusher.kick', '1'), text);
      await client.expect(text);
    }
    await server.assertSilent(client);
  },
);

serverTest('a user push reaches all sockets of the user, subscribed or not', {}, async (server) => {
  const sockets = await Promise.all(Array.from({ length: 8 }, () => server.login({ user: 'ann' })));
  const anonymous = await server.login();
  await server.post('/push/user/app/ann', { data: '{"to":"ann"}' });
  for (const client of sockets) {
    await client.expect('{"to":"ann"}');
    await server.assertSilent(client);
  }
  await server.assertSilent(anonymous);
  const ids = await Promise.all(sockets.map((client) => client.socketId()));
  assert.equal(new Set(ids).size, ids.length, 'every socket has its own id');
});

serverTest(
  'a socket push reaches that one socket, and nobody after its end',
  {},
  async (server) => {
    const [a, b] = [await server.login({ user: 'u' }), await server.login({ user: 'u' })];
    const id = await a.socketId();
    await server.post(`/push/socket/app/${id}`, { data: '1' });
    await a.expect('1');
    await a.close();
    const next = await server.login({ user: 'u' });
    await server.post(`/push/socket/app/${id}`, { data: '"for the dead"' });
    await server.assertSilent(b);
    await server.assertSilent(next);
  },
);

serverTest(
  'remote commands: denied, allowed without anybody to take them, malformed',
  {},
  async (server) => {
    const client = await server.login({ remotes: { good: true, bad: false } });
    await client.socketId();
    for (const remote of ['good', 'bad', 'unknown']) {
      for (const debug of ['', '"debug":true,'])
        await say(
          client,
          `{"event":"gusher.remote",${debug}"data":{"remote":"${remote}","uid":"1","payload":{"x":1}}}`,
          'remote_error',
          `{"remote":"${remote}","msg":null}`,
        );
    }
    client.send('{"event":"gusher.remote","data":{"remote":"good","uid":"1"}}');
    assert.equal((await client.closed()).code, 1008);
  },
);

serverTest(
  'the identity is frozen by auth: an expired JWT ends neither ticket nor socket',
  {},
  async (server) => {
    const exp = Math.floor(Date.now() / 1000) + 2;
    const jwt = keys.sign({ ...keys.claims({ user: 'u' }), exp });
    const ticket = await server.auth(jwt);
    const socket = await server.connect(server.url('app', ticket));
    // The JWT itself is a token, too, as long as it lasts.
    await server.connect(server.url('app', jwt));
    while (Date.now() / 1000 <= exp + 1) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal((await server.callSlave('POST', '/auth', { form: { jwt } })).status, 401);
    await assert.rejects(server.connect(server.url('app', jwt)), /refused: 401 token error/);
    await server.connect(server.url('app', ticket));
    await socket.subscribe('c');
  },
);

serverTest('tickets cannot be guessed or mended', {}, async (server) => {
  const tickets = await Promise.all(
    Array.from({ length: 50 }, () => server.auth(keys.sign(keys.claims()))),
  );
  assert.equal(new Set(tickets).size, tickets.length);
  const [ticket] = tickets;
  for (let i = 0; i < ticket.length; i++) {
    const other = ticket[i] === 'A' ? 'B' : 'A';
    const forged = ticket.slice(0, i) + other + ticket.slice(i + 1);
    // The last letter may have bits that belong to nothing.
    if (Buffer.from(forged, 'base64url').equals(Buffer.from(ticket, 'base64url'))) continue;
    await assert.rejects(
      server.connect(server.url('app', forged)),
      /refused: 401 token error/,
      `letter ${i}`,
    );
  }
  await server.connect(server.url('app', ticket));
});

serverTest('nothing secret is logged', { 'log-level': 'debug' }, async (server) => {
  const jwt = keys.sign(keys.claims({ user: 'u' }));
  const ticket = await server.auth(jwt);
  const client = await server.connect(server.url('app', ticket));
  await client.subscribe('c');
  await server.push('app', 'c', 'e', '"a secret message"');
  await client.next();
  client.send('{"event":"nonsense","data":"a secret message"}');
  await client.closed();
  await server.log('socket_closed');
  for (const secret of [jwt, ticket, 'a secret message'])
    assert.ok(!server.stderr.includes(secret));
});
