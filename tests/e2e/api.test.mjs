// The HTTP API of both roles: every endpoint in every encoding, its errors, its exact bytes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { freeAddress, serverTest, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';

const JSON_TYPE = 'application/json;charset=UTF-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';

/** Asserts status, body and type of an answer. */
function assertReply(reply, status, text, type) {
  assert.deepEqual(
    [reply.status, reply.text, reply.headers['content-type']],
    [status, text, type ?? (status === 200 ? JSON_TYPE : TEXT_TYPE)],
  );
}

// ---- every command in every encoding

const batch =
  '[{"channel":"ch","event":"a","data":"x"},{"channel":"ch","event":"b","data":{"n":2}}]';

/** What each command is given, what it answers, and what a subscriber of "ch" hears of it. */
const commands = ({ app, id, jwt }) => [
  {
    path: `/push/${app}/ch/ev`,
    params: { data: '{"b":1,"a":"ü+&=%"}' },
    reply: '{"channel":"ch","event":"ev","data":{"b":1,"a":"ü+&=%"}}',
    heard: ['{"channel":"ch","event":"ev","data":{"b":1,"a":"ü+&=%"}}'],
  },
  {
    path: `/push/${app}`,
    params: { channel_pattern: '^c.$', event: 'ev', data: 'plain text' },
    reply: '{"total":1,"pattern":"^c.$"}',
    heard: ['{"channel":"ch","event":"ev","data":"plain text"}'],
  },
  {
    path: `/push_batch/${app}`,
    params: { batch_data: batch },
    reply: `{"total":2,"cap":${batch.length}}`,
    heard: [
      '{"channel":"ch","event":"a","data":"x"}',
      '{"channel":"ch","event":"b","data":{"n":2}}',
    ],
  },
  {
    path: `/push/user/${app}/u`,
    params: { data: 'hello' },
    reply: '{"user_id":"u","data":"hello"}',
    heard: ['"hello"'],
  },
  {
    path: `/push/socket/${app}/${id}`,
    params: { data: '[1,2]' },
    reply: `{"socket_id":"${id}","data":"[1,2]"}`,
    heard: ['[1,2]'],
  },
  {
    path: `/add/channel/user/${app}/u`,
    params: { data: 'more' },
    reply: '{"user_id":"u","data":"more"}',
    heard: ['{"event":"gusher.addchannel","socket_id":"","data":{"channel":"more"}}'],
  },
  {
    path: `/reload/channel/user/${app}/u`,
    params: { data: '["ch","x"]' },
    reply: '{"user_id":"u","data":"[\\"ch\\",\\"x\\"]"}',
    heard: ['{"event":"gusher.reloadchannel","socket_id":"","data":{"channels":["ch","x"]}}'],
  },
  {
    path: '/decode',
    params: { data: jwt },
    reply: `{"gusher":{"channels":["*"],"user_id":"u","app_key":"${app}","remotes":{}}}\n`,
    heard: [],
  },
];

for (const encoding of ['form', 'multipart', 'json', 'query']) {
  serverTest(`every command takes its parameters as ${encoding}`, {}, async (server) => {
    const identity = { app: 'shop', user: 'u' };
    const jwt = keys.sign(keys.claims(identity));
    const client = await server.login(identity);
    await client.subscribe('ch');
    for (const command of commands({ app: 'shop', id: client.id, jwt })) {
      const reply = await server.call('POST', command.path, { [encoding]: command.params });
      assertReply(reply, 200, command.reply);
      await client.expect(...command.heard);
    }
    const auth = await server.callSlave('POST', '/auth', { [encoding]: { jwt } });
    assert.equal(auth.status, 200);
    assert.match(auth.text, /^\{"token":"[\w-]+"\}\n$/);
    const second = await server.connect(server.url('shop', auth.json().token));
    await second.subscribe('ch');
    await server.assertSilent(client, 'shop');
  });
}

serverTest('JSON bodies may hold the values themselves', {}, async (server) => {
  const client = await server.login({ user: 'u' });
  await client.subscribe('ch');
  const exact = '{"a" : 1e400,"a":[ 0.10 ]}';
  const push = await server.call('POST', '/push/app/ch/ev', { json: `{"data":${exact}}` });
  assertReply(push, 200, `{"channel":"ch","event":"ev","data":${exact}}`);
  await client.expect(`{"channel":"ch","event":"ev","data":${exact}}`);
  assertReply(
    await server.call('POST', '/push_batch/app', { json: `{"batch_data":${batch}}` }),
    200,
    `{"total":2,"cap":${batch.length}}`,
  );
  await client.next();
  await client.next();
  const reload = await server.call('POST', '/reload/channel/user/app/u', {
    json: { data: ['ch'] },
  });
  assertReply(reload, 200, '{"user_id":"u","data":"[\\"ch\\"]"}');
});

