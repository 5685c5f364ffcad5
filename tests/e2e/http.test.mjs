// HTTP/1.1 on the wire: connections kept and ended, bodies in every framing, refusals, time.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe } from 'node:test';
import { serverTest } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import { requestText } from './support/raw.mjs';

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const PING = requestText('GET', '/api/ping');

const formText = (target, body, headers = {}) =>
  requestText(
    'POST',
    target,
    { ...FORM, 'Content-Length': Buffer.byteLength(body), ...headers },
    body,
  );

/** A push whose answer tells which body was read. */
const pushText = (n) => formText('/api/push/app/c/e', `data=${n}`);
const pushReply = (n) => `{"channel":"c","event":"e","data":${n}}`;

/** Sends raw bytes on a connection of its own. */
async function sent(server, bytes, address = server.master) {
  const raw = await server.raw(address);
  return raw.write(bytes);
}

// ---- connections

serverTest('a connection serves one request after the other', {}, async (server) => {
  const raw = await server.raw(server.master);
  for (let i = 0; i < 20; i++) {
    raw.write(pushText(i));
    assert.equal((await raw.reply()).body, pushReply(i));
    raw.write(requestText('GET', '/app/online'));
    assert.equal((await raw.reply()).body, '[]');
    raw.write(requestText('HEAD', '/api/ping'));
    assert.equal((await raw.reply({ toHead: true })).status, 200);
    raw.write(requestText('GET', '/nothing'));
    assert.equal((await raw.reply()).status, 404);
  }
});

serverTest(
  'Connection: close and HTTP/1.0 end the connection after the answer',
  {},
  async (server) => {
    const last = [
      requestText('GET', '/api/ping', { Connection: 'close' }),
      requestText('GET', '/app/online', { Connection: 'Close' }),
      PING.replace('HTTP/1.1', 'HTTP/1.0'),
      'GET /api/ping HTTP/1.0\r\n\r\n',
    ];
    for (const text of last) {
      const raw = await sent(server, text + PING);
      const reply = await raw.reply();
      assert.deepEqual([reply.status, reply.headers.connection], [200, 'close'], text);
      await raw.end();
    }
  },
);

serverTest('100 requests in one write are answered in order', {}, async (server) => {
  const client = await server.login({ user: 'u' });
  await client.subscribe('c');
  const kinds = [
    [PING, () => 'pong'],
    [requestText('GET', '/api/app/channels/count'), () => '{"count":1}'],
    [null, (i) => pushReply(i)],
    [requestText('GET', '/app/online'), () => '["u"]'],
  ];
  const texts = Array.from({ length: 100 }, (_, i) => kinds[i % 4][0] ?? pushText(i));
  const raw = await sent(server, texts.join(''));
  for (let i = 0; i < 100; i++) assert.equal((await raw.reply()).body, kinds[i % 4][1](i), `${i}`);
  for (let i = 2; i < 100; i += 4) await client.expect(pushReply(i));
});

serverTest('pipelined requests cut at any place are the same requests', {}, async (server) => {
  const text = pushText(1) + requestText('GET', '/app/online') + PING;
  for (let cut = 1; cut < text.length; cut += 7) {
    const raw = await sent(server, text.slice(0, cut));
    await new Promise(setImmediate);
    raw.write(text.slice(cut));
    assert.equal((await raw.reply()).body, pushReply(1));
    assert.equal((await raw.reply()).body, '[]');
    assert.equal((await raw.reply()).body, 'pong');
    raw.destroy();
  }
});

serverTest('who asks faster than it reads is made to wait, not cut off', {}, async (server) => {
  const n = 100_000;
  const raw = await server.raw(server.master);
  raw.socket.pause();
  raw.write(PING.repeat(n));
  // Until the server takes no more, others are served all the while.
  let left;
  do {
    left = raw.socket.writableLength;
    const end = Date.now() + 300;
    while (Date.now() < end) assert.equal((await server.call('GET', '/app/online')).text, '[]');
  } while (raw.socket.writableLength !== left);
  raw.socket.resume();
  for (let i = 0; i < n; i++) assert.equal((await raw.reply()).body, 'pong');
});

serverTest('a client that has ended its side still gets its answers', {}, async (server) => {
  const half = [
    PING,
    requestText('GET', '/app/online'),
    pushText(7),
    PING + requestText('GET', '/app/channels') + PING,
  ];
  const bodies = [['pong'], ['[]'], [pushReply(7)], ['pong', '[]', 'pong']];
  for (const [i, text] of half.entries()) {
    const raw = (await sent(server, text)).halfClose();
    for (const body of bodies[i]) assert.equal((await raw.reply()).body, body);
    await raw.end();
  }
});

