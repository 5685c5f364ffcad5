// What attackers are known to do to servers of this kind, each beside a client that must notice
// nothing (hostile.test.mjs has clients that want too much or read too little).
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import zlib from 'node:zlib';
import * as keys from './support/keys.mjs';
import {
  BINARY,
  CONTINUATION,
  CLOSE,
  frame,
  PING,
  PONG,
  requestText,
  TEXT,
  upgradeHeaders,
} from './support/raw.mjs';
import { inParallel, pause, until } from './support/wait.mjs';
import { hostileTest } from './support/witness.mjs';

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

/** Descriptors that the server has open. */
const descriptors = (server) => fs.readdirSync(`/proc/${server.process.child.pid}/fd`).length;

/** KiB of memory that it has. */
const memory = (server) =>
  Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${server.process.child.pid}/status`, 'utf8'))[1]);

/** Waits until the server has let go of what an attack had opened; the rest is the test's own. */
async function backTo(server, before) {
  await until(() => descriptors(server) <= before + 20, `${before} descriptors`);
}

// ---- time

const impatient = { 'request-timeout': 1, 'master-request-timeout': 1 };

hostileTest('slowloris: requests that never end, on both ports', impatient, async (server) => {
  const before = descriptors(server);
  const beginnings = [
    'GET /gcs/ping HTTP/1.1\r\nHost: x\r\nX-Slow: ',
    'G',
    `POST /gcs/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n`,
    `POST /api/push/app/c/e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`,
    '',
  ];
  await inParallel(200, 200, async (i) => {
    const raw = await server.raw(i % 2 ? server.slave : server.master);
    const beginning = beginnings[i % beginnings.length];
    raw.write(beginning);
    // A byte now and then keeps nobody waiting for ever: the request has its time as a whole.
    const drip = setInterval(() => raw.write(beginning.includes('chunked') ? '1\r\na\r\n' : 'a'), 100);
    const rest = await raw.rest();
    clearInterval(drip);
    // 404: the path is the other port's, which the head is enough to know.
    assert.match(rest, /^(HTTP\/1\.1 40[048] |$)/);
    raw.destroy();
  });
  await backTo(server, before);
});

hostileTest('connects of nothing, and half of a connection', impatient, async (server) => {
  const before = descriptors(server);
  await inParallel(400, 400, async (i) => {
    const raw = await server.raw(i % 2 ? server.slave : server.master);
    if (i % 4 < 2) raw.halfClose();
    assert.equal(await raw.rest(), '');
    raw.destroy();
  });
  await backTo(server, before);
});

hostileTest(
  'sockets that fall silent in the middle of a frame are found out',
  { 'ping-interval': 1, 'pong-timeout': 2, 'idle-rule': 'off' },
  async (server) => {
    await inParallel(50, 50, async (i) => {
      const raw = await server.rawSocket({ app: 'silent' });
      const whole = frame(TEXT, '{"event":"gusher.ping","data":1}');
      raw.write(whole.subarray(0, 1 + (i % (whole.length - 1))));
      let last;
      do last = await raw.frame();
      while (last.op === PING);
      assert.deepEqual(
        [last.op, last.payload.readUInt16BE(0), last.payload.subarray(2).toString()],
        [CLOSE, 1008, 'no_pong: no pong in time'],
      );
      raw.destroy();
    });
    assert.deepEqual(await server.ask('/silent/online'), []);
  },
);

hostileTest('frames byte by byte are understood all the same', {}, async (server) => {
  await inParallel(20, 20, async () => {
    const raw = await server.rawSocket({ app: 'slow' });
    await raw.writeSlowly(frame(TEXT, '{"event":"gusher.subscribe","data":{"channel":"c"}}'));
    assert.match(await raw.text(), /subscribe_succeeded/);
    await raw.writeSlowly(
      Buffer.concat([
        frame(TEXT, '{"event":"gusher.pi', { fin: false }),
        frame(PING, 'between'),
        frame(CONTINUATION, 'ng","data":7}'),
      ]),
    );
    assert.equal((await raw.frame()).op, PONG);
    assert.match(await raw.text(), /7/);
    raw.destroy();
  });
});

// ---- bombs

const closeOf = async (raw) => {
  let last;
  do last = await raw.frame();
  while (last.op !== CLOSE);
  return [last.payload.readUInt16BE(0), last.payload.subarray(2).toString()];
};

hostileTest('frame bombs: what is announced is not what is kept', {}, async (server) => {
  const before = memory(server);
  const shapes = {
    'a length of 2^63 - 1': [frame(TEXT, '', { length: 2n ** 63n - 1n, wide: 8 }), 1009],
    'a length of 1 TiB': [frame(BINARY, 'x', { length: 2 ** 40, wide: 8 }), 1009],
    'a length with the highest bit': [frame(TEXT, '', { length: 2n ** 63n, wide: 8 }), 1002],
    'fragments over the limit': [
      Buffer.concat([
        frame(TEXT, 'x'.repeat(400), { fin: false }),
        frame(CONTINUATION, 'x'.repeat(400), { fin: false }),
      ]),
      1009,
    ],
    'a ping over 125 bytes': [frame(PING, 'x'.repeat(126)), 1002],
    'a fragmented close': [frame(CLOSE, '', { fin: false }), 1002],
  };
  for (const [name, [bytes, code]] of Object.entries(shapes)) {
    await inParallel(30, 30, async () => {
      const raw = await server.rawSocket({ app: 'bomb' });
      raw.write(bytes);
      assert.equal((await closeOf(raw))[0], code, name);
      raw.destroy();
    });
  }
  // Fragments of nothing, 100,000 of them: no memory each, and the message ends as it should.
  const raw = await server.rawSocket({ app: 'bomb' });
  raw.write(frame(TEXT, '{"event":"gusher.ping",', { fin: false }));
  const nothing = Buffer.concat(
    Array.from({ length: 1000 }, () => frame(CONTINUATION, '', { fin: false })),
  );
  for (let i = 0; i < 100; i++) raw.write(nothing);
  raw.write(frame(CONTINUATION, '"data":1}'));
  assert.match(await raw.text(), /gusher\.pong_succeeded/);
  const grown = memory(server) - before;
  assert.ok(process.env.SANITIZED || grown < 16 << 10, `${grown} KiB more`);
});

hostileTest('deflate bombs stop at the limit of a message', {}, async (server) => {
  const before = memory(server);
  const bombOf = (bytes) => zlib.deflateRawSync(Buffer.alloc(bytes, 0x20), { level: 9 });
  const bombs = [bombOf(1 << 20), bombOf(400_000)];
  // Several layers: what comes out is no message, and is not unpacked again.
  bombs.push(zlib.deflateRawSync(bombs[0]));
  await inParallel(60, 20, async (i) => {
    const raw = await server.raw();
    raw.write(
      requestText('GET', server.wsTarget({ app: 'bomb' }), {
        ...upgradeHeaders,
        'Sec-WebSocket-Extensions': 'permessage-deflate; client_no_context_takeover',
      }),
    );
    assert.equal((await raw.reply()).status, 101);
    raw.write(frame(TEXT, bombs[i % bombs.length], { rsv: 4 }));
    const [code] = await closeOf(raw);
    assert.ok([1007, 1009].includes(code), `${code}`);
    raw.destroy();
  });
  const grown = memory(server) - before;
  assert.ok(process.env.SANITIZED || grown < 16 << 10, `${grown} KiB more`);
});

hostileTest('header bombs', {}, async (server) => {
  const before = memory(server);
  const lines = (n, length) =>
    Array.from({ length: n }, (_, i) => `X-${i}: ${'x'.repeat(length)}\r\n`).join('');
  const shapes = [
    [`GET /gcs/ping HTTP/1.1\r\nHost: x\r\n${lines(10_000, 1)}\r\n`, 431],
    [`GET /gcs/ping HTTP/1.1\r\nHost: x\r\n${lines(1, 1 << 20)}\r\n`, 431],
    [`GET /gcs/ping HTTP/1.1\r\nHost: x\r\n${'y'.repeat(1 << 20)}: 1\r\n\r\n`, 431],
    [`GET /gcs/${'x'.repeat(1 << 20)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
    [`${'G'.repeat(1 << 20)} / HTTP/1.1\r\nHost: x\r\n\r\n`, 400],
    [
      `GET /gcs/ping HTTP/1.1\r\nHost: x\r\n${`X-Forwarded-For: ${'1.1.1.1,'.repeat(40)}\r\n`.repeat(90)}\r\n`,
      200,
    ],
  ];
  await inParallel(60, 12, async (i) => {
    const [text, status] = shapes[i % shapes.length];
    const raw = await server.raw(i % 2 ? server.slave : server.master);
    raw.write(text);
    const reply = await raw.reply();
    assert.ok(reply.status === status || (reply.status === 404 && status === 200), reply.head);
    raw.destroy();
  });
  const grown = memory(server) - before;
  assert.ok(process.env.SANITIZED || grown < 16 << 10, `${grown} KiB more`);
});

