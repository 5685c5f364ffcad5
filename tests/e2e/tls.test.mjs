// TLS on the listeners: browsers by wss, backends by https.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import test from 'node:test';
import tls from 'node:tls';
import { certificate } from './support/certificates.mjs';
import { bin, environment, Process, run, Server, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { Raw, requestText } from './support/raw.mjs';
import { inParallel, until, within } from './support/wait.mjs';

const main = certificate(['a.test', '*.wild.test', '127.0.0.1']);
const other = certificate(['b.test']);
const none = '/nowhere/cert.pem';
const trust = { ca: [main.cert, other.cert], servername: 'a.test' };
const flagsOf = ({ certFile, keyFile }) => ({ 'tls-cert-file': certFile, 'tls-key-file': keyFile });

/** A test with a server that speaks TLS on both listeners. */
function tlsTest(name, flags, body) {
  test(name, (t) =>
    withServer({ ...flagsOf(main), ...flags }, (server) => body(server, t), { tls: trust }),
  );
}

/** A TLS connection; `prepare` is called before its handshake. */
async function connect(to, options = {}, prepare = () => {}) {
  const socket = tls.connect({ host: to.host, port: to.port, ...trust, ...options });
  prepare(socket);
  await within(
    new Promise((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    }),
    'a TLS connection',
  );
  socket.on('error', () => {}); // later ones are told by 'close'
  return socket;
}

/** What keeps a client from connecting, as OpenSSL calls it. */
async function refusal(to, options) {
  try {
    (await connect(to, options)).destroy();
  } catch (error) {
    return error.code;
  }
  return 'none';
}

async function reload(server, event = 'reloaded') {
  const before = server.logged(event).length;
  server.process.signal('SIGHUP');
  await until(() => server.logged(event).length > before, event);
}

// ---- what is served

tlsTest('messages of all sizes reach many sockets, and one', {}, async (server) => {
  const crowd = await Promise.all(
    Array.from({ length: 50 }, (_, i) => server.login({ user: `user${i % 10}` })),
  );
  for (const client of crowd) await client.subscribe('c');
  const alone = await server.login({ user: 'alone' });
  await alone.subscribe('own');
  const sizes = [1, 100, 5_000, 16_000, 17_000, 100_000, 1 << 20];
  for (const size of sizes) {
    for (const [channel, clients] of [
      ['c', crowd],
      ['own', [alone]],
    ]) {
      const text = await server.push('app', channel, 'e', JSON.stringify('x'.repeat(size)));
      for (const client of clients) assert.ok((await client.next()) === text, `${size} bytes`);
    }
  }
  // Many in one turn, to all of them in one order.
  const pushed = [];
  const push = async (i) => pushed.push(await server.push('app', 'c', 'e', String(i)));
  await inParallel(200, 8, push);
  const [first, ...others] = await Promise.all(
    crowd.map(async (client) => {
      const got = [];
      while (got.length < 200) got.push(await client.next());
      return got;
    }),
  );
  assert.deepEqual([...first].sort(), [...pushed].sort());
  // Each worker has its own order where publishers are many; both are somebody's.
  assert.ok(new Set(others.map(String)).size <= server.workers);
  assert.deepEqual(await server.names('/app/online'), [
    'alone',
    ...Array.from({ length: 10 }, (_, i) => `user${i}`),
  ]);
});

tlsTest('a large body comes whole, and a pipeline in order', {}, async (server) => {
  const data = JSON.stringify('y'.repeat(3 << 20));
  const reply = await server.call('POST', '/push/app/c/e', { json: { data } });
  assert.equal(reply.status, 200);
  assert.ok(reply.text.includes(data));
  const raw = await server.raw(server.master);
  raw.write(requestText('GET', '/api/ping').repeat(50));
  for (let i = 0; i < 50; i++) assert.equal((await raw.reply()).status, 200);
});

tlsTest('sockets are told of the end, and the end is said in TLS', {}, async (server) => {
  const client = await server.login();
  const raw = await server.raw();
  let ended = false;
  raw.socket.on('end', () => (ended = true));
  server.terminate();
  assert.equal((await client.closed()).code, 1001);
  await raw.end();
  assert.ok(ended);
});

for (const [on, slave, master] of [
  ['both', true, true],
  ['slave', true, false],
  ['master', false, true],
]) {
  tlsTest(`--tls-on ${on}`, { 'tls-on': on }, async (server) => {
    assert.deepEqual([!!server.slave.tls, !!server.master.tls], [slave, master]);
    const client = await server.login();
    await client.subscribe('c');
    const text = await server.push('app', 'c', 'e', '1');
    assert.equal(await client.next(), text);
  });
}

test('one port for both speaks TLS', async () => {
  // Port 0 asks for two, so the port is chosen here.
  const listener = net.createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${listener.address().port}`;
  await new Promise((resolve) => listener.close(resolve));
  const flags = { ...flagsOf(main), 'api-listen': address, 'master-api-listen': address };
  await withServer(
    flags,
    async (server) => {
      const client = await server.login();
      await client.subscribe('c');
      assert.equal(await server.push('app', 'c', 'e', '1'), await client.next());
    },
    { tls: trust },
  );
});

// ---- slow readers

const filler = 'x'.repeat(10_000);
const message = (n) => `{"channel":"big","event":"e","data":{"n":${n},"x":"${filler}"}}`;
const pushBig = (server, n) => server.push('app', 'big', 'e', `{"n":${n},"x":"${filler}"}`);

const patient = { 'write-timeout': 600 };
tlsTest('a client that reads again is told why it was closed', patient, async (server) => {
  const slow = await server.login({ user: 'slow' });
  const quick = await server.login({ user: 'quick' });
  for (const client of [slow, quick]) await client.subscribe('big');
  slow.ws.pause();
  let n = 0;
  while (!server.logged('socket_too_slow').length) {
    assert.ok(n < 20_000, 'nobody was found too slow');
    await pushBig(server, n++);
  }
  slow.ws.resume();
  assert.deepEqual(await slow.closed(), { code: 1008, reason: 'slow: send queue full' });
  // What it did get is the beginning, without a gap.
  const got = slow.inbox.length;
  assert.ok(got > 0 && got < n, `${got} of ${n}`);
  for (let i = 0; i < got; i++) assert.ok((await slow.next()) === message(i), `message ${i}`);
  for (let i = 0; i < n; i++) assert.ok((await quick.next()) === message(i), `message ${i}`);
});

tlsTest(
  'a client that takes nothing is closed after --write-timeout',
  { 'write-timeout': 4 },
  async (server) => {
    const deaf = await server.login({ user: 'deaf' });
    await deaf.subscribe('c');
    deaf.ws.pause();
    await server.push('app', 'c', 'e', JSON.stringify('x'.repeat(9 << 20)));
    await server.push('app', 'c', 'e', '1');
    await until(async () => !(await server.ask('/app/online')).length, 'it is gone');
    const [{ code, reason }] = await server.log('socket_closed');
    assert.deepEqual({ code, reason }, { code: 1006, reason: 'stuck' });
  },
);

// ---- versions and protocols

tlsTest('TLS 1.2 and 1.3 are spoken, older versions are refused', {}, async (server) => {
  const weak = { ciphers: 'DEFAULT:@SECLEVEL=0', minVersion: 'TLSv1' };
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const socket = await connect(server.slave, { ...weak, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    socket.destroy();
  }
  for (const version of ['TLSv1', 'TLSv1.1'])
    assert.equal(
      await refusal(server.slave, { ...weak, maxVersion: version }),
      'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    );
});

tlsTest('of protocols http/1.1 is chosen; who offers others alone is refused', {}, async (server) => {
  for (const [ALPNProtocols, chosen] of [
    [undefined, false],
    [['http/1.1'], 'http/1.1'],
    [['h2', 'http/1.1'], 'http/1.1'],
  ]) {
    const socket = await connect(server.slave, { ALPNProtocols });
    assert.equal(socket.alpnProtocol, chosen);
    socket.destroy();
  }
  assert.equal(
    await refusal(server.slave, { ALPNProtocols: ['h2'] }),
    'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  );
});

tlsTest('plain HTTP is answered by a sentence', {}, async (server) => {
  for (const to of [server.slave, server.master]) {
    for (const [method, body] of [
      ['GET', ''],
      ['POST', 'x'.repeat(100_000)],
    ]) {
      const plain = { host: to.host, port: to.port };
      const reply = await request(plain, method, '/gcs/ping', { body });
      assert.equal(reply.status, 400);
      assert.equal(reply.text, 'This port speaks TLS: use https:// or wss://\n');
      assert.equal(reply.headers.connection, 'close');
    }
  }
});

test('TLS to a plain port is refused', () =>
  withServer({}, async (server) => {
    for (const to of [server.slave, server.master]) {
      assert.match(await refusal(to), /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/);
    }
  }));

// ---- certificates

const nameOf = async (to, options) => {
  const socket = await connect(to, { ...options, rejectUnauthorized: false });
  const name = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return name;
};

test('the name that a client asks for chooses the certificate', async () => {
  const wild = certificate(['*.b.test']);
  // A variable has them all, separated by commas; the order is that of the names.
  const env = {
    GUSHER_TLS_CERT_FILE: [main, other, wild].map(({ certFile }) => certFile).join(', '),
    GUSHER_TLS_KEY_FILE: [main, other, wild].map(({ keyFile }) => keyFile).join(','),
  };
  const server = await Server.start({}, { env, tls: trust });
  try {
    for (const [servername, name] of [
      ['a.test', 'a.test'],
      ['x.wild.test', 'a.test'],
      ['b.test', 'b.test'],
      ['B.TEST', 'b.test'],
      ['c.b.test', '*.b.test'],
      ['unknown.test', 'a.test'],
      ['', 'a.test'],
    ])
      assert.equal(await nameOf(server.slave, { servername }), name, servername);
    assert.deepEqual(
      server.logged('tls').map(({ certificates }) => certificates),
      [3],
    );
    await server.stop();
  } finally {
    server.kill();
  }
});

test('SIGHUP exchanges the certificate while sockets stay', async () => {
  const own = certificate(['a.test']);
  const flags = { ...flagsOf(own), workers: 2 };
  await withServer(
    flags,
    async (server) => {
      const before = { ca: own.cert, servername: 'a.test' };
      const clients = await Promise.all([0, 1, 2, 3].map(() => server.login()));
      for (const client of clients) await client.subscribe('c');
      const next = certificate(['a.test', 'new.test'], { folder: own.folder });
      await reload(server);
      // Each worker takes it up in its next turn.
      await until(
        async () => (await refusal(server.slave, before)) !== 'none',
        'the end of the old certificate',
      );
      server.slave.tls = server.master.tls = { ca: next.cert, servername: 'new.test' };
      server.tlsAgent.destroy();
      clients.push(await server.login());
      await clients[4].subscribe('c');
      const text = await server.push('app', 'c', 'e', '1');
      for (const client of clients) assert.equal(await client.next(), text);
      // What cannot be used changes nothing.
      fs.writeFileSync(own.keyFile, fs.readFileSync(main.keyFile));
      await reload(server, 'not_reloaded');
      fs.rmSync(own.certFile);
      await reload(server, 'not_reloaded');
      const reasons = server.logged('not_reloaded').map(({ reason }) => reason);
      assert.match(reasons[0], /key\.pem is not the key of .*cert\.pem$/);
      assert.match(reasons[1], /^cannot read .*cert\.pem: No such file or directory$/);
      clients.push(await server.login());
      await clients[5].subscribe('c');
      const last = await server.push('app', 'c', 'e', '2');
      for (const client of clients) assert.equal(await client.next(), last);
    },
    { tls: { ca: own.cert, servername: 'a.test' } },
  );
});

// ---- resumption

/** A connection that has its ticket, which with TLS 1.3 comes behind the handshake. */
async function session(to, options) {
  let arrived;
  const ticket = new Promise((resolve) => (arrived = resolve));
  const socket = await connect(to, options, (early) => early.once('session', arrived));
  const reused = socket.isSessionReused();
  socket.write(requestText('GET', '/gcs/ping', { Connection: 'close' }));
  const data = await within(
    new Promise((resolve) => socket.once('data', resolve)),
    'an answer',
  );
  assert.match(data.toString(), /^HTTP\/1\.1 200 OK\r\n/);
  const found = await within(ticket, 'a ticket');
  socket.destroy();
  return { reused, session: found };
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
  tlsTest(`sessions are resumed with any worker (${maxVersion})`, { workers: 4 }, async (server) => {
    let last = await session(server.slave, { maxVersion });
    assert.equal(last.reused, false);
    for (let i = 0; i < 20; i++) {
      if (i === 10) await reload(server);
      const resumed = await connect(server.slave, { maxVersion, session: last.session });
      assert.equal(resumed.isSessionReused(), true, `connection ${i}`);
      resumed.destroy();
    }
  });
}

// ---- handshakes that take long, and many of them

/** What a client says first. */
async function clientHello() {
  const listener = net.createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  const said = new Promise((resolve) =>
    listener.once('connection', (socket) => {
      socket.on('error', () => {});
      socket.once('data', (data) => {
        resolve(data);
        socket.destroy();
      });
    }),
  );
  tls.connect({ host: '127.0.0.1', port, ...trust }).on('error', () => {});
  const hello = await said;
  listener.close();
  return hello;
}

tlsTest(
  'a handshake that is not over in time is cut off',
  { 'request-timeout': 1, 'master-request-timeout': 2 },
  async (server) => {
    const hello = await clientHello();
    await Promise.all(
      [
        [server.slave, 1, hello.subarray(0, 0)],
        [server.slave, 1, hello.subarray(0, 1)],
        [server.slave, 1, hello.subarray(0, 100)],
        [server.slave, 1, hello], // answered, and then nothing
        [server.master, 2, hello.subarray(0, 100)],
      ].map(async ([to, seconds, part]) => {
        const began = Date.now();
        const raw = await Raw.connect({ host: to.host, port: to.port });
        raw.write(part);
        // A byte now and then does not buy more time.
        const left = [...hello.subarray(part.length)];
        const drip = setInterval(() => left.length > 50 && raw.write(Buffer.of(left.shift())), 100);
        await raw.rest().finally(() => clearInterval(drip));
        raw.destroy();
        const took = (Date.now() - began) / 1000;
        assert.ok(took > seconds - 0.1 && took < seconds + 1.5, `after ${took} s`);
      }),
    );
  },
);

test('a flood of handshakes does not hold up who is there', async (t) => {
  // As expensive as a certificate gets, so that many at once would be seconds of one thread.
  const heavy = certificate(['a.test'], { key: 'rsa:4096' });
  const hello = await clientHello();
  await withServer(
    { ...flagsOf(heavy), workers: 1, 'tls-on': 'slave', 'request-timeout': 60 },
    async (server) => {
      const client = await server.login();
      await client.subscribe('c');
      const crowd = await Promise.all(
        Array.from({ length: 500 }, () => Raw.connect({ ...server.slave, tls: undefined })),
      );
      for (const raw of crowd) raw.write(hello);
      const answered = () => crowd.filter((raw) => raw.buffer.length > 0).length;
      let longest = 0;
      let n = 0;
      while (answered() < crowd.length) {
        const began = Date.now();
        const text = await server.push('app', 'c', 'e', String(n++));
        assert.equal(await client.next(), text);
        longest = Math.max(longest, Date.now() - began);
      }
      t.diagnostic(`${n} messages meanwhile, the slowest took ${longest} ms`);
      assert.ok(n > 10, `only ${n} messages meanwhile`);
      assert.ok(longest < 1000, `a message took ${longest} ms`);
      for (const raw of crowd) raw.destroy();
    },
    { tls: { ca: heavy.cert, servername: 'a.test' } },
  );
});

tlsTest('peers that break TLS are gone, and nobody else', {}, async (server) => {
  const client = await server.login();
  await client.subscribe('c');
  const hello = await clientHello();
  for (const junk of [
    Buffer.from('\x16\x03\x01\xff\xff', 'latin1'),
    Buffer.alloc(100_000, 'x'),
    Buffer.concat([hello, Buffer.alloc(1000)]),
    hello.map((byte, i) => (i > 40 ? byte ^ 0x55 : byte)),
  ]) {
    const raw = await Raw.connect({ ...server.slave, tls: undefined });
    raw.write(junk).halfClose();
    await raw.rest();
    raw.destroy();
  }
  // In the middle of a conversation, below TLS.
  const socket = net.connect(server.slave);
  const secure = await connect(server.slave, { socket });
  const gone = new Promise((resolve) => secure.once('close', resolve));
  socket.write('\x17\x03\x03\x00\x20this is not sealed by anybody!!!');
  await within(gone, 'the end of the connection');
  const text = await server.push('app', 'c', 'e', '1');
  assert.equal(await client.next(), text);
});

// ---- gusher subscribe

tlsTest('gusher subscribe listens by wss', {}, async (server) => {
  const { host, port } = server.slave;
  const jwt = keys.sign(keys.claims({}));
  const args = ['subscribe', '--url', `wss://${host}:${port}/gcs/ws/app`, '--token', jwt, 'c'];
  const listener = new Process(bin, [...args, '--ca-file', main.certFile], { env: environment() });
  try {
    await listener.line('stderr', /^subscribed: .*"c"/);
    for (const size of [1, 100_000]) {
      const text = await server.push('app', 'c', 'e', JSON.stringify('x'.repeat(size)));
      assert.ok((await listener.line('stdout', /./)) === text);
    }
    // Whom it does not know it does not talk to.
    for (const [file, sentence] of [
      [[], /^gusher: the server's certificate is not good: self-signed certificate\n$/],
      [['--ca-file', other.certFile], /^gusher: the server's certificate is not good: self-signed/],
      [['--ca-file', none], /^gusher: \/nowhere\/cert\.pem: No such file or directory\n$/],
    ]) {
      const { code, stderr } = await run([...args, ...file]);
      assert.equal(code, 1);
      assert.match(stderr, sentence);
    }
    server.terminate();
    await listener.line('stderr', /^the server closed: 1001 shutdown: server is shutting down/);
    assert.equal((await listener.exit()).code, 0);
  } finally {
    listener.kill();
  }
});

test("gusher subscribe wants the server's own certificate", () =>
  withServer(flagsOf(other), async (server) => {
    const { host, port } = server.slave;
    const url = `wss://${host}:${port}/gcs/ws/app`;
    const result = await run(
      ['subscribe', '--url', url, '--token', 'x', '--ca-file', other.certFile, 'c'],
    );
    assert.equal(result.code, 1);
    assert.match(result.stderr, /certificate is not good: IP address mismatch\n$/);
  }));

// ---- refused at the start

const key = ['--public-pem-file', keys.publicFile];
const cert = (file) => ['--tls-cert-file', file];
const keyOf = (file) => ['--tls-key-file', file];
const sameAddress = ['--api-listen', '127.0.0.1:1', '--master-api-listen', '127.0.0.1:1'];
for (const [name, code, args, sentence] of [
  ['a certificate without key', 2, cert(main.certFile), /each certificate needs its key/],
  ['a key without certificate', 2, keyOf(main.keyFile), /each certificate needs its key/],
  ['a wrong --tls-on', 2, ['--tls-on', 'none'], /--tls-on must be one of both\|slave\|master/],
  [
    'TLS on a part of one port',
    2,
    [...cert(main.certFile), ...keyOf(main.keyFile), '--tls-on', 'slave', ...sameAddress],
    /slave and master share one port/,
  ],
  ['no such file', 1, [...cert(none), ...keyOf(main.keyFile)], /cannot read \/nowhere\/cert\.pem/],
  [
    "another's key",
    1,
    [...cert(main.certFile), ...keyOf(other.keyFile)],
    /key\.pem is not the key of .*cert\.pem$/,
  ],
  [
    'no certificate in the file',
    1,
    [...cert(main.keyFile), ...keyOf(main.keyFile)],
    /key\.pem has no certificate in PEM that can be used/,
  ],
]) {
  test(`refused at the start: ${name}`, async () => {
    const result = await run(['all', ...key, ...args]);
    assert.deepEqual([result.code, result.stdout], [code, '']);
    assert.match(result.stderr, /^gusher: [^\n]+\n$/);
    assert.match(result.stderr.trimEnd(), sentence);
  });
}

test('flags go before variables, also for lists', async () => {
  const env = { GUSHER_TLS_CERT_FILE: none, GUSHER_TLS_KEY_FILE: none };
  const server = await Server.start(flagsOf(main), { env, tls: trust });
  try {
    assert.equal((await server.call('GET', '/ping')).status, 200);
    await server.stop();
  } finally {
    server.kill();
  }
});