serverTest(
  'a client that has ended its side and reads late gets all of a large answer',
  {},
  async (server) => {
    const data = 'x'.repeat(9 << 20);
    const raw = await server.raw(server.master);
    raw.socket.pause();
    raw.write(formText('/api/push/app/c/e', `data=${data}`)).halfClose();
    await once(raw.socket, 'finish');
    // Each query passes through every worker: time enough for them to find the end of our side.
    for (let i = 0; i < 300; i++) await server.ask('/app/online');
    raw.socket.resume();
    assert.equal((await raw.reply()).body.length, pushReply('""').length + data.length);
    await raw.end();
  },
);

// ---- bodies

serverTest('chunked bodies, whole and byte by byte', {}, async (server) => {
  const headers = { ...FORM, 'Transfer-Encoding': 'chunked' };
  const body = '5\r\ndata=\r\n1;ext="a;b"\r\n4\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n';
  const text = requestText('POST', '/api/push/app/c/e', headers, body);
  const raw = await sent(server, text + PING);
  assert.equal((await raw.reply()).body, pushReply('40123456789'));
  assert.equal((await raw.reply()).body, 'pong');
  await raw.writeSlowly(text);
  assert.equal((await raw.reply()).body, pushReply('40123456789'));
  raw.write(requestText('POST', '/api/push/app/c/e', headers, '0\r\n\r\n'));
  assert.equal((await raw.reply()).body, 'empty data');
});

serverTest(
  '100-continue: the body is asked for, unless it is there already or too long',
  { 'max-body': 1024 },
  async (server) => {
    const expecting = { Expect: '100-continue' };
    const raw = await server.raw(server.master);
    raw.write(formText('/api/push/app/c/e', 'data=1', expecting).replace('data=1', ''));
    const { head } = await raw.reply();
    assert.equal(head, 'HTTP/1.1 100 Continue\r\n\r\n');
    raw.write('data=1');
    assert.equal((await raw.reply()).body, pushReply(1));
    raw.write(formText('/api/push/app/c/e', 'data=2', expecting));
    assert.equal((await raw.reply()).body, pushReply(2));

    const long = await sent(
      server,
      requestText('POST', '/api/push/app/c/e', { ...FORM, ...expecting, 'Content-Length': 1025 }),
    );
    assert.equal((await long.reply()).status, 413);
    await long.end();
  },
);

serverTest(
  'a body over --max-body is 413, announced or not',
  { 'max-body': 1024 },
  async (server) => {
    const target = '/api/push/app/c/e';
    const exact = `data=${'x'.repeat(1019)}`;
    const ok = await sent(server, formText(target, exact));
    assert.equal((await ok.reply()).status, 200);
    const chunk = `${exact.length.toString(16)}\r\n${exact}\r\n`;
    const tooLong = [
      formText(target, `${exact}x`),
      requestText('POST', target, { ...FORM, 'Content-Length': '99999999999' }),
      requestText(
        'POST',
        target,
        { ...FORM, 'Transfer-Encoding': 'chunked' },
        `${chunk}1\r\nx\r\n`,
      ),
    ];
    for (const text of tooLong) {
      const raw = await sent(server, text);
      const reply = await raw.reply();
      assert.deepEqual([reply.status, reply.headers.connection], [413, 'close']);
      await raw.end();
    }
  },
);

serverTest('a client that sends far too much still reads its 413', {}, async (server) => {
  // The refusal comes while the client writes: a reset would make it fail there, unread.
  const body = 'x'.repeat(12 << 20);
  for (let i = 0; i < 5; i++) {
    const reply = await request(server.master, 'POST', '/api/push/app/c/e', {
      body,
      headers: FORM,
    });
    assert.equal(reply.status, 413);
  }
});

// ---- refusals

/** Asserts that a request is refused as unreadable: its status, and the end of the connection. */
async function assertRefused(server, text, status, address) {
  const raw = await sent(server, text, address);
  const reply = await raw.reply();
  assert.deepEqual(
    [reply.status, reply.headers.connection],
    [status, 'close'],
    JSON.stringify(text),
  );
  await raw.end();
  raw.destroy();
}