// ---- connections that break

/** What is under way when the connection is torn off. */
const stages = [
  () => '',
  () => 'GET /gc',
  (server) => requestText('GET', server.wsTarget({ app: 'reset', user: 'r' }), upgradeHeaders),
  (server) =>
    Buffer.concat([
      Buffer.from(requestText('GET', server.wsTarget({ app: 'reset', user: 'r' }), upgradeHeaders)),
      frame(TEXT, '{"event":"gusher.subscribe","data":{"channel":"c"}}'),
      frame(TEXT, '{"event":"gusher.pi', { fin: false }),
    ]),
  () => requestText('POST', '/api/push/app/c/e', { ...FORM, 'Content-Length': 6 }, 'data=1'),
  () => requestText('GET', '/api/reset/online').repeat(50),
  () => requestText('POST', '/api/push/app', { ...FORM, 'Content-Length': 44 }, 'channel_pattern=.*&event=e&data=1'.padEnd(44)),
];

hostileTest('a storm of resets, in the middle of everything', {}, async (server) => {
  const before = descriptors(server);
  await inParallel(1500, 100, async (i) => {
    const to = i % 2 ? server.slave : server.master;
    const socket = net.connect({ host: to.host, port: to.port });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    socket.write(stages[i % stages.length](server));
    if (i % 3) await pause(i % 7);
    socket.resetAndDestroy();
  });
  await until(async () => !(await server.ask('/reset/online')).length, 'all of them are gone');
  await until(async () => !(await server.ask('/reset/channels')).length, 'their channel, too');
  await backTo(server, before);
});

