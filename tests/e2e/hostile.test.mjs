// Clients and backends that mean harm, or do not know better. Each gets its refusal or its bounded
// service, and a second client beside it must notice nothing.
import assert from 'node:assert/strict';
import * as keys from './support/keys.mjs';
import { Random } from './support/random.mjs';
import { closeFrame, frame, requestText, TEXT, upgradeHeaders } from './support/raw.mjs';
import { inParallel, until } from './support/wait.mjs';
import { hostileTest, NOTICE_MS } from './support/witness.mjs';

// ---- large things

hostileTest('a publish of 1 MiB is delivered whole', {}, async (server) => {
  const client = await server.login();
  await client.subscribe('c');
  const text = Array.from({ length: 1 << 17 }, (_, i) => String.fromCharCode(97 + (i % 26))).join(
    '',
  );
  const data = JSON.stringify([`${text.repeat(7)}ü😀`, { tail: text }]);
  assert.ok(data.length > 1 << 20);
  const message = `{"channel":"c","event":"e","data":${data}}`;
  for (const encoding of ['form', 'multipart', 'json']) {
    const reply = await server.call('POST', '/push/app/c/e', { [encoding]: { data } });
    assert.equal(reply.status, 200);
    assert.ok(reply.text === message, 'the answer is the message');
    assert.ok((await client.next()) === message, 'the message is whole');
  }
});

hostileTest('a body without end is refused while it is still coming', {}, async (server) => {
  const MIB = 1 << 20;
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
  for (const framing of [{ 'Content-Length': 64 * MIB }, { 'Transfer-Encoding': 'chunked' }]) {
    const raw = await server.raw(server.master);
    raw.write(requestText('POST', '/api/push/app/c/e', { ...headers, ...framing }));
    const part = Buffer.alloc(MIB, 'x');
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), part, Buffer.from('\r\n')]);
    await until(() => {
      if (raw.socket.writableLength < 8 * MIB) raw.write(framing['Content-Length'] ? part : chunk);
      return raw.isEnded;
    }, 'the end of the connection');
    // Who sends on and on may be reset before it reads why; that it ends is what counts here.
    assert.match(await raw.rest(), /^$|^HTTP\/1\.1 413 /);
    raw.destroy();
  }
});

hostileTest(
  'JSON nested 10,000 deep is refused wherever it comes',
  { 'receive-max-message-size': 65536 },
  async (server) => {
    const arrays = '['.repeat(10_000) + ']'.repeat(10_000);
    const objects = '{"a":'.repeat(10_000) + '1' + '}'.repeat(10_000);
    for (const deep of [arrays, objects, '['.repeat(10_000)]) {
      const whole = deep.endsWith(']') || deep.endsWith('}');
      const post = (path, params) => server.call('POST', path, { form: params });
      const refused = [
        await post('/push/app/c/e', { data: deep }),
        await post('/push/app', { channel_pattern: 'x', event: 'e', data: deep }),
        await post('/push/user/app/u', { data: deep }),
        await post('/push_batch/app', { batch_data: `[{"channel":"c","data":${deep}}]` }),
      ];
      for (const reply of refused) {
        assert.equal(reply.status, 400);
        assert.match(
          reply.text,
          whole ? /^data is nested too deep$/ : /^data is nested too deep$|^data error$/,
        );
      }
      assert.equal((await post('/reload/channel/user/app/u', { data: deep })).status, 400);
      const { status } = await server.call('POST', '/push/app/c/e', { json: `{"data":${deep}}` });
      assert.ok([400, 413].includes(status), `${status}`);

      const client = await server.login();
      client.send(`{"event":"gusher.ping","data":${deep}}`);
      assert.ok([1007, 1008, 1009].includes((await client.closed()).code));
    }
    // Ready-made text: JSON.stringify itself would not survive this claim.
    const part = (text) => Buffer.from(text).toString('base64url');
    const forged = `${part('{"alg":"RS256"}')}.${part(`{"gusher":${arrays}}`)}.AAAA`;
    assert.equal((await server.callSlave('POST', '/auth', { form: { jwt: forged } })).status, 401);
  },
);

