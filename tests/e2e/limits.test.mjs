// Limits by name: each is met here, refused clearly, and costs nobody else anything.
import assert from 'node:assert/strict';
import { certificate } from './support/certificates.mjs';
import { Client } from './support/client.mjs';
import { run, serverTest, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { frame, PING, Raw, requestText, TEXT, upgradeHeaders } from './support/raw.mjs';
import { pause, until } from './support/wait.mjs';
import test from 'node:test';

/** All of 127.0.0.0/8 is this machine, so a test may come from several addresses. */
const fromAll = { 'limits-exempt': 'none', workers: 1 };
const from = (to, localAddress) => ({ ...to, localAddress });

const ask = (raw, method, target, headers) => {
  raw.write(requestText(method, target, headers));
  return raw.reply();
};
const upgrade = (server, raw, identity, headers = {}) =>
  ask(raw, 'GET', server.wsTarget(identity), { ...upgradeHeaders, ...headers });

/** The last that the log says of this limit. */
const refusedBy = (server, limit) =>
  until(
    () => server.logged('limit_met').filter((line) => line.limit === limit).at(-1),
    `limit_met of ${limit}`,
  );

function assertTurnedAway(reply, status, text) {
  assert.deepEqual([reply.status, reply.body], [status, text]);
  assert.match(reply.headers['retry-after'], /^[1-9]\d*$/);
  assert.equal(reply.headers.connection, 'close');
}

serverTest('connections in all', { ...fromAll, 'max-connections': 3 }, async (server) => {
  const client = await server.login({ user: 'ann', channels: ['c'] });
  await client.subscribe('c');
  server.agent.destroy(); // the connection of auth
  await until(async () => {
    const raw = await server.raw();
    const { status } = await ask(raw, 'GET', '/gcs/ping');
    raw.destroy();
    return status === 200;
  }, 'room for another connection');
  const master = await server.raw(server.master);
  assert.equal((await ask(master, 'GET', '/api/ping')).status, 200);
  const last = await server.raw();
  assert.equal((await ask(last, 'GET', '/gcs/ping')).status, 200);
  for (const to of [server.slave, server.master]) {
    const raw = await server.raw(to);
    assertTurnedAway(await ask(raw, 'GET', '/x'), 503, 'too many connections, try again\n');
    await raw.end();
  }
  assert.ok((await refusedBy(server, 'max-connections')).refused >= 1);
  // Who is here is served.
  assert.equal((await ask(last, 'GET', '/gcs/ping')).status, 200);
  master.write(
    requestText('POST', '/api/push/app/c/e', {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': '6',
    }, 'data=1'),
  );
  assert.equal((await master.reply()).status, 200);
  assert.equal((await client.nextJson()).data, 1);
  // And there is room again for as many as went.
  last.destroy();
  await until(async () => {
    const raw = await server.raw();
    const { status } = await ask(raw, 'GET', '/gcs/ping');
    raw.destroy();
    return status === 200;
  }, 'room where one went');
});

serverTest('connections of an address', { ...fromAll, 'max-connections-per-address': 3 }, async (server) => {
  const here = from(server.slave, '127.0.0.2');
  const held = [];
  for (let i = 0; i < 3; i++) held.push(await server.raw(here));
  // Also one that became a WebSocket, and one that broke off in the middle, counts.
  assert.equal((await upgrade(server, held[0], { user: 'ann' })).status, 101);
  held[1].write('GET /');
  assert.equal((await ask(held[2], 'GET', '/gcs/ping')).status, 200);
  for (let i = 0; i < 5; i++) {
    const raw = await server.raw(here);
    const text = 'too many connections from your address\n';
    assertTurnedAway(await upgrade(server, raw, { user: 'ann' }), 429, text);
    await raw.end();
  }
  const { peer } = await refusedBy(server, 'max-connections-per-address');
  assert.match(peer, /^127\.0\.0\.2:\d+$/);
  // Others are none the worse for it.
  const other = await server.raw(from(server.slave, '127.0.0.3'));
  assert.equal((await ask(other, 'GET', '/gcs/ping')).status, 200);
  // A WebSocket that ends makes room, however it ends.
  held[0].destroy();
  await until(async () => {
    const raw = await server.raw(here);
    const { status } = await upgrade(server, raw, { user: 'ann' });
    if (status !== 101) raw.destroy();
    return status === 101;
  }, 'room for another WebSocket');
});

serverTest('a refused body is not read', { ...fromAll, 'max-connections-per-address': 1 }, async (server) => {
  const here = from(server.master, '127.0.0.2');
  await server.raw(here);
  const raw = await server.raw(here);
  raw.write(requestText('POST', '/api/push/app/c/e', { 'Content-Length': '1000000' }));
  const { status } = await raw.reply();
  assert.equal(status, 429);
});

serverTest('loopback is exempt unless it is told otherwise', { 'max-connections-per-address': 1, 'handshake-rate': 1, 'handshake-burst': 1 }, async (server) => {
  for (let i = 0; i < 5; i++) await server.login({ user: 'ann' });
});

serverTest('sockets of a user', { workers: 2, 'max-connections-per-user': 2 }, async (server) => {
  const first = await server.login({ user: 'ann' });
  await server.login({ user: 'ann' });
  await assert.rejects(server.login({ user: 'ann' }), /refused: 429 too many connections of this user\n/);
  await server.login({ user: 'bob' });
  await server.login({ user: 'ann', app: 'other' });
  for (let i = 0; i < 3; i++) await server.login({ user: '' });
  await first.close();
  await until(() => server.login({ user: 'ann' }).catch(() => null), 'room for another socket');
  await assert.rejects(server.login({ user: 'ann' }), /refused: 429/);
  await refusedBy(server, 'max-connections-per-user');
  // A kick makes room like any other end.
  await server.post('/kick/user/app/ann');
  await until(() => server.login({ user: 'ann' }).catch(() => null), 'room after a kick');
});

serverTest('sockets of an app', { workers: 2, 'max-connections-per-app': 2 }, async (server) => {
  await server.login({ user: 'ann' });
  await server.login({ user: '' });
  await assert.rejects(server.login({ user: 'bob' }), /refused: 429 too many connections of this app\n/);
  await server.login({ user: 'bob', app: 'other' });
  await refusedBy(server, 'max-connections-per-app');
});

serverTest('handshakes of an address', { ...fromAll, 'handshake-rate': 1, 'handshake-burst': 3 }, async (server) => {
  const here = from(server.slave, '127.0.0.2');
  const form = { jwt: keys.sign(keys.claims({ user: 'ann' })) };
  const auth = (to) => request(to, 'POST', '/gcs/auth', { form });
  const began = Date.now();
  const statuses = [];
  let refusal;
  while (!refusal) {
    const reply = await auth(here);
    statuses.push(reply.status);
    if (reply.status === 429) refusal = reply;
  }
  // One a second is allowed besides, if this took so long.
  const most = 3 + Math.ceil((Date.now() - began) / 1000);
  assert.ok(statuses.length > 3 && statuses.length <= most + 1, `${statuses}`);
  assert.equal(refusal.text, 'too many handshakes from your address, try again\n');
  assert.equal(refusal.headers['retry-after'], '1');
  assert.equal(refusal.headers['access-control-allow-origin'], '*');
  // A good token does not help, another path costs nothing, another address is another one.
  const raw = await server.raw(here);
  const reply = await upgrade(server, raw, { user: 'ann' });
  assert.ok(reply.status === 429 || Date.now() - began >= 1000);
  assert.equal((await request(here, 'GET', '/gcs/ping')).status, 200);
  assert.equal((await auth(from(server.slave, '127.0.0.3'))).status, 200);
  await until(async () => (await auth(here)).status === 200, 'time that makes up for it');
  await refusedBy(server, 'handshake-rate');
});

serverTest('a refresh is a handshake', { ...fromAll, 'handshake-rate': 1, 'handshake-burst': 6, 'receive-max-message-size': 4096 }, async (server) => {
  const client = await server.login({ user: 'ann' });
  const token = keys.sign(keys.claims({ user: 'ann' }));
  const reply = await until(async () => {
    const { event, data } = await client.command('gusher.refresh', { token });
    return event === 'gusher.refresh_error' && data;
  }, 'a refusal');
  assert.deepEqual(reply, { reason: 'too many handshakes from your address' });
  await until(async () => {
    const { event } = await client.command('gusher.refresh', { token });
    return event === 'gusher.refresh_succeeded';
  }, 'time that makes up for it');
});

serverTest('handshakes behind each other on a connection are all answered', fromAll, async (server) => {
  const raw = await server.raw(server.slave);
  const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const auth = (jwt) =>
    requestText('POST', '/gcs/auth', { ...type, 'Content-Length': jwt.length + 4 }, `jwt=${jwt}`);
  const good = auth(keys.sign(keys.claims({ user: 'ann' })));
  const ping = requestText('GET', '/gcs/ping');
  raw.write((good + auth('no') + ping + auth('a.b.c') + ping).repeat(20));
  const statuses = [];
  while (statuses.length < 100) statuses.push((await raw.reply()).status);
  assert.deepEqual(statuses, Array(20).fill([200, 401, 200, 401, 200]).flat());
});

serverTest('commands of a socket', { workers: 1, 'command-rate': 1, 'command-burst': 5 }, async (server) => {
  const victim = await server.login({ user: 'ann', channels: ['c'] });
  await victim.subscribe('c');
  for (const op of [TEXT, PING]) {
    const raw = await server.rawSocket({ user: 'bob' });
    raw.write(Buffer.concat(Array.from({ length: 50 }, () => frame(op, '{"event":"gusher.querychannel","data":null}'))));
    let answers = 0;
    let next;
    while ((next = await raw.frame()).op !== 8) answers++;
    assert.ok(answers >= 5 && answers < 50, `${answers} answers`);
    assert.deepEqual(
      [next.payload.readUInt16BE(0), next.payload.subarray(2).toString()],
      [1008, 'too_many: too many commands'],
    );
  }
  await refusedBy(server, 'command-rate');
  // Frames that ask for nothing are none.
  const quiet = await server.rawSocket({ user: 'cyd' });
  quiet.write(Buffer.concat(Array.from({ length: 50 }, () => frame(10, ''))));
  quiet.write(frame(TEXT, '{"event":"gusher.querychannel","data":null}'));
  await quiet.text();
  await server.push('app', 'c', 'e', '1');
  assert.equal((await victim.nextJson()).data, 1);
});

serverTest('commands of an address', { ...fromAll, 'address-command-rate': 1, 'address-command-burst': 6 }, async (server) => {
  const sockets = [];
  for (let i = 0; i < 4; i++) {
    const raw = await server.raw(from(server.slave, '127.0.0.2'));
    assert.equal((await upgrade(server, raw, { user: `user ${i}` })).status, 101);
    sockets.push(raw);
  }
  let closed;
  for (let i = 0; !closed; i++) {
    const raw = sockets[i % sockets.length];
    raw.write(frame(TEXT, '{"event":"gusher.querychannel","data":null}'));
    const { op, payload } = await raw.frame();
    if (op === 8) closed = { i, why: payload.subarray(2).toString() };
  }
  assert.ok(closed.i >= 6, `closed at ${closed.i}`);
  assert.equal(closed.why, 'too_many: too many commands from your address');
  await refusedBy(server, 'address-command-rate');
});

serverTest('names', { 'max-name': 64, 'max-payload': 100, 'max-batch': 3 }, async (server) => {
  const long = 'n'.repeat(65);
  const fits = 'n'.repeat(64);
  const client = await server.login({ user: 'ann', channels: ['*'] });
  await client.subscribe(fits);
  for (const [event, data] of [
    ['gusher.subscribe', { channel: long }],
    ['gusher.multi_subscribe', { multi_channel: ['a', long] }],
  ]) {
    const reply = await client.command(event, data);
    assert.equal(reply.event, `${event}_error`);
  }
  assert.deepEqual(await server.names('/app/channels'), [fits]);
  const push = (path, data) => server.call('POST', path, { form: { data } });
  for (const [path, data, text] of [
    [`/push/app/${long}/e`, '1', 'a name is longer than 64 bytes\n'],
    [`/push/app/c/${long}`, '1', 'a name is longer than 64 bytes\n'],
    [`/push/app/c/e`, 'x'.repeat(101), 'data is longer than 100 bytes\n'],
    [`/push/user/app/u`, 'x'.repeat(101), 'data is longer than 100 bytes\n'],
  ]) {
    const reply = await push(path, data);
    assert.deepEqual([reply.status, reply.text], [413, text]);
  }
  const batch = (n) => Array.from({ length: n }, () => ({ channel: fits, event: 'e', data: 1 }));
  const pushBatch = (list) =>
    server.call('POST', '/push_batch/app', { form: { batch_data: JSON.stringify(list) } });
  assert.equal((await pushBatch(batch(4))).status, 413);
  assert.equal((await pushBatch([...batch(2), { channel: long, event: 'e', data: 1 }])).status, 413);
  assert.equal((await pushBatch(batch(3))).status, 200);
  for (let i = 0; i < 3; i++) assert.equal((await client.nextJson()).data, 1);
  await server.assertSilent(client);
});

serverTest('headers', { 'max-headers': 1024 }, async (server) => {
  const header = (n) => ({ 'X-Padding': 'x'.repeat(n) });
  assert.equal((await ask(await server.raw(), 'GET', '/gcs/ping', header(900))).status, 200);
  assert.equal((await ask(await server.raw(), 'GET', '/gcs/ping', header(1024))).status, 431);
});

serverTest(
  'memory of all queues together',
  { workers: 1, 'send-memory': 8 << 20, 'send-queue-messages': 100000, 'write-timeout': 600 },
  async (server) => {
    const victim = await server.login({ user: 'ann', channels: ['*'] });
    await victim.subscribe('all');
    // They read nothing, each of a channel of its own: so they share no memory.
    const stalled = [];
    for (let i = 0; i < 8; i++) {
      const raw = await server.rawSocket({ user: 'bob', channels: ['*'] });
      raw.socket.pause();
      raw.write(frame(TEXT, JSON.stringify({ event: 'gusher.subscribe', data: { channel: `c${i}` } })));
      stalled.push(raw);
    }
    await until(async () => (await server.ask('/app/channels')).length === 9, 'all subscribed');
    const data = JSON.stringify('x'.repeat(1 << 20));
    const closed = () => server.logged('socket_closed').filter(({ code }) => code === 1008);
    // The kernel takes some megabytes for each, so it takes a while; then it goes on for some rounds more.
    for (let round = 0, left = 3; round < 20 && left > 0; round++) {
      for (let i = 0; i < stalled.length; i++) await server.push('app', `c${i}`, 'e', data);
      await server.push('app', 'all', 'round', round);
      assert.equal((await victim.nextJson()).data, round);
      if (closed().length > 0) left--;
    }
    await until(() => closed().length > 0, 'one that is closed');
    for (const { reason, detail } of closed())
      assert.deepEqual([reason, detail], ['slow', 'memory for send queues is short']);
    await server.push('app', 'all', 'e', '"after it"');
    assert.equal((await victim.nextJson()).data, 'after it');
  },
);

// ---- whose address counts

const proxied = { ...fromAll, 'trusted-proxies': '127.0.0.1', 'max-connections-per-address': 1 };

serverTest('a trusted proxy says whose a request is', proxied, async (server) => {
  const proxy = from(server.slave, '127.0.0.1');
  const come = async (headers, to = proxy) => {
    const raw = await server.raw(to);
    return { raw, reply: await upgrade(server, raw, { user: 'ann' }, headers) };
  };
  const forwarded = (list) => ({ 'X-Forwarded-For': list });
  const first = await come(forwarded('1.1.1.1'));
  assert.equal(first.reply.status, 101);
  // What the client had put there itself stands before what the proxy says.
  assertTurnedAway(
    (await come(forwarded('7.7.7.7, 1.1.1.1'))).reply,
    429,
    'too many connections from your address\n',
  );
  assert.equal((await come(forwarded('1.1.1.1, 2.2.2.2'))).reply.status, 101);
  // A proxy that says nothing readable is asked for no limit; nor is it one client.
  for (const headers of [{}, forwarded('nonsense'), forwarded('')])
    assert.equal((await come(headers)).reply.status, 101);
  // Others have no word.
  const liar = from(server.slave, '127.0.0.9');
  assert.equal((await come(forwarded('3.3.3.3'), liar)).reply.status, 101);
  assert.equal((await come(forwarded('4.4.4.4'), liar)).reply.status, 429);
  // A request by itself is nobody's connection, and makes none.
  assert.equal((await ask(await server.raw(proxy), 'GET', '/gcs/ping', forwarded('1.1.1.1'))).status, 200);
  first.raw.destroy();
  await until(async () => (await come(forwarded('1.1.1.1'))).reply.status === 101, 'room again');
});

const header = {
  v1: (address) => `PROXY TCP4 ${address} 127.0.0.1 4711 443\r\n`,
  v2: (address) =>
    Buffer.concat([
      Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c', 'latin1'),
      Buffer.from(address.split('.').map(Number)),
      Buffer.from([127, 0, 0, 1, 0x12, 0x67, 1, 187]),
    ]),
};

const behindBalancer = { ...fromAll, 'proxy-protocol': '127.0.0.4', 'max-connections-per-address': 1 };

serverTest('the PROXY protocol', behindBalancer, async (server) => {
  const balancer = from(server.slave, '127.0.0.4');
  const come = async (bytes, identity = { user: 'ann' }) => {
    const raw = await server.raw(balancer);
    raw.write(bytes);
    return { raw, reply: await upgrade(server, raw, identity) };
  };
  for (const [name, make] of Object.entries(header)) {
    const address = `1.1.1.${name.at(-1)}`;
    const first = await come(make(address));
    assert.equal(first.reply.status, 101, name);
    assertTurnedAway(
      (await come(make(address))).reply,
      429,
      'too many connections from your address\n',
    );
    assert.equal((await come(make(`2.2.2.${name.at(-1)}`))).reply.status, 101);
  }
  // Byte by byte.
  const slow = await server.raw(balancer);
  await slow.writeSlowly(header.v1('5.5.5.5'));
  assert.equal((await ask(slow, 'GET', '/gcs/ping')).status, 200);
  // Who is no balancer is understood as before, and may not say whose it is.
  const plain = await server.raw(from(server.slave, '127.0.0.5'));
  assert.equal((await ask(plain, 'GET', '/gcs/ping')).status, 200);
  const liar = await server.raw(from(server.slave, '127.0.0.6'));
  liar.write(header.v1('9.9.9.9'));
  assert.equal((await liar.reply()).status, 400);
  // Without a header nothing is served, not even an error: the balancer is set up wrong.
  const wrong = await server.raw(balancer);
  wrong.write(requestText('GET', '/gcs/ping'));
  await wrong.end();
  await until(() => server.logged('proxy_refused').length, 'proxy_refused');
  // The balancer's own probe has no client: it is the balancer's.
  const probe = await server.raw(balancer);
  probe.write('PROXY UNKNOWN\r\n');
  assert.equal((await ask(probe, 'GET', '/gcs/ping')).status, 200);
  // What is half a header when the server stops does not hold it up.
  const half = await server.raw(balancer);
  half.write('PROXY TC');
});

serverTest('half a header of the PROXY protocol with an end is the end', { ...behindBalancer, 'request-timeout': 60 }, async (server) => {
  const raw = await server.raw(from(server.slave, '127.0.0.4'));
  raw.write('PROXY TC').halfClose();
  await raw.end();
});

test('the PROXY protocol before TLS', async () => {
  const main = certificate(['127.0.0.1']);
  const trust = { ca: main.cert };
  const flags = { ...behindBalancer, 'tls-cert-file': main.certFile, 'tls-key-file': main.keyFile };
  await withServer(
    flags,
    async (server) => {
      const { host, port } = server.slave;
      const come = async () => {
        const plain = await server.raw({ host, port, localAddress: '127.0.0.4' });
        plain.write(header.v2('6.6.6.6'));
        return upgrade(server, await Raw.secure(plain, { ...trust, servername: '', host }), { user: 'ann' });
      };
      assert.equal((await come()).status, 101);
      assert.equal((await come()).status, 429);
    },
    { tls: trust },
  );
});

test('handshakes of TLS count', async () => {
  const main = certificate(['127.0.0.1']);
  const trust = { ca: main.cert };
  const flags = {
    ...fromAll,
    'handshake-rate': 1,
    'handshake-burst': 3,
    'tls-cert-file': main.certFile,
    'tls-key-file': main.keyFile,
  };
  await withServer(
    flags,
    async (server) => {
      const here = from(server.slave, '127.0.0.2');
      let shaken = 0;
      await assert.rejects(async () => {
        for (; shaken < 100; shaken++) (await Raw.connect(here)).destroy();
      });
      assert.ok(shaken >= 3 && shaken < 100, `${shaken} handshakes`);
      const other = await server.raw(from(server.slave, '127.0.0.3'));
      assert.equal((await ask(other, 'GET', '/gcs/ping')).status, 200);
    },
    { tls: trust },
  );
});

test('networks that are none end the start', async () => {
  for (const flag of ['limits-exempt', 'trusted-proxies', 'proxy-protocol']) {
    const { code, stderr } = await run(['all', '--public-pem-file', keys.publicFile, `--${flag}`, '10.0.0.0/33']);
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`^gusher: --${flag}: 10.0.0.0/33 is no network`));
  }
});

