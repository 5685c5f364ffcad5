// RFC 6455 frame by frame, the handshake, the schedule of pings, and what a kick says.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import {
  BINARY,
  CLOSE,
  closeFrame,
  CONTINUATION,
  frame,
  PING,
  PONG,
  requestText,
  TEXT,
  upgradeAccept,
  upgradeHeaders,
} from './support/raw.mjs';
import { inParallel } from './support/wait.mjs';

const command = (event, data) => JSON.stringify({ event, data });
const ping = (data) => command('gusher.ping', data);

/** The data of the next message, which must be the answer to a gusher.ping. */
async function pong(raw) {
  const reply = JSON.parse(await raw.text());
  assert.equal(reply.event, 'gusher.pong_succeeded');
  return reply.data;
}

/** Runs one connection a case, several at a time: a refused one may linger for a moment. */
async function eachSocket(server, cases, check) {
  await inParallel(cases.length, 8, async (i) => {
    const raw = await server.rawSocket();
    await check(raw, cases[i]);
    raw.destroy();
  });
}

// ---- handshake

serverTest('the 101 has its three headers and nothing else', {}, async (server) => {
  const raw = await server.raw();
  raw.write(requestText('GET', server.wsTarget(), upgradeHeaders));
  const { head } = await raw.reply();
  assert.equal(
    head,
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${upgradeAccept}\r\n\r\n`,
  );
});

serverTest('headers as proxies and browsers write them are understood', {}, async (server) => {
  const variants = [
    { Connection: 'keep-alive, Upgrade' },
    { connection: 'UPGRADE', Connection: undefined },
    { Upgrade: 'WebSocket' },
    { 'Sec-WebSocket-Protocol': 'chat, superchat' },
    { 'Sec-WebSocket-Extensions': 'x-webkit-deflate-frame, permessage-bzip2' },
    { Origin: 'https://evil.test', Cookie: 'a=b' },
  ];
  for (const more of variants) {
    const raw = await server.raw();
    const headers = Object.entries({ ...upgradeHeaders, ...more }).filter(([, value]) => value);
    raw.write(requestText('GET', server.wsTarget(), Object.fromEntries(headers)));
    const { status, headers: got } = await raw.reply();
    assert.deepEqual(
      [status, Object.keys(got).sort()],
      [101, ['connection', 'sec-websocket-accept', 'upgrade']],
      JSON.stringify(more),
    );
  }
});

serverTest(
  'what is no valid upgrade is 400, another version 426, and the connection ends',
  {},
  async (server) => {
    const refused = [
      [400, { Upgrade: null }],
      [400, { Connection: null }],
      [400, { Connection: 'keep-alive' }],
      [400, { Upgrade: 'h2c' }],
      [400, { 'Sec-WebSocket-Key': null }],
      [400, { 'Sec-WebSocket-Key': '' }],
      [400, { 'Sec-WebSocket-Version': null }],
      [426, { 'Sec-WebSocket-Version': '8' }],
      [426, { 'Sec-WebSocket-Version': '13, 8' }],
    ];
    for (const [status, more] of refused) {
      const raw = await server.raw();
      raw.write(requestText('GET', server.wsTarget(), { ...upgradeHeaders, ...more }));
      const reply = await raw.reply();
      assert.equal(reply.status, status, JSON.stringify(more));
      assert.equal(reply.body, status === 400 ? 'Bad Request\n' : 'Upgrade Required\n');
      assert.equal(reply.headers['sec-websocket-version'], '13');
      assert.equal(reply.headers.connection, 'close');
      await raw.end();
    }
    const old = await server.raw();
    const text = requestText('GET', server.wsTarget(), upgradeHeaders);
    old.write(text.replace('HTTP/1.1', 'HTTP/1.0'));
    assert.equal((await old.reply()).status, 400);
  },
);

serverTest(
  'a refused token ends the connection: what follows may be frames',
  {},
  async (server) => {
    const raw = await server.raw();
    raw.write(
      requestText('GET', '/gcs/ws/app?token=x', upgradeHeaders) + requestText('GET', '/gcs/ping'),
    );
    assert.equal((await raw.reply()).body, 'token error\n');
    await raw.end();
  },
);

serverTest(
  'frames that come together with the handshake are served after it',
  {},
  async (server) => {
    const raw = await server.raw();
    raw.write(
      Buffer.concat([
        Buffer.from(
          requestText('GET', '/gcs/ping') + requestText('GET', server.wsTarget(), upgradeHeaders),
        ),
        frame(TEXT, ping(1)),
        frame(TEXT, ping(2)).subarray(0, 5),
      ]),
    );
    assert.equal((await raw.reply()).body, 'pong');
    assert.equal((await raw.reply()).status, 101);
    assert.equal(await pong(raw), 1);
  },
);

serverTest('a handshake byte by byte', {}, async (server) => {
  const raw = await server.raw();
  await raw.writeSlowly(requestText('GET', server.wsTarget(), upgradeHeaders));
  assert.equal((await raw.reply()).status, 101);
  raw.write(frame(TEXT, ping('there')));
  assert.equal(await pong(raw), 'there');
});

serverTest('10,000 permissions open a socket: by ticket, and by the JWT', {}, async (server) => {
  const names = Array.from({ length: 10_000 }, (_, i) => String.fromCharCode(97 + (i % 26)));
  const jwt = keys.sign(keys.claims({ user: 'ann', channels: [...names.slice(1), 'last'] }));
  assert.ok(jwt.length > 50_000);
  for (const token of [await server.auth(jwt), jwt]) {
    const client = await server.connect(server.url('app', token));
    await client.subscribe('last');
    await client.close();
  }
});

// ---- frames

serverTest(
  'a message may come in any pieces, with control frames in between',
  {},
  async (server) => {
    const raw = await server.rawSocket();
    const text = Buffer.from(ping('ü☃😀'));
    for (let cut = 0; cut <= text.length; cut++) {
      raw.write(frame(TEXT, text.subarray(0, cut), { fin: false }));
      raw.write(frame(PING, `between ${cut}`));
      raw.write(frame(PONG, 'unasked'));
      raw.write(frame(CONTINUATION, '', { fin: false }));
      raw.write(frame(CONTINUATION, text.subarray(cut)));
      const { op, payload } = await raw.frame();
      assert.deepEqual([op, payload.toString()], [PONG, `between ${cut}`]);
      assert.equal(await pong(raw), 'ü☃😀');
    }
    // Each byte in a frame of its own, all in one write.
    const bytes = [...text].map((byte, i) =>
      frame(i ? CONTINUATION : TEXT, Buffer.of(byte), { fin: i === text.length - 1 }),
    );
    raw.write(Buffer.concat(bytes));
    assert.equal(await pong(raw), 'ü☃😀');
  },
);

serverTest('frames byte by byte', {}, async (server) => {
  const raw = await server.rawSocket();
  const long = 'x'.repeat(300);
  await raw.writeSlowly(Buffer.concat([frame(PING, 'slow'), frame(TEXT, ping(long))]));
  assert.equal((await raw.frame()).payload.toString(), 'slow');
  assert.equal(await pong(raw), long);
  await raw.writeSlowly(closeFrame(4321, 'bye'));
  assert.equal((await raw.close()).code, 4321);
});

serverTest('many frames in one write are served in order', {}, async (server) => {
  const raw = await server.rawSocket();
  const frames = Array.from({ length: 200 }, (_, i) => frame(TEXT, ping(i)));
  raw.write(Buffer.concat(frames));
  for (let i = 0; i < frames.length; i++) assert.equal(await pong(raw), i);
});

serverTest('protocol pings are echoed, up to 125 bytes of any kind', {}, async (server) => {
  const raw = await server.rawSocket();
  for (const payload of [Buffer.alloc(0), Buffer.from([0, 255, 254]), Buffer.alloc(125, 7)]) {
    raw.write(frame(PING, payload));
    const reply = await raw.frame();
    assert.deepEqual([reply.op, reply.fin], [PONG, true]);
    assert.deepEqual(reply.payload, payload);
  }
});

serverTest('binary messages are ignored, whole or in pieces', {}, async (server) => {
  const raw = await server.rawSocket();
  raw.write(frame(BINARY, Buffer.from([255, 0, 254])));
  raw.write(frame(BINARY, Buffer.from([255]), { fin: false }));
  raw.write(frame(CONTINUATION, Buffer.from([254])));
  raw.write(frame(TEXT, ping(1)));
  assert.equal(await pong(raw), 1);
});

serverTest('violations are closed with 1002', {}, async (server) => {
  const start = frame(TEXT, '{', { fin: false });
  const violations = [
    [frame(TEXT, ping(1), { masked: false }), 'frame is not masked'],
    [frame(PING, '', { masked: false }), 'frame is not masked'],
    [frame(TEXT, ping(1), { rsv: 4 }), 'reserved bits are set'],
    [frame(TEXT, ping(1), { rsv: 2 }), 'reserved bits are set'],
    [frame(PING, '', { rsv: 1 }), 'reserved bits are set'],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((op) => [frame(op), 'unknown opcode']),
    [frame(PING, '', { fin: false }), 'fragmented control frame'],
    [frame(CLOSE, '', { fin: false }), 'fragmented control frame'],
    [frame(PING, Buffer.alloc(126)), 'control frame is too long'],
    [frame(CLOSE, Buffer.alloc(126, 1)), 'control frame is too long'],
    [frame(CONTINUATION, 'x'), 'continuation of nothing'],
    [frame(CONTINUATION, 'x', { fin: false }), 'continuation of nothing'],
    [Buffer.concat([start, frame(TEXT, '}')]), 'new message within a message'],
    [Buffer.concat([start, frame(BINARY, '}')]), 'new message within a message'],
    [frame(TEXT, 'x'.repeat(125), { wide: 2 }), 'length is not minimal'],
    [frame(TEXT, 'x'.repeat(300), { wide: 8 }), 'length is not minimal'],
    [frame(CLOSE, Buffer.of(3)), 'close code is cut'],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) => [
      closeFrame(code),
      'close code is not allowed',
    ]),
  ];
  await eachSocket(server, violations, async (raw, [bytes, reason]) => {
    raw.write(bytes);
    assert.deepEqual(await raw.close(), { code: 1002, reason: `bad_frame: ${reason}` });
  });
  const range = Buffer.concat([Buffer.from([0x81, 0xff]), Buffer.alloc(12, 0xff)]);
  await eachSocket(server, [range], async (raw, bytes) => {
    raw.write(bytes);
    assert.ok([1002, 1009].includes((await raw.close()).code));
  });
});

serverTest('a close is answered with its own code', {}, async (server) => {
  const codes = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999,
  ];
  await eachSocket(server, codes, async (raw, code) => {
    raw.write(closeFrame(code, 'bye ☃'));
    assert.equal((await raw.close()).code, code);
  });
  await eachSocket(server, [frame(CLOSE)], async (raw, empty) => {
    raw.write(empty);
    // RFC 6455 lets an endpoint answer an empty close with 1000 or with an empty one.
    assert.ok([1000, 1005].includes((await raw.close()).code));
  });
});

serverTest('nothing after a close is served', {}, async (server) => {
  const raw = await server.rawSocket();
  raw.write(Buffer.concat([frame(TEXT, ping(1)), closeFrame(1000), frame(TEXT, ping(2))]));
  assert.equal(await pong(raw), 1);
  assert.equal((await raw.close()).code, 1000);
});

serverTest('text that is not UTF-8 is closed with 1007', {}, async (server) => {
  const invalid = [
    [0xff],
    [0xc0, 0x80],
    [0xc1, 0xbf],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xed, 0xbf, 0xbf],
    [0xf0, 0x80, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0x80],
    [0xe2, 0x82],
    [0xe2, 0x28, 0xa1],
  ].map((bytes) => Buffer.from([0x22, ...bytes]));
  const reason = 'bad_text: text is not UTF-8';
  await eachSocket(server, invalid, async (raw, bytes) => {
    raw.write(frame(TEXT, bytes));
    assert.deepEqual(await raw.close(), { code: 1007, reason });
  });
  // The same in two fragments, cut inside the sequence.
  await eachSocket(server, invalid, async (raw, bytes) => {
    raw.write(frame(TEXT, bytes.subarray(0, 2), { fin: false }));
    raw.write(frame(CONTINUATION, bytes.subarray(2)));
    assert.deepEqual(await raw.close(), { code: 1007, reason });
  });
  await eachSocket(server, [Buffer.from([0x03, 0xe8, 0xff])], async (raw, payload) => {
    raw.write(frame(CLOSE, payload));
    assert.deepEqual(await raw.close(), { code: 1007, reason: 'bad_text: close reason is not UTF-8' });
  });
  // Told before the message is whole: nobody has to wait for its end.
  await eachSocket(server, [Buffer.from([0x22, 0xff])], async (raw, bytes) => {
    raw.write(frame(TEXT, bytes, { fin: false }));
    assert.equal((await raw.close()).code, 1007);
  });
});

// ---- limits

serverTest(
  '512 bytes pass, one more is closed with 1009, in bytes and after joining',
  {},
  async (server) => {
    const reason = 'too_big: message is too big: over 512 bytes';
    const exact = (size) => {
      const empty = Buffer.byteLength(ping(''));
      const text = ping('ü'.repeat((size - empty) >> 1) + 'x'.repeat((size - empty) & 1));
      assert.equal(Buffer.byteLength(text), size);
      return Buffer.from(text);
    };
    const raw = await server.rawSocket();
    raw.write(frame(TEXT, exact(512)));
    await pong(raw);
    raw.write(frame(TEXT, exact(512).subarray(0, 200), { fin: false }));
    raw.write(frame(CONTINUATION, exact(512).subarray(200)));
    await pong(raw);

    const tooBig = [
      frame(TEXT, exact(513)),
      frame(BINARY, Buffer.alloc(513)),
      Buffer.concat([
        frame(TEXT, exact(513).subarray(0, 500), { fin: false }),
        frame(CONTINUATION, exact(513).subarray(500)),
      ]),
      // Announced is enough: nothing of it has to come.
      frame(TEXT, '', { length: 513 }),
      frame(TEXT, '', { length: 2 ** 40 }),
    ];
    await eachSocket(server, tooBig, async (socket, bytes) => {
      socket.write(bytes);
      assert.deepEqual(await socket.close(), { code: 1009, reason });
    });
  },
);

serverTest('the limit is an option', { 'receive-max-message-size': 100_000 }, async (server) => {
  const raw = await server.rawSocket();
  const long = 'x'.repeat(99_000);
  raw.write(frame(TEXT, ping(long)));
  assert.equal(await pong(raw), long);
  raw.write(frame(TEXT, '', { length: 100_001 }));
  assert.equal((await raw.close()).code, 1009);
});

// ---- kicks

serverTest('a kick says why, and concerns that socket only', {}, async (server) => {
  const other = await server.login({ user: 'other' });
  await other.subscribe('c');
  const kicks = [
    ['', 1007, 'not JSON'],
    ['hello', 1007, 'not JSON'],
    ['{"event":"gusher.ping","data":1}x', 1007, 'not JSON'],
    ['{"event":"gusher.ping" "data":1}', 1007, 'not JSON'],
    ['{"event":"gusher.ping","data":1', 1007, 'not JSON'],
    ['[]', 1008, 'a command is a JSON object'],
    ['"gusher.ping"', 1008, 'a command is a JSON object'],
    ['{}', 1008, 'event must be a string'],
    ['{"event":1,"data":1}', 1008, 'event must be a string'],
    ['{"event":"gusher.ping"}', 1008, 'data is missing'],
    ['{"event":"gusher.Ping","data":1}', 1008, 'unknown event'],
    ['{"event":"greeting","data":1}', 1008, 'unknown event'],
    ['{"event":"gusher.subscribe","data":{}}', 1008, 'channel must be a string'],
    ['{"event":"gusher.subscribe","data":{"channel":1}}', 1008, 'channel must be a string'],
    ['{"event":"gusher.subscribe","data":null}', 1008, 'channel must be a string'],
    ['{"event":"gusher.unsubscribe","data":"c"}', 1008, 'channel must be a string'],
    [
      '{"event":"gusher.remote","data":{"remote":"r","uid":1,"payload":1}}',
      1008,
      /^bad_command: remote and uid/,
    ],
    ['{"event":"gusher.remote","data":{"remote":"r","uid":"u"}}', 1008, /payload must be there$/],
  ];
  await eachSocket(server, kicks, async (raw, [text, code, reason]) => {
    raw.write(frame(TEXT, text));
    const closed = await raw.close();
    assert.equal(closed.code, code, text);
    if (typeof reason === 'string') assert.equal(closed.reason, `bad_command: ${reason}`, text);
    else assert.match(closed.reason, reason, text);
  });
  await server.push('app', 'c', 'e', '1');
  await other.expect('{"channel":"c","event":"e","data":1}');
});

serverTest('what was queued before a close arrives before it', {}, async (server) => {
  const raw = await server.rawSocket();
  raw.write(
    Buffer.concat([
      frame(TEXT, command('gusher.subscribe', { channel: 'c' })),
      ...Array.from({ length: 50 }, (_, i) => frame(TEXT, ping(i))),
      frame(TEXT, 'kick me'),
      frame(TEXT, ping('too late')),
    ]),
  );
  assert.match(await raw.text(), /subscribe_succeeded/);
  for (let i = 0; i < 50; i++) assert.equal(await pong(raw), i);
  assert.deepEqual(await raw.close(), { code: 1007, reason: 'bad_command: not JSON' });
});

serverTest('what was pushed before the end arrives before the close', {}, async (server) => {
  const client = await server.login();
  await client.subscribe('c');
  client.ws.pause();
  for (let i = 0; i < 100; i++) await server.push('app', 'c', 'e', String(i));
  server.terminate();
  client.ws.resume();
  for (let i = 0; i < 100; i++) await client.expect(`{"channel":"c","event":"e","data":${i}}`);
  assert.equal((await client.closed()).code, 1001);
});

// ---- time

/** Waits for a protocol ping. */
async function serverPing(raw, ms) {
  const { op, payload } = await raw.frame(ms);
  assert.equal(op, PING, `frame ${op} ${payload}`);
}

/** Asserts that something took about `seconds`: timers may be late on a loaded machine. */
function assertTook(began, seconds, what) {
  const took = (Date.now() - began) / 1000;
  assert.ok(took > seconds - 0.2 && took < seconds + 1.5, `${what} took ${took} s`);
}

// Each waits for real time, so they wait together.
describe('schedule', { concurrency: true }, () => {
  const fast = { 'ping-interval': 1, 'pong-timeout': 2 };

  serverTest('a ping every interval; who answers stays', fast, async (server) => {
    const raw = await server.rawSocket();
    const began = Date.now();
    raw.write(frame(TEXT, command('gusher.subscribe', { channel: 'c' })));
    await raw.text();
    for (let i = 1; i <= 4; i++) {
      await serverPing(raw);
      assertTook(began, i, `ping ${i}`);
      raw.write(frame(PONG));
    }
  });

  serverTest(
    'who never pongs is closed, whatever else it sends',
    { ...fast, 'idle-rule': 'off' },
    async (server) => {
      const raw = await server.rawSocket();
      const began = Date.now();
      await serverPing(raw);
      raw.write(Buffer.concat([frame(TEXT, ping(1)), frame(PING, 'p')]));
      assert.equal(await pong(raw), 1);
      assert.equal((await raw.frame()).op, PONG);
      for (;;) {
        const { op, payload } = await raw.frame();
        if (op === PING) continue;
        assert.equal(op, CLOSE);
        assert.deepEqual(
          [payload.readUInt16BE(0), payload.subarray(2).toString()],
          [1008, 'no_pong: no pong in time'],
        );
        break;
      }
      assertTook(began, 2, 'the close');
      await raw.end();
    },
  );

  serverTest(
    'without a subscription a socket is closed at its first ping, after the ping',
    fast,
    async (server) => {
      const raw = await server.rawSocket({ user: 'u' });
      const began = Date.now();
      await serverPing(raw);
      assert.deepEqual(await raw.close(), { code: 1008, reason: 'idle: no subscription' });
      assertTook(began, 1, 'the close');
      assert.deepEqual(await server.ask('/app/online'), []);
    },
  );

  serverTest('losing the last subscription counts as having none', fast, async (server) => {
    const unsubscribed = await server.login({ user: 'a' });
    const reloaded = await server.login({ user: 'b' });
    const kept = await server.login({ user: 'c' });
    for (const client of [unsubscribed, reloaded, kept]) await client.subscribe('c');
    await unsubscribed.unsubscribe('c');
    await server.post('/reload/channel/user/app/b', { data: '[]' });
    const idle = { code: 1008, reason: 'idle: no subscription' };
    assert.deepEqual(await unsubscribed.closed(), idle);
    assert.deepEqual(await reloaded.closed(), idle);
    await server.assertSilent(kept);
  });

  serverTest(
    '--idle-rule off: sockets without subscriptions stay',
    { ...fast, 'idle-rule': 'off' },
    async (server) => {
      const raw = await server.rawSocket();
      for (let i = 0; i < 3; i++) {
        await serverPing(raw);
        raw.write(frame(PONG, 'unasked payload'));
      }
      raw.write(frame(TEXT, ping('still here')));
      assert.equal(await pong(raw), 'still here');
    },
  );

  serverTest(
    'a client that does not finish the close handshake is let go',
    fast,
    async (server) => {
      const raw = await server.rawSocket();
      raw.write(frame(TEXT, 'kick me'));
      assert.equal((await raw.close()).code, 1007);
      const began = Date.now();
      // Our side stays open and sends on: nobody listens, and in the end it is reset.
      while (!raw.socket.destroyed && Date.now() - began < 10_000) {
        raw.write(frame(TEXT, ping(1)));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.ok(raw.socket.destroyed, 'the connection was not ended');
      assertTook(began, 2, 'letting go');
    },
  );
});