serverTest('what is no request is refused and the connection closed', {}, async (server) => {
  const get = (headers) => requestText('GET', '/api/ping', headers);
  const refused = [
    ['nonsense\r\n\r\n', 400],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['FROB /api/ping HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['get /api/ping HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET /api/pi ng HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    [get({ Host: null }), 400],
    [get({ 'X-A': 'a\0b' }), 400],
    ['GET /api/ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400],
    ['GET /api/ping HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n', 400],
    ['CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n', 501],
    [PING.replace('HTTP/1.1', 'HTTP/2.0'), 505],
    [PING.replace('HTTP/1.1', 'HTTP/1.2'), 505],
    [requestText('GET', `/api/ping?${'a'.repeat(80 << 10)}`), 414],
    [get({ 'X-Long': 'a'.repeat(32 << 10) }), 431],
    [get(Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`X-${i}`, 'a']))), 431],
  ];
  for (const [text, status] of refused) {
    await assertRefused(server, text, status);
    await assertRefused(server, text.replace('/api/', '/gcs/'), status, server.slave);
  }
});

serverTest('long targets and headers below the limits are served', {}, async (server) => {
  const target = `/api/ping?${'a'.repeat((80 << 10) - 10)}`;
  const raw = await sent(server, requestText('GET', target, { 'X-Long': 'a'.repeat(31 << 10) }));
  assert.equal((await raw.reply()).body, 'pong');
});

serverTest('shapes that smuggle requests are refused', {}, async (server) => {
  const smuggled = 'GET /api/app/online HTTP/1.1\r\nHost: x\r\n\r\n';
  const post = (lines, body = smuggled) =>
    `POST /api/decode HTTP/1.1\r\nHost: x\r\n${lines}\r\n\r\n${body}`;
  const CHUNKED = 'Transfer-Encoding: chunked';
  const refused = [
    post(`Content-Length: 4\r\n${CHUNKED}`, `0\r\n\r\n${smuggled}`),
    post(`${CHUNKED}\r\nContent-Length: 4`, `0\r\n\r\n${smuggled}`),
    post('Content-Length: 0\r\nContent-Length: 45'),
    post('Content-Length: 4\r\nContent-Length: 4'),
    post('Content-Length: 4, 4'),
    post('Content-Length: +4'),
    post('Content-Length: -4'),
    post('Content-Length: 0x4'),
    post('Content-Length: 4 4'),
    post('Content-Length:'),
    post('Content-Length: 18446744073709551620'),
    post('Content-Length : 4'),
    post('Transfer-Encoding\t: chunked'),
    post('Transfer-Encoding: identity'),
    post('Transfer-Encoding: gzip'),
    post('Transfer-Encoding: chunked, gzip'),
    post('Transfer-Encoding: xchunked'),
    post('Transfer-Encoding: "chunked"'),
    post(`${CHUNKED}\r\n${CHUNKED}`),
    post(CHUNKED, '-1\r\nx\r\n0\r\n\r\n'),
    post(CHUNKED, '0x4\r\nabcd\r\n0\r\n\r\n'),
    post(CHUNKED, '10000000000000004\r\nabcd\r\n0\r\n\r\n'),
    post(CHUNKED, '4\nabcd\n0\n\n'),
    post(CHUNKED, '\r\nabcd\r\n0\r\n\r\n'),
    PING.replaceAll('\r\n', '\n'),
    'GET /api/ping HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n',
    'GET /api/ping HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n',
    'GET /api/ping HTTP/1.1\r\nHost: x\r\nX-A: b\rc\r\n\r\n',
    ` ${PING}`,
  ];
  for (const text of refused) {
    const raw = await sent(server, text + PING);
    const { status, headers } = await raw.reply();
    assert.ok([400, 501].includes(status), `${status} for ${JSON.stringify(text)}`);
    assert.equal(headers.connection, 'close', JSON.stringify(text));
    await raw.end();
    raw.destroy();
  }
});

serverTest('odd shapes are refused or read in one way only', {}, async (server) => {
  // Each is one request: either it is refused, or it has one answer and the ping behind it another.
  const shapes = [
    'GET /api/ping HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\tContent-Length: 99\r\n\r\n',
    'POST /api/decode HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n',
    'POST /api/decode HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nContent-Length: 99\r\n\r\n',
    requestText('GET', '/api/ping', { 'Content-Length': PING.length }, PING),
    requestText('HEAD', '/api/decode', { 'Content-Length': PING.length }, PING),
    `\r\n\r\n${PING}`,
    PING.replace('\r\n', '\n'),
    // Not allowed, but framed by its lengths all the same: older parsers do not look.
    'POST /api/decode HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcdXX0\r\n\r\n',
  ];
  for (const text of shapes) {
    const raw = (await sent(server, text + requestText('GET', '/api/last/channels'))).halfClose();
    const all = await raw.rest();
    const statuses = all.match(/HTTP\/1\.1 \d+ /g);
    if (statuses.length === 1) {
      assert.match(all, /^HTTP\/1\.1 400 [^]*Connection: close/, JSON.stringify(text));
    } else {
      assert.equal(statuses.length, 2, `${JSON.stringify(text)}: ${all}`);
      assert.match(all, /\[\]$/, 'the last answer is the one to the last request');
    }
  }
});