hostileTest(
  '100,000 channel names from one client: the first 10,000 count, the rest is refused',
  { 'receive-max-message-size': 65536 },
  async (server) => {
    const client = await server.login({ user: 'greedy' });
    const subscribe = (channel) => client.command('gusher.subscribe', { channel });
    let succeeded = 0;
    for (let list = 0; list < 100; list++) {
      const names = Array.from({ length: 1000 }, (_, i) => `channel-${list}-${i}`);
      const { event } = await client.command('gusher.multi_subscribe', { multi_channel: names });
      assert.equal(
        event,
        `gusher.multi_subscribe_${list < 10 ? 'succeeded' : 'error'}`,
        `list ${list}`,
      );
      succeeded += event.endsWith('succeeded') ? names.length : 0;
    }
    const full = await subscribe('one more');
    assert.deepEqual([full.event, full.data], ['gusher.subscribe_error', { channel: 'one more' }]);
    assert.equal(
      (await subscribe('channel-0-0')).event,
      'gusher.subscribe_succeeded',
      'it has that one',
    );
    assert.deepEqual(await server.ask('/app/channels/count'), { count: succeeded });

    await client.unsubscribe('channel-0-0');
    assert.equal(
      (await subscribe('one more')).event,
      'gusher.subscribe_succeeded',
      'there is room',
    );
    assert.equal(
      (await subscribe('channel-0-0')).event,
      'gusher.subscribe_error',
      'and now there is none',
    );
    assert.equal((await server.ask('/app/channels')).length, 10_000);
    await client.close();
    assert.deepEqual(await server.ask('/app/channels/count'), { count: 0 });
  },
);

hostileTest(
  '--max-subscriptions counts for single subscriptions and lists alike',
  { 'max-subscriptions': 5 },
  async (server) => {
    const client = await server.login();
    const multi = (...names) => client.command('gusher.multi_subscribe', { multi_channel: names });
    await client.subscribe('a', 'b', 'c');
    assert.equal((await multi('d', 'e', 'f')).event, 'gusher.multi_subscribe_error');
    assert.deepEqual(await server.names('/app/channels'), ['a', 'b', 'c'], 'all or nothing');
    assert.equal((await multi('d', 'e')).event, 'gusher.multi_subscribe_succeeded');
    assert.equal(
      (await client.command('gusher.subscribe', { channel: 'f' })).event,
      'gusher.subscribe_error',
    );
  },
);

hostileTest(
  'patterns made to explode do not',
  { 'receive-max-message-size': 65536, 'max-name': 65536 },
  async (server) => {
    const client = await server.login();
    await client.subscribe(...Array.from({ length: 20 }, (_, i) => `${'a'.repeat(60_000)}${i}b`));
    const push = (pattern) =>
      server.call('POST', '/push/app', {
        form: { channel_pattern: pattern, event: 'e', data: '1' },
      });
    for (const pattern of [
      '(a+)+$',
      '^(a|aa)+$',
      '(a*)*c',
      '(.*)*x',
      '^(([a-z])+.)+[A-Z]([a-z])+$',
    ]) {
      const began = Date.now();
      assert.equal((await push(pattern)).json().total, 0, pattern);
      assert.ok(Date.now() - began < NOTICE_MS, `${pattern} took ${Date.now() - began} ms`);
    }
    for (const pattern of ['(((a{100}){100}){100})', 'a{1001}', '(a)\\1', '(?<=a)b', 'a++']) {
      const reply = await push(pattern);
      assert.deepEqual([reply.status, reply.text], [400, 'channel_pattern cant regex'], pattern);
    }
    // Whether the next is too large to compile or not, it must not take long.
    const began = Date.now();
    assert.ok([200, 400].includes((await push('(\\pL{1,500}){1,2}'.repeat(50))).status));
    assert.ok(Date.now() - began < NOTICE_MS, `it took ${Date.now() - began} ms`);
    await server.assertSilent(client);
  },
);

hostileTest('a batch has at most 10,000 elements', {}, async (server) => {
  const batch = (n) => `[${Array.from({ length: n }, () => '{"channel":"nobody"}').join()}]`;
  const push = (n) => server.call('POST', '/push_batch/app', { form: { batch_data: batch(n) } });
  const ok = await push(10_000);
  assert.deepEqual([ok.status, ok.json().total], [200, 10_000]);
  const tooMany = await push(10_001);
  assert.deepEqual([tooMany.status, tooMany.text], [413, 'batch_data has too many elements']);
});