serverTest(
  '--json-bodies off: a JSON body counts as absent, all else is as ever',
  { 'json-bodies': 'off' },
  async (server) => {
    const json = { data: '1' };
    assertReply(await server.call('POST', '/push/app/c/e', { json }), 400, 'empty data');
    const both = await server.call('POST', '/push/app/c/e', { json, query: { data: '2' } });
    assertReply(both, 200, '{"channel":"c","event":"e","data":2}');
    const jwt = keys.sign(keys.claims());
    const auth = await server.callSlave('POST', '/auth', { json: { jwt } });
    assertReply(auth, 401, 'jwt decode fail\n');
    for (const encoding of ['form', 'multipart', 'query'])
      assert.equal((await server.call('POST', '/push/app/c/e', { [encoding]: json })).status, 200);
  },
);

serverTest(
  'which parameter counts: the body before the query, the first of several',
  {},
  async (server) => {
    const push = async (options) => (await server.call('POST', '/push/app/c/e', options)).text;
    const got = (data) => `{"channel":"c","event":"e","data":${data}}`;
    const urlencoded = { 'Content-Type': 'Application/X-WWW-Form-Urlencoded; charset=UTF-8' };
    const raw = (body) => push({ body, headers: urlencoded });
    assert.equal(await push({ form: { data: '1' }, query: { data: '2' } }), got(1));
    assert.equal(await raw('data=1&data=2'), got(1));
    assert.equal(await raw('data=a+b%2Bc'), got('"a b+c"'));
    assert.equal(await raw('x=%zz&data=1&y=a;b'), got(1));
    assert.equal(await raw('data=%zz'), 'empty data');
    assert.equal(await raw('data=%ff'), got('"\ufffd"'));
    assert.equal(await push({ body: 'data=1' }), 'empty data', 'a body without a type is not read');
    const plain = { 'Content-Type': 'text/plain' };
    assert.equal(await push({ body: 'data=1', headers: plain }), 'empty data');
  },
);

serverTest('malformed bodies are refused', {}, async (server) => {
  const body = async (type, text) =>
    server.call('POST', '/push/app/c/e', { body: text, headers: { 'Content-Type': type } });
  const malformed = [
    ['application/json', '{"data":1'],
    ['application/json', '[1]'],
    ['application/json', '{"data":1}x'],
    ['application/json', `{"data":${'['.repeat(10_000)}${']'.repeat(10_000)}}`],
    [
      'multipart/form-data; boundary=b',
      '--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n1\r\n',
    ],
    ['multipart/form-data', '--b--\r\n'],
    [
      'application/x-www-form-urlencoded',
      Array.from({ length: 65 }, (_, i) => `p${i}=1`).join('&'),
    ],
  ];
  for (const [type, text] of malformed) {
    const { status } = await body(type, text);
    assert.ok([400, 413].includes(status), `${type} ${text.slice(0, 40)}: ${status}`);
  }
  assert.equal((await body('application/json', '{"data":1}')).status, 200);
});

// ---- errors