serverTest(
  'a transfer coding that is not understood is refused, not read as if it were not there',
  {},
  async (server) => {
    const headers = { ...FORM, 'Transfer-Encoding': 'gzip, chunked' };
    await assertRefused(
      server,
      requestText('POST', '/api/push/app/c/e', headers, '6\r\ndata=1\r\n0\r\n\r\n'),
      501,
    );
  },
);

serverTest('a header without a name is refused', {}, async (server) => {
  await assertRefused(server, 'GET /api/ping HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n', 400);
});

serverTest('a target in absolute form is served (RFC 9112 section 3.2.2)', {}, async (server) => {
  const raw = await sent(server, requestText('GET', 'http://gusher.test/api/ping'));
  assert.equal((await raw.reply()).body, 'pong');
});

serverTest(
  'an offer of h2c is ignored and the request served, body and all',
  {},
  async (server) => {
    const offer = {
      Connection: 'Upgrade, HTTP2-Settings',
      Upgrade: 'h2c',
      'HTTP2-Settings': 'AAMAAABkAAQAoAAAAAIAAAAA',
    };
    const raw = await sent(server, requestText('GET', '/api/ping', offer));
    assert.equal((await raw.reply()).body, 'pong');
    raw.write(
      formText('/api/push/app/c/e', 'data=5', offer) + requestText('GET', '/app/online', offer),
    );
    assert.equal((await raw.reply()).body, pushReply(5));
    assert.equal((await raw.reply()).body, '[]');
    // On the slave as well, in front of a WebSocket's path: no upgrade that was not asked for.
    const slave = await sent(server, requestText('GET', server.wsTarget(), offer), server.slave);
    assert.equal((await slave.reply()).body, 'Bad Request\n');
  },
);

serverTest('every answer has a date and its length', {}, async (server) => {
  for (const target of ['/api/ping', '/app/online', '/nothing', '/api/decode']) {
    const { headers } = await (await sent(server, requestText('GET', target))).reply();
    assert.ok(Math.abs(new Date(headers.date) - Date.now()) < 60_000, headers.date);
    assert.match(headers['content-length'], /^\d+$/);
  }
});

// ---- time

describe('slow senders', { concurrency: true }, () => {
  const limits = { 'request-timeout': 1, 'master-request-timeout': 2 };

  for (const [role, seconds, form, chunks] of [
    ['slave', 1, '/gcs/auth', '/gcs/auth'],
    ['master', 2, '/api/push/app/c/e', '/api/decode'],
  ]) {
    const parts = {
      'a cut head': 'GET /api/ping HTTP/1.1\r\nHost',
      'a cut body': formText(form, 'data=1', { 'Content-Length': 1000 }),
      'a cut chunk': requestText('POST', chunks, { 'Transfer-Encoding': 'chunked' }, '500\r\nda'),
    };
    for (const [what, text] of Object.entries(parts)) {
      serverTest(
        `${what} on the ${role} is 408 in time, others are served meanwhile`,
        limits,
        async (server) => {
          const began = Date.now();
          const slow = await sent(server, text, server[role]);
          const stillServed = async () => {
            while (!slow.isEnded)
              assert.equal((await server.call('GET', '/app/online')).text, '[]');
          };
          const served = stillServed();
          // A byte now and then does not buy more time.
          const drip = setInterval(() => slow.write('a'), 100);
          const reply = await slow.reply().finally(() => clearInterval(drip));
          assert.deepEqual([reply.status, reply.headers.connection], [408, 'close']);
          await slow.rest();
          await served;
          const took = (Date.now() - began) / 1000;
          assert.ok(took > seconds - 0.1 && took < seconds + 1.5, `after ${took} s`);
        },
      );
    }
  }

  serverTest(
    'a connection without a request is closed without an answer',
    limits,
    async (server) => {
      const raw = await server.raw(server.slave);
      await raw.end();
    },
  );

  serverTest('time starts anew with each request', limits, async (server) => {
    const raw = await server.raw(server.slave);
    const text = requestText('GET', '/gcs/ping');
    for (let i = 0; i < 4; i++) {
      raw.write(text.slice(0, 10));
      await new Promise((resolve) => setTimeout(resolve, 400));
      raw.write(text.slice(10));
      assert.equal((await raw.reply()).body, 'pong');
    }
  });
});