hostileTest(
  'a pattern push may not multiply its data without bounds',
  { 'receive-max-message-size': 65536 },
  async (server) => {
    const client = await server.login();
    const names = Array.from({ length: 300 }, (_, i) => `c${i}`);
    await client.command('gusher.multi_subscribe', { multi_channel: names });
    const form = { channel_pattern: '^c', event: 'e', data: 'x'.repeat(1 << 20) };
    const reply = await server.call('POST', '/push/app', { form });
    assert.deepEqual(
      [reply.status, reply.text],
      [413, 'data is too large for the number of channels that match'],
    );
    await server.assertSilent(client);
  },
);

// ---- nonsense

const RANDOM_CONNECTIONS = 300;

hostileTest('random bytes on both ports', {}, async (server, t) => {
  const seed = Random.of(t);
  const beginnings = [
    () => [server.slave, ''],
    () => [server.master, ''],
    () => [server.slave, requestText('GET', server.wsTarget(), upgradeHeaders)],
    () => [server.master, 'POST /api/push/app/c/e HTTP/1.1\r\nHost: x\r\n'],
    () => [server.master, requestText('POST', '/api/decode', { 'Transfer-Encoding': 'chunked' })],
    () => [server.master, requestText('POST', '/api/push_batch/app', { 'Content-Length': 999 })],
  ];
  await inParallel(RANDOM_CONNECTIONS, 20, async (i) => {
    const random = seed.fork(i);
    const [address, beginning] = random.of(beginnings)();
    const bytes = random.bytes(1 + random.below(2000));
    const raw = await server.raw(address);
    raw.write(beginning).write(bytes).halfClose();
    await raw.rest();
    raw.destroy();
  });
  assert.deepEqual(await server.ask('/app/online'), []);
});

hostileTest('random frames on open sockets', {}, async (server, t) => {
  const seed = Random.of(t);
  const commands = [
    'subscribe',
    'unsubscribe',
    'multi_subscribe',
    'querychannel',
    'ping',
    'remote',
  ];
  const values = [
    '1',
    '"c"',
    '{}',
    '{"channel":"c"}',
    '{"multi_channel":["a",1]}',
    '[',
    'null',
    '\ud800',
  ];
  const text = (random) =>
    `{"event":"gusher.${random.of(commands)}","data":${random.of(values)}${random.of(['}', '', ' } '])}`;
  await inParallel(100, 20, async (nth) => {
    const random = seed.fork(nth);
    const raw = await server.rawSocket({ app: 'chaos', user: 'x' });
    for (let i = random.below(30); i >= 0; i--) {
      const payload = random.below(4) ? text(random) : random.bytes(random.below(200));
      const op = random.below(8) ? TEXT : random.below(16);
      raw.write(frame(op, payload, { fin: random.below(8) > 0, rsv: random.below(40) ? 0 : 1 }));
    }
    raw.write(closeFrame(1000)).halfClose();
    await raw.rest();
    raw.destroy();
  });
  await until(async () => !(await server.ask('/chaos/online')).length, 'all of them are gone');
  assert.deepEqual(await server.ask('/chaos/channels'), []);
});

// ---- clients that do not read

const filler = 'x'.repeat(10_000);
const message = (n) => `{"channel":"big","event":"e","data":{"n":${n},"x":"${filler}"}}`;
const pushBig = (server, n) => server.push('app', 'big', 'e', `{"n":${n},"x":"${filler}"}`);

/** Pushes to channel "big" until the log says that somebody was too slow; gives how often. */
async function pushUntilTooSlow(server) {
  let n = 0;
  while (!server.logged('socket_too_slow').length) {
    assert.ok(n < 20_000, 'nobody was found too slow');
    await pushBig(server, n++);
  }
  return n;
}

hostileTest(
  'a client that never reads is closed alone; who reads gets every message',
  {},
  async (server) => {
    const deaf = await server.login({ user: 'deaf' });
    const hearing = await Promise.all([0, 1, 2, 3].map(() => server.login({ user: 'hearing' })));
    for (const client of [deaf, ...hearing]) await client.subscribe('big');
    deaf.ws.pause();
    const n = await pushUntilTooSlow(server);
    assert.deepEqual(
      await server.ask('/app/online/bychannel/big'),
      ['hearing'],
      'it is gone at once',
    );
    await pushBig(server, n);
    for (const client of hearing) {
      for (let i = 0; i <= n; i++) assert.ok((await client.next()) === message(i), `message ${i}`);
    }
    const reasons = (await server.log('socket_closed')).map(({ code, reason }) => ({ code, reason }));
    assert.deepEqual(reasons, [{ code: 1008, reason: 'slow' }]);
  },
);