serverTest('the errors of the master, in their order', {}, async (server) => {
  const errors = [
    ['/push/app/c/e', {}, 'empty data'],
    ['/push/app/c/e', { data: '' }, 'empty data'],
    ['/push/app', {}, 'empty param'],
    ['/push/app', { event: 'e', data: '1' }, 'empty param'],
    ['/push/app', { channel_pattern: '(', data: '1' }, 'empty param'],
    ['/push/app', { channel_pattern: '(', event: 'e' }, 'channel_pattern cant regex'],
    [
      '/push/app',
      { channel_pattern: '(?=x)', event: 'e', data: '1' },
      'channel_pattern cant regex',
    ],
    ['/push/app', { channel_pattern: '\\1', event: 'e', data: '1' }, 'channel_pattern cant regex'],
    ['/push/app', { channel_pattern: 'x', event: 'e' }, 'empty data'],
    ['/push_batch/app', {}, 'empty batch data'],
    ['/push_batch/app', { batch_data: 'nonsense' }, 'data error'],
    ['/push_batch/app', { batch_data: '{}' }, 'data error'],
    ['/push_batch/app', { batch_data: '"x"' }, 'data error'],
    ['/push_batch/app', { batch_data: '[1]' }, 'data error'],
    ['/push_batch/app', { batch_data: '[{"channel":1}]' }, 'data error'],
    ['/push_batch/app', { batch_data: '[{"channel":"c"}]x' }, 'data error'],
    ['/push/user/app/u', {}, 'empty data'],
    ['/push/socket/app/s', {}, 'empty data'],
    ['/reload/channel/user/app/u', {}, 'data unmarshal error'],
    ['/reload/channel/user/app/u', { data: 'x' }, 'data unmarshal error'],
    ['/reload/channel/user/app/u', { data: '{}' }, 'data unmarshal error'],
    ['/reload/channel/user/app/u', { data: '["a",1]' }, 'data unmarshal error'],
    ['/add/channel/user/app/u', {}, 'data empty error'],
    ['/decode', {}, 'data error'],
    ['/decode', { data: 'a.b.c' }, 'data error'],
  ];
  for (const [path, form, text] of errors)
    assertReply(await server.call('POST', path, { form }), 400, text);
});

serverTest('nobody there is no error', {}, async (server) => {
  const answers = [
    ['/push/nobody/c/e', { data: '1' }, '{"channel":"c","event":"e","data":1}'],
    ['/push/nobody', { channel_pattern: '.', event: 'e', data: '1' }, '{"total":0,"pattern":"."}'],
    ['/push_batch/nobody', { batch_data: '[]' }, '{"total":0,"cap":2}'],
    ['/push/user/nobody/u', { data: '1' }, '{"user_id":"u","data":"1"}'],
    ['/push/socket/nobody/not-an-id', { data: '1' }, '{"socket_id":"not-an-id","data":"1"}'],
    ['/reload/channel/user/nobody/u', { data: '[]' }, '{"user_id":"u","data":"[]"}'],
    ['/add/channel/user/nobody/u', { data: 'c' }, '{"user_id":"u","data":"c"}'],
  ];
  for (const [path, form, text] of answers)
    assertReply(await server.call('POST', path, { form }), 200, text);
});

serverTest('the errors of the slave, in their order', {}, async (server) => {
  const jwt = (claims, options) => keys.sign({ ...keys.claims(), ...claims }, options);
  const now = Math.floor(Date.now() / 1000);
  const bad = [
    undefined,
    '',
    'nonsense',
    `${jwt()}x`,
    ` ${jwt()}`,
    `Bearer ${jwt()}`,
    jwt({ exp: now - 10 }),
    jwt({ nbf: now + 100 }),
    jwt({ iat: now + 100 }),
    jwt({ gusher: { app_key: 7 } }),
    jwt({ gusher: { app_key: 'app', channels: 'x' } }),
  ];
  for (const text of bad) {
    const form = text === undefined ? {} : { jwt: text };
    const reply = await server.callSlave('POST', '/auth', { form });
    assertReply(reply, 401, 'jwt decode fail\n');
    assert.equal(reply.headers['x-content-type-options'], 'nosniff');
    assert.equal(reply.headers['access-control-allow-origin'], '*');
  }
  for (const alg of ['RS256', 'RS384', 'RS512'])
    await server.auth(jwt({ exp: now + 100 }, { alg }));
  await server.auth(jwt({ exp: now + 100.5, aud: ['a', 'b'] }));

  const get = (path) => server.callSlave('GET', path);
  const ticket = await server.auth(jwt());
  for (const route of ['ws', 'wtf']) {
    assertReply(await get(`/${route}/app`), 401, 'app_key is nil\n');
    assertReply(await get(`/${route}/app?token=`), 401, 'app_key is nil\n');
    assertReply(await get(`/${route}/app?token=nonsense`), 401, 'token error\n');
    assertReply(await get(`/${route}/other?token=${ticket}`), 401, 'appkey error\n');
    assertReply(await get(`/${route}/app?token=${ticket}`), 400, 'Bad Request\n');
    assertReply(await get(`/${route}`), 404, '404 page not found\n');
  }
  // A ticket is not used up by use, and opens either route.
  for (const route of ['ws', 'wtf', 'ws']) await server.connect(server.url('app', ticket, route));
});

// ---- queries, methods, paths

const queries = [
  'channels',
  'channels/count',
  'online',
  'online/count',
  'online/bychannel/ch',
  'online/bychannel/ch/count',
];