// ---- text and masks

hostileTest('text that is not UTF-8, frames that are not masked', {}, async (server) => {
  const notUtf8 = ['\xff', '\xc0\xaf', '\xed\xa0\x80', '\xf4\x90\x80\x80', '\xe2\x82', '\x80', '\xf8\x88\x80\x80\x80'];
  const shapes = [];
  for (const text of notUtf8) {
    const bytes = Buffer.from(text, 'latin1');
    shapes.push([frame(TEXT, bytes), 1007]);
    shapes.push([
      Buffer.concat([frame(TEXT, bytes.subarray(0, 1), { fin: false }), frame(CONTINUATION, bytes.subarray(1))]),
      1007,
    ]);
    shapes.push([frame(CLOSE, Buffer.concat([Buffer.from([3, 232]), bytes])), 1007]);
  }
  shapes.push([frame(TEXT, '{}', { masked: false }), 1002]);
  shapes.push([frame(PING, '', { masked: false }), 1002]);
  for (const rsv of [1, 2, 4, 7]) shapes.push([frame(TEXT, '{}', { rsv }), 1002]);
  for (const op of [3, 7, 11, 15]) shapes.push([frame(op, ''), 1002]);
  shapes.push([frame(CONTINUATION, 'x'), 1002]);
  shapes.push([Buffer.concat([frame(TEXT, 'x', { fin: false }), frame(TEXT, 'y')]), 1002]);
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000]) {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    shapes.push([frame(CLOSE, payload), 1002]);
  }
  shapes.push([frame(CLOSE, '\x03'), 1002]);
  await inParallel(shapes.length, 20, async (i) => {
    const [bytes, code] = shapes[i];
    const raw = await server.rawSocket({ app: 'abuse' });
    raw.write(bytes);
    const [got, why] = await closeOf(raw);
    assert.equal(got, code, `${bytes.toString('hex')}: ${got} ${why}`);
    raw.destroy();
  });
});