hostileTest('a client that reads again in time is told why it was closed', {}, async (server) => {
  const slow = await server.login({ user: 'slow' });
  await slow.subscribe('big');
  slow.ws.pause();
  const n = await pushUntilTooSlow(server);
  slow.ws.resume();
  assert.deepEqual(await slow.closed(), { code: 1008, reason: 'slow: send queue full' });
  // What it did get is the beginning, without a gap.
  const got = slow.inbox.length;
  assert.ok(got > 0 && got < n, `${got} of ${n}`);
  for (let i = 0; i < got; i++) assert.ok((await slow.next()) === message(i), `message ${i}`);
});

hostileTest(
  'the queue has a limit in bytes, too',
  { 'send-queue-bytes': 100_000 },
  async (server) => {
    const slow = await server.login({ user: 'slow' });
    await slow.subscribe('big');
    slow.ws.pause();
    await pushUntilTooSlow(server);
    const [{ queued_bytes: queued }] = await server.log('socket_too_slow');
    assert.ok(queued <= 100_000, `${queued} bytes were queued`);
    slow.ws.resume();
    assert.equal((await slow.closed()).code, 1008);
  },
);

hostileTest(
  'a client that takes nothing is closed after --write-timeout',
  { 'write-timeout': 4 },
  async (server) => {
    const deaf = await server.login({ user: 'deaf' });
    await deaf.subscribe('c');
    deaf.ws.pause();
    // One message larger than what the two kernels hold between them, within the queue's limits.
    await server.push('app', 'c', 'e', 'x'.repeat(9 << 20));
    await server.push('app', 'c', 'e', '1');
    await until(async () => !(await server.ask('/app/online')).length, 'it is gone');
    const [{ code, reason }] = await server.log('socket_closed');
    assert.deepEqual({ code, reason }, { code: 1006, reason: 'stuck' });
  },
);

hostileTest(
  'a client that sends commands and never reads the replies is closed',
  { 'command-rate': 0 },
  async (server) => {
    const raw = await server.rawSocket({ user: 'deaf' });
    raw.socket.pause();
    const ping = frame(TEXT, `{"event":"gusher.ping","data":"${'x'.repeat(400)}"}`);
    const many = Buffer.concat(Array.from({ length: 1000 }, () => ping));
    await until(async () => {
      if (raw.socket.writableLength < 1 << 20) raw.write(many);
      return !(await server.ask('/app/online')).length;
    }, 'it is gone');
    const [{ code, reason }] = await server.log('socket_closed');
    assert.deepEqual({ code, reason }, { code: 1008, reason: 'slow' });
  },
);

hostileTest(
  'many that do not read, in a large channel with short queues: the others get everything',
  { workers: 1, 'send-queue-bytes': 262_144 },
  async (server) => {
    const subscriber = async (user) => (await server.login({ user })).subscribe('large');
    const hearing = await Promise.all(Array.from({ length: 40 }, () => subscriber('hearing')));
    const deaf = await Promise.all(Array.from({ length: 10 }, () => subscriber('deaf')));
    for (const client of deaf) client.ws.pause();
    // A message to each of the deaf behind a batch: what they lack is queued for them all at once.
    let sent = 0;
    for (let round = 0; round < 10; round++) {
      const data = 'x'.repeat(60_000);
      const batch = Array.from({ length: 14 }, () => ({ channel: 'large', event: `e${sent++}`, data }));
      await Promise.all([
        server.call('POST', '/push_batch/app', { form: { batch_data: JSON.stringify(batch) } }),
        ...deaf.map(({ id }) =>
          server.call('POST', `/push/socket/app/${id}`, { form: { data: '1' } }),
        ),
      ]);
    }
    for (const client of hearing) {
      for (let n = 0; n < sent; n++) assert.equal((await client.nextJson()).event, `e${n}`);
    }
    await until(
      async () => (await server.ask('/app/online/bychannel/large')).length === 1,
      'the deaf are closed',
    );
  },
);