serverTest(
  'queries answer below the prefix and without it, GET and HEAD alike',
  {},
  async (server) => {
    const client = await server.login({ user: 'u' });
    await client.subscribe('ch');
    const bodies = ['["ch"]', '{"count":1}', '["u"]', '{"count":1}', '["u"]', '{"count":1}'];
    for (const [i, query] of queries.entries()) {
      for (const path of [`/api/app/${query}`, `/app/${query}`]) {
        assertReply(await request(server.master, 'GET', path), 200, bodies[i]);
        const head = await request(server.master, 'HEAD', path);
        assertReply(head, 200, '');
        assert.equal(head.headers['content-length'], String(bodies[i].length));
      }
    }
    const none = ['[]', '{"count":0}'];
    for (const [i, query] of queries.entries())
      assertReply(await server.call('GET', `/nobody/${query}`), 200, none[i % 2]);
  },
);

serverTest('ping of both roles, and HEAD of it', {}, async (server) => {
  for (const [address, path] of [
    [server.slave, '/gcs/ping'],
    [server.master, '/api/ping'],
  ]) {
    assertReply(await request(address, 'GET', path), 200, 'pong', TEXT_TYPE);
    const head = await request(address, 'HEAD', path);
    assertReply(head, 200, '', TEXT_TYPE);
    assert.equal(head.headers['content-length'], '4');
  }
});

serverTest('unknown paths are 404, other methods 405 with what is allowed', {}, async (server) => {
  const { master, slave } = server;
  const unknown = [
    [master, ['/', '/api', '/api/', '/api/ping/', '/API/ping', '/api/Ping', '/ping', '/gcs/ping']],
    [master, ['/api//ping', '/api/./ping', '/api/x/../ping', '/api/app/nothing', '/push/app/c/e']],
    [slave, ['/', '/gcs/', '/gcs/ping/', '/ping', '/api/ping', '/gcs/ws', '/gcs/ws/a/b']],
  ];
  for (const [address, paths] of unknown) {
    for (const path of paths)
      assertReply(await request(address, 'GET', path), 404, '404 page not found\n');
  }
  const methods = [
    [master, 'POST', '/api/ping', 'GET, HEAD'],
    [master, 'DELETE', '/api/app/channels', 'GET, HEAD'],
    [master, 'PUT', '/app/online', 'GET, HEAD'],
    [master, 'GET', '/api/push/app/c/e', 'POST'],
    [master, 'HEAD', '/api/decode', 'POST'],
    [slave, 'GET', '/gcs/auth', 'POST, OPTIONS'],
    [slave, 'POST', '/gcs/ws/app', 'GET, HEAD'],
  ];
  for (const [address, method, path, allowed] of methods) {
    const reply = await request(address, method, path);
    assert.deepEqual([reply.status, reply.text, reply.headers.allow], [405, '', allowed], path);
  }
});

serverTest('a broken escape in the path is 400', {}, async (server) => {
  for (const path of ['/api/push/app/%/e', '/api/%zz/channels', '/nothing/%4'])
    assert.equal((await request(server.master, 'POST', path)).status, 400, path);
});

serverTest('the preflight of auth lets pages of any origin in', {}, async (server) => {
  const headers = {
    Origin: 'https://a.test',
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'content-type',
  };
  const preflight = await server.callSlave('OPTIONS', '/auth', { headers });
  assert.deepEqual([preflight.status, preflight.text], [204, '']);
  assert.equal(preflight.headers['access-control-allow-origin'], '*');
  assert.equal(preflight.headers['access-control-allow-methods'], 'POST');
  assert.equal(preflight.headers['access-control-allow-headers'], 'Content-Type');
  const form = { jwt: keys.sign(keys.claims()) };
  const auth = await server.callSlave('POST', '/auth', {
    form,
    headers: { Origin: 'https://a.test' },
  });
  assert.equal(auth.headers['access-control-allow-origin'], '*');
  const ping = await server.callSlave('GET', '/ping', { headers: { Origin: 'https://a.test' } });
  assert.equal(ping.headers['access-control-allow-origin'], undefined, 'nothing else is for pages');
});

// ---- prefixes, a shared port, slashes inside names

for (const prefix of ['api', '/api', '/api/', 'api//']) {
  serverTest(`the prefix "${prefix}" is /api`, { 'master-uri-prefix': prefix }, async (server) => {
    assert.equal((await server.call('GET', '/ping')).text, 'pong');
    assert.equal(await server.push('app', 'c', 'e', '1'), '{"channel":"c","event":"e","data":1}');
    assert.equal((await request(server.master, 'GET', '/ping')).status, 404);
  });
}