// ---- requests behind requests

hostileTest('a pipeline out of step serves nobody else’s request', {}, async (server) => {
  const listener = await server.login({ app: 'app', user: 'ann' });
  await listener.subscribe('smuggled');
  const smuggled = requestText('POST', '/api/push/app/smuggled/e', { ...FORM, 'Content-Length': 6 }, 'data=1');
  const carry = (headers, body) =>
    `POST /api/decode HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
  const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
  const shapes = [
    // Who goes by the length finds a request behind it, who goes by the chunks does not.
    carry('Content-Length: 5\r\nTransfer-Encoding: chunked', `0\r\n\r\n${smuggled}`),
    carry(`Content-Length: 0\r\nContent-Length: ${smuggled.length}`, smuggled),
    carry(`Content-Length: ${smuggled.length}, 0`, smuggled),
    carry(`Content-Length: +0`, smuggled),
    carry(`Content-Length: 0x0`, smuggled),
    carry(`Content-Length : 0`, smuggled),
    carry(`Content-Length: 18446744073709551616`, smuggled),
    carry('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', chunk),
    carry('Transfer-Encoding: identity, chunked', chunk),
    carry('Transfer-Encoding: \x0bchunked', chunk),
    carry('Transfer-Encoding: chunked', `ffffffffffffffff1\r\n${smuggled}`),
    carry('Transfer-Encoding: chunked', `-1\r\n${smuggled}`),
    carry('Transfer-Encoding: chunked', `0x1\r\na\r\n0\r\n\r\n`) + smuggled,
    carry('Transfer-Encoding: chunked', `1\na\n0\n\n`) + smuggled,
    `GET /api/ping HTTP/1.1\nHost: x\n\n`.replace(/\n/g, '\r') + smuggled,
    `GET /api/ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n${smuggled}`,
    `GET /api/ping\0 HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}`,
    `GET /api/ping HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n${smuggled}`,
    // Whoever asks for a WebSocket and gets none has sent frames behind it, not requests.
    `GET /gcs/ws/app?token=none HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${smuggled}`,
  ];
  await inParallel(shapes.length, 8, async (i) => {
    const raw = await server.raw(server.master);
    raw.write(shapes[i]).halfClose();
    const answers = (await raw.rest()).match(/HTTP\/1\.1 \d{3} /g) ?? [];
    assert.ok(answers.length <= 1, `${JSON.stringify(shapes[i])}: ${answers}`);
    raw.destroy();
  });
  await server.assertSilent(listener);
});

// ---- tokens

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

hostileTest('tokens that are none open nothing, on any road', {}, async (server) => {
  const claims = keys.claims({ app: 'app', user: 'admin' });
  const good = keys.sign(claims);
  const [header, payload, signature] = good.split('.');
  const pem = fs.readFileSync(keys.publicFile);
  const der = crypto.createPublicKey(pem).export({ type: 'spki', format: 'der' });
  const hmac = (alg, key) => {
    const text = `${part({ alg, typ: 'JWT' })}.${payload}`;
    return `${text}.${crypto.createHmac(`sha${alg.slice(2)}`, key).update(text).digest('base64url')}`;
  };
  const other = keys.pairOf('RS256');
  const ec = keys.pairOf('ES256');
  const tokens = {
    ...Object.fromEntries(
      ['none', 'None', 'NONE', 'nOnE', ''].flatMap((alg) => [
        [`alg ${alg}, unsigned`, `${part({ alg })}.${payload}.`],
        [`alg ${alg}, signed`, `${part({ alg })}.${payload}.${signature}`],
      ]),
    ),
    ...Object.fromEntries(
      ['HS256', 'HS384', 'HS512'].flatMap((alg) => [
        [`${alg} by the PEM`, hmac(alg, pem)],
        [`${alg} by the PEM without its end`, hmac(alg, pem.toString().trim())],
        [`${alg} by the DER`, hmac(alg, der)],
        [`${alg} by nothing`, hmac(alg, '')],
      ]),
    ),
    'another RSA key': keys.sign(claims, { key: other.privateKey }),
    'an EC key under RS256': `${part({ alg: 'RS256' })}.${payload}.${keys.signBy(ec, claims).split('.')[2]}`,
    'ES256, which the key is not': keys.signBy(ec, claims),
    'a key that the token brings': keys.sign(claims, { key: other.privateKey }).replace(
      /^[^.]+/,
      part({ alg: 'RS256', jwk: keys.jwkOf(other) }),
    ),
    'a key that the token points at': keys.sign(claims, { key: other.privateKey }).replace(
      /^[^.]+/,
      part({ alg: 'RS256', jku: 'http://127.0.0.1:1/jwks', x5u: 'http://127.0.0.1:1/x' }),
    ),
    'a kid that is a path': keys.sign(claims, { key: other.privateKey, kid: '../../../../dev/null' }),
    'other claims under the signature': `${header}.${part(keys.claims({ user: 'root' }))}.${signature}`,
    'no signature': `${header}.${payload}.`,
    'no third part': `${header}.${payload}`,
    'a fourth part': `${good}.${signature}`,
    'a cut signature': good.slice(0, -10),
    'a longer signature': `${good}AAAA`,
    'padding': `${good}==`,
    'the other alphabet': good.replaceAll('-', '+').replaceAll('_', '/') === good ? `${good}+` : good.replaceAll('-', '+').replaceAll('_', '/'),
    'a null byte': `${good}\0`,
    'blanks': ` ${good}`,
    'two headers': `${part('{"alg":"none","alg":"RS256"}')}.${payload}.${signature}`,
    'a header that is a list': `${part([{ alg: 'RS256' }])}.${payload}.${signature}`,
    'a signature of zeros': `${header}.${payload}.${Buffer.alloc(256).toString('base64url')}`,
    'dots': '..',
    'a million dots': '.'.repeat(1 << 20),
    'megabytes': `${header}.${'A'.repeat(3 << 20)}.${signature}`,
    'a megabyte of header': `${'A'.repeat(1 << 20)}.${payload}.${signature}`,
  };
  const victim = await server.login({ app: 'app', user: 'ann', channels: ['mine'] });
  for (const [name, token] of Object.entries(tokens)) {
    const auth = await server.callSlave('POST', '/auth', { form: { jwt: token } });
    assert.ok([401, 413].includes(auth.status), `auth, ${name}: ${auth.status} ${auth.text}`);
    const raw = await server.raw();
    raw.write(requestText('GET', `/gcs/ws/app?token=${encodeURIComponent(token)}`, upgradeHeaders));
    const { status } = await raw.reply();
    assert.ok([401, 414].includes(status), `ws, ${name}: ${status}`);
    raw.destroy();
    const decoded = await server.call('POST', '/decode', { form: { data: token } });
    assert.ok(decoded.status >= 400, `decode, ${name}: ${decoded.status} ${decoded.text}`);
  }
  assert.deepEqual(await server.ask('/app/online'), ['ann']);
  // In band it changes nothing either.
  for (const token of Object.values(tokens).filter((text) => text.length < 400)) {
    const { event } = await victim.command('gusher.refresh', { token });
    assert.match(event, /error/);
  }
  assert.equal((await victim.command('gusher.subscribe', { channel: 'other' })).event, 'gusher.subscribe_error');
  for (const text of Object.values(tokens))
    if (text.length > 20) assert.ok(!server.stderr.includes(text.slice(0, 60)), 'a token in the log');
});