serverTest('a crowd over the limit holds nobody up', { ...fromAll, 'max-connections-per-address': 2 }, async (server) => {
  const victim = await Client.open(
    server.url('app', keys.sign(keys.claims({ user: 'ann', channels: ['c'] }))),
    { localAddress: '127.0.0.9' },
  );
  await victim.subscribe('c');
  // 600 at once: some are told why, the rest are closed; none waits for a time-out.
  const crowd = await Promise.all(
    Array.from({ length: 600 }, () => server.raw(from(server.slave, '127.0.0.2'))),
  );
  const ends = crowd.map((raw) => {
    raw.write(requestText('GET', '/gcs/ping'));
    return raw.rest();
  });
  await server.push('app', 'c', 'e', '1');
  assert.equal((await victim.nextJson()).data, 1);
  const told = (await Promise.all(ends.slice(2))).filter((text) => /^HTTP\/1.1 429 /.test(text));
  assert.ok(told.length >= 1, 'nobody was told');
  victim.terminate();
});

/** A sample of /metrics. */
async function metric(server, name) {
  const { text } = await request(server.slave, 'GET', '/metrics');
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)[1]);
}

serverTest('who asks and takes no answers has few of them waiting', fromAll, async (server) => {
  const crowd = await Promise.all(
    Array.from({ length: 8 }, () => Raw.connect(from(server.slave, '127.0.0.9'))),
  );
  const requests = 'GET /gcs/ping HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(150_000);
  for (const raw of crowd) {
    raw.socket.pause();
    raw.write(requests);
  }
  // Until nothing more is read from them: what they wrote is more than all buffers hold.
  let read = -1;
  await until(async () => {
    const before = read;
    await pause(300);
    read = await metric(server, 'gusher_received_bytes_total');
    return (await metric(server, 'gusher_send_queue_bytes')) > 0 && read - before < 1000;
  }, 'the end of reading');
  assert.ok((await metric(server, 'gusher_send_queue_bytes')) < crowd.length * 256 * 1024);
  for (const raw of crowd) raw.destroy();
});

serverTest('subscriptions of all together', { workers: 1, 'max-subscriptions-in-all': 3 }, async (server) => {
  const ann = await (await server.login({ user: 'ann' })).subscribe('a', 'b');
  const bob = await (await server.login({ user: 'bob' })).subscribe('a');
  assert.equal((await bob.command('gusher.subscribe', { channel: 'b' })).event, 'gusher.subscribe_error');
  await ann.close();
  await until(async () => (await server.ask('/app/online')).length === 1, 'ann is gone');
  await bob.subscribe('b');
});