serverTest(
  'the prefix "/" is none; deeper ones work',
  { 'master-uri-prefix': '/', 'api-uri-prefix': '/a/b' },
  async (server) => {
    Object.assign(server, { api: '', gcs: '/a/b' });
    const client = await server.login({ user: 'u' });
    await client.subscribe('ch');
    await server.push('app', 'ch', 'e', '1');
    await client.expect('{"channel":"ch","event":"e","data":1}');
    assert.deepEqual(await server.ask('/app/channels'), ['ch']);
    assert.equal((await server.call('GET', '/ping')).text, 'pong');
  },
);

test('both roles may share one port', async () => {
  const address = await freeAddress();
  await withServer({ 'api-listen': address, 'master-api-listen': address }, async (server) => {
    assert.deepEqual(server.slave, server.master);
    const client = await server.login({ user: 'u' });
    await client.subscribe('ch');
    await server.push('app', 'ch', 'e', '1');
    await client.expect('{"channel":"ch","event":"e","data":1}');
    assert.deepEqual(await server.ask('/app/online'), ['u']);
    assert.equal((await server.callSlave('GET', '/ping')).text, 'pong');
    assert.equal((await server.call('GET', '/ping')).text, 'pong');
  });
});

serverTest('port 0 twice is two ports', {}, async (server) => {
  assert.notEqual(server.slave.port, server.master.port);
  assert.equal((await request(server.slave, 'GET', '/api/ping')).status, 404);
});

serverTest('an escaped slash belongs to the name, in every segment', {}, async (server) => {
  const [app, user, channel] = ['a/b', 'u/v', 'x/y z+ü%'];
  const client = await server.login({ app, user });
  await client.subscribe(channel);
  const part = encodeURIComponent;
  await server.push(part(app), channel, part('e/f'), '1');
  await client.expect(JSON.stringify({ channel, event: 'e/f', data: 1 }));
  await server.post(`/push/user/${part(app)}/${part(user)}`, { data: '2' });
  await client.expect('2');
  assert.deepEqual(await server.ask(`/${part(app)}/online/bychannel/${part(channel)}`), [user]);
  assert.deepEqual(await server.ask(`/${part(app)}/channels`), [channel]);
  assert.deepEqual((await request(server.master, 'GET', `/${part(app)}/online`)).json(), [user]);
  // A plus in a path is a plus, and an escaped letter is that letter.
  await server.post('/push/a%2Fb/x%2Fy%20z+%C3%BC%25/%65', { data: '3' });
  await client.expect(JSON.stringify({ channel, event: 'e', data: 3 }));
});

// ---- payloads

/** JSON that any re-printing would change. */
const payloads = [
  '0.1',
  '1e400',
  '1E5',
  '-0',
  '-0.0',
  '1.0',
  '9223372036854775809',
  '9007199254740993',
  '{"z":1,"a":2}',
  '{"a":1,"a":2}',
  '{"a" : [ 1 ,\t2 ] }',
  String.raw`"\u00e9\/\u003c<>&\"\\"`,
  String.raw`"\ud83d\ude00"`,
  '"😀 \u2028 \u007f"',
  '""',
  'null',
  '[]',
];

serverTest('JSON passes byte for byte, on every road', {}, async (server) => {
  const client = await server.login({ user: 'u' });
  await client.subscribe('ch');
  for (const data of payloads) {
    const message = `{"channel":"ch","event":"e","data":${data}}`;
    assert.equal(await server.push('app', 'ch', 'e', data), message);
    await client.expect(message);
    await server.post('/push/app', { channel_pattern: 'ch', event: 'e', data });
    await client.expect(message);
    await server.post('/push_batch/app', {
      batch_data: `[{"channel":"ch","event":"e","data":${data}}]`,
    });
    await client.expect(message);
    await server.post('/push/user/app/u', { data });
    await client.expect(data);
    await server.post(`/push/socket/app/${client.id}`, { data });
    await client.expect(data);
  }
});

serverTest(
  'white space around JSON goes, text that is no JSON becomes a string',
  {},
  async (server) => {
    const texts = [
      [' \r\n\t{"a": 1} \n', '{"a": 1}'],
      ['hello', '"hello"'],
      ['{a:1}', '"{a:1}"'],
      ['[1,]', '"[1,]"'],
      ['007', '"007"'],
      ['NaN', '"NaN"'],
      ['1 2', '"1 2"'],
      ['"a\nb"', String.raw`"\"a\nb\""`],
      [' ', '" "'],
      ['\ufeff1', '"\ufeff1"'],
    ];
    for (const [data, json] of texts) {
      const reply = await server.push('app', 'ch', 'e', data);
      assert.equal(reply, `{"channel":"ch","event":"e","data":${json}}`);
    }
  },
);

serverTest('data nested 512 deep passes, deeper is refused', {}, async (server) => {
  const nested = (n) => '['.repeat(n) + ']'.repeat(n);
  assert.equal(
    (await server.call('POST', '/push/app/c/e', { form: { data: nested(512) } })).status,
    200,
  );
  const deep = await server.call('POST', '/push/app/c/e', { form: { data: nested(513) } });
  assertReply(deep, 400, 'data is nested too deep');
});

serverTest(
  'a batch: names in any case, missing members empty, order kept, empty names nowhere',
  {},
  async (server) => {
    const client = await server.login();
    await client.subscribe('ch', '');
    const elements = [
      '{"CHANNEL":"ch","Event":"1","dATA":1}',
      '{"channel":"ch"}',
      '{"event":"to the empty channel","data":2}',
      '{"channel":null,"event":null,"data":null}',
      '{"channel":"ch","event":"4","data":"not parsed: 1","other":[{}]}',
    ];
    const text = `[${elements.join(', ')}]`;
    assert.equal(
      await server.post('/push_batch/app', { batch_data: text }),
      `{"total":5,"cap":${text.length}}`,
    );
    await client.expect(
      '{"channel":"ch","event":"1","data":1}',
      '{"channel":"ch","event":"","data":null}',
      '{"channel":"","event":"to the empty channel","data":2}',
      '{"channel":"","event":"","data":null}',
      '{"channel":"ch","event":"4","data":"not parsed: 1"}',
    );
    await server.assertSilent(client);
  },
);

serverTest(
  'patterns are RE2, unanchored, and reach the channels that are live',
  {},
  async (server) => {
    const client = await server.login();
    const names = ['room-1', 'room-22', 'ROOM-3', '房间', 'a.b', 'line\nfeed'];
    await client.subscribe(...names);
    const matching = [
      ['room-\\d+$', ['room-1', 'room-22']],
      ['(?i)room', ['ROOM-3', 'room-1', 'room-22']],
      ['\\p{Han}', ['房间']],
      ['^a\\.b$', ['a.b']],
      ['[[:upper:]]', ['ROOM-3']],
      ['^line.feed$', []],
      ['(?s)^line.feed$', ['line\nfeed']],
      ['^$', []],
    ];
    for (const [pattern, expected] of matching) {
      const form = { channel_pattern: pattern, event: 'e', data: '1' };
      const { total } = JSON.parse(await server.post('/push/app', form));
      assert.equal(total, expected.length, pattern);
      const heard = [];
      while (heard.length < total) heard.push((await client.nextJson()).channel);
      assert.deepEqual(heard.sort(), [...expected].sort(), pattern);
    }
    await server.assertSilent(client);
  },
);

// ---- decode

serverTest('decode tells the claims in their fixed order', {}, async (server) => {
  const decode = async (claims) => {
    const reply = await server.call('POST', '/decode', { form: { data: keys.sign(claims) } });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['content-type'], JSON_TYPE);
    return reply.text;
  };
  const exp = Math.floor(Date.now() / 1000) + 100;
  const full = {
    sub: 's',
    nbf: 1,
    iss: 'i',
    iat: 2,
    jti: 'j',
    exp,
    aud: 'a',
    gusher: { remotes: { b: true, a: false }, app_key: 'k', user_id: 'u', channels: ['x', 'é'] },
  };
  assert.equal(
    await decode(full),
    '{"gusher":{"channels":["x","é"],"user_id":"u","app_key":"k","remotes":{"a":false,"b":true}},' +
      `"aud":"a","exp":${exp},"jti":"j","iat":2,"iss":"i","nbf":1,"sub":"s"}\n`,
  );
  const empty = '{"gusher":{"channels":null,"user_id":"","app_key":"","remotes":null}}\n';
  assert.equal(await decode({ gusher: {} }), empty);
  assert.equal(await decode({ gusher: { channels: null, user_id: null, remotes: null } }), empty);
});
