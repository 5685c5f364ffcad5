// gusher bench against real servers: what it reports must be what was done.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { WebSocketServer } from 'ws';
import { certificate } from './support/certificates.mjs';
import { bin, environment, freeAddress, Process, run, Server, serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { until } from './support/wait.mjs';

/** Small, and slow enough for a program under a sanitizer. */
const small = ['--connections', '100', '--rate', '40', '--duration', '1', '--warmup', '1'];
const key = ['--key-file', keys.privateFile];

const at = ({ host, port }) => `${host}:${port}`;
const addresses = (server) => ['--slave', at(server.slave), '--master', at(server.master)];

/** Runs it to its end: { code, report, text }; the report is checked for what is always true. */
async function bench(...args) {
  const { code, stdout, stderr } = await run(['bench', ...key, '--json', '-', ...args]);
  const report = JSON.parse(stdout);
  assertConsistent(report);
  assert.equal(report.ok, code === 0, stderr);
  return { code, report, text: stderr };
}

function assertConsistent({ gusher_bench, options, connect, publish, deliver }) {
  const sum = (list) => list.reduce((n, { count }) => n + count, 0);
  assert.equal(gusher_bench, 1);
  assert.equal(connect.asked, options.connections);
  assert.equal(connect.ready + connect.failed, connect.asked);
  assert.equal(sum(connect.failures), connect.failed);
  assert.equal(connect.took_ms.count, connect.ready);
  const answers = Object.values(publish.answers).reduce((n, count) => n + count, 0);
  assert.equal(answers, publish.ok + publish.refused);
  assert.equal(answers + publish.unanswered, publish.posted);
  assert.equal(publish.ok, publish.answers[200] ?? 0);
  assert.equal(publish.answer_ms.count, answers);
  assert.equal(deliver.lost, Math.max(0, deliver.expected - deliver.received));
  assert.equal(deliver.latency_ms.count, deliver.received);
  for (const times of [connect.took_ms, publish.answer_ms, deliver.latency_ms]) {
    const { min, p50, p90, p99, p999, max } = times;
    assert.deepEqual(
      [min, p50, p90, p99, p999, max],
      [min, p50, p90, p99, p999, max].sort((a, b) => a - b),
    );
  }
}

/** Every message was posted, taken, and delivered to `each` subscribers. */
function assertDelivered({ report }, posted, each) {
  const { publish, deliver } = report;
  assert.deepEqual(report.remarks, []);
  assert.equal(publish.posted, posted);
  assert.deepEqual(publish.answers, { 200: posted });
  assert.equal(deliver.expected, posted * each);
  assert.equal(deliver.received, posted * each);
  const { duplicated, out_of_order, strange, subscribers_lost } = deliver;
  assert.deepEqual(
    { duplicated, out_of_order, strange, subscribers_lost },
    { duplicated: 0, out_of_order: 0, strange: 0, subscribers_lost: 0 },
  );
}

// ---- what works

for (const [auth, body] of [
  ['ticket', 'form'],
  ['jwt', 'json'],
]) {
  serverTest(`one channel for all, by ${auth}, ${body} bodies`, {}, async (server) => {
    const result = await bench(...addresses(server), ...small, '--auth', auth, '--body', body);
    assert.equal(result.code, 0, result.text);
    assertDelivered(result, 40, 100);
    assert.equal(result.report.connect.ready, 100);
    assert.equal(result.report.publish.due, 40);
    const { per_second } = result.report.publish;
    assert.ok(per_second > 20 && per_second <= 40, `${per_second} pushes a second`);
    assert.equal(result.report.server, null);
    assert.match(result.text, /deliver +4,000 of 4,000, .* lost 0, twice 0, out of order 0/);
    assert.match(result.text, /\nNothing failed\.\n$/);
  });
}

serverTest('a channel for each, as fast as it is answered', {}, async (server) => {
  const { code, report, text } = await bench(
    ...addresses(server),
    ...['--connections', '50', '--channels', '50', '--publishers', '8'],
    ...['--rate', '0', '--duration', '1', '--warmup', '0'],
  );
  assert.equal(code, 0, text);
  assert.equal(report.publish.due, null);
  assert.ok(report.publish.ok > 50, `${report.publish.ok} pushes`);
  assert.equal(report.deliver.received, report.publish.ok);
});

serverTest('long messages, and fewer users than connections', {}, async (server) => {
  const result = await bench(
    ...addresses(server),
    ...['--connections', '10', '--users', '3', '--channels', '2', '--payload', '70000'],
    ...['--rate', '20', '--duration', '1', '--warmup', '0'],
  );
  assert.equal(result.code, 0, result.text);
  assertDelivered(result, 20, 5);
  assert.equal(result.report.options.users, 3);
});

serverTest('a token that was made elsewhere needs no key', {}, async (server) => {
  const token = keys.sign(keys.claims({ app: 'app', user: 'one', channels: ['load-*'] }));
  const { code, stdout, stderr } = await run([
    ...['bench', ...addresses(server), ...small, '--token', token, '--app', 'app'],
    ...['--channel', 'load', '--state-dir', path.join(keys.folder, 'nothing', 'here')],
  ]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /100 connections of 1 user on 1 channel, by ticket/);
  assert.match(stdout, /\nNothing failed\.\n$/);
  assert.equal(stderr, '');
});

serverTest('names of hosts, a server with prefixes, its CPU and memory', {
  'api-uri-prefix': '/a/b',
  'master-uri-prefix': '',
}, async (server) => {
  const { code, report, text } = await bench(
    ...['--slave', `ws://localhost:${server.slave.port}/a/b/`],
    ...['--master', `http://localhost:${server.master.port}/`],
    ...['--server-pid', String(server.process.child.pid), ...small],
  );
  assert.equal(code, 0, text);
  assert.equal(report.server.processes, 1);
  assert.ok(report.server.rss_before_kib > 1000);
  assert.ok(report.server.rss_connected_kib >= report.server.rss_before_kib);
  assert.match(text, /server +[\d.]+ µs CPU a delivery/);
});

serverTest('IPv6', { 'api-listen': '[::1]:0', 'master-api-listen': '[::1]:0' }, async (server) => {
  const result = await bench(
    ...['--slave', `ws://[::1]:${server.slave.port}/gcs`],
    ...['--master', `http://[::1]:${server.master.port}/api`, ...small],
  );
  assertDelivered(result, 40, 100);
});

const { certFile, keyFile } = certificate(['bench.test']);
serverTest('TLS', { 'tls-cert-file': certFile, 'tls-key-file': keyFile }, async (server) => {
  const result = await bench(
    ...['--slave', `wss://${at(server.slave)}/gcs`],
    ...['--master', `https://${at(server.master)}/api`, ...small],
  );
  assertDelivered(result, 40, 100);
});

serverTest('files: JSON and a picture; connecting alone', {}, async (server) => {
  const json = path.join(keys.folder, 'bench.json');
  const svg = path.join(keys.folder, 'bench.svg');
  const files = ['--json', json, '--svg', svg];
  const { code, stdout } = await run(['bench', ...key, ...addresses(server), ...small, ...files]);
  assert.equal(code, 0, stdout);
  assertDelivered({ report: JSON.parse(fs.readFileSync(json, 'utf8')) }, 40, 100);
  const picture = fs.readFileSync(svg, 'utf8');
  assert.match(picture, /^<svg [\s\S]*Delivery latency, 4,000 deliveries[\s\S]*<\/svg>\n$/);

  const { report } = await bench(...addresses(server), '--connections', '7', '--duration', '0');
  assert.equal(report.connect.ready, 7);
  assert.equal(report.publish.posted, 0);
  assert.ok(report.ok);
});

// ---- what fails

test('nobody listens', async () => {
  const nowhere = await freeAddress();
  const { code, report, text } = await bench('--slave', nowhere, '--master', nowhere, ...small);
  assert.equal(code, 1);
  assert.equal(report.connect.ready, 0);
  assert.deepEqual(
    report.connect.failures.map(({ kind }) => kind).filter((kind) => kind !== 'given_up'),
    ['refused'],
  );
  assert.match(text, /Connecting failed: \d+ times nobody listens there \(Connection refused\)\./);
});

serverTest('no master listens', {}, async (server) => {
  const nowhere = await freeAddress();
  const { code, report, text } = await bench('--slave', at(server.slave), '--master', nowhere);
  assert.equal(code, 1);
  assert.equal(report.connect.ready, 100);
  assert.equal(report.publish.posted, 0);
  assert.match(text, /Measuring ended early: no publisher has a connection\./);
  assert.match(text, /A publisher failed: \d+ times nobody listens there/);
});

for (const [auth, kind, sentence] of [
  ['ticket', 'auth', /POST auth gave no ticket \(401 jwt decode fail\)/],
  ['jwt', 'handshake', /the WebSocket handshake was refused \(401 token error\)/],
]) {
  serverTest(`a wrong key, by ${auth}`, {}, async (server) => {
    const { privateKey } = crypto.generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const wrong = keys.writeFile('wrong.pem', privateKey);
    const { code, report, text } = await bench(
      ...addresses(server),
      ...['--key-file', wrong, '--auth', auth, '--connections', '20'],
    );
    assert.equal(code, 1);
    assert.deepEqual(
      report.connect.failures.map(({ kind: name, count }) => [name, count]),
      [[kind, 20]],
    );
    assert.match(text, sentence);
  });
}

serverTest('a token that does not permit the channel', {}, async (server) => {
  const token = keys.sign(keys.claims({ app: 'demo', channels: ['other'] }));
  const { report } = await bench(...addresses(server), '--token', token, '--connections', '3');
  assert.deepEqual(
    report.connect.failures.map(({ kind, count }) => [kind, count]),
    [['subscribe', 3]],
  );
});

serverTest('an application that is another one, and a path that is none', {}, async (server) => {
  const token = keys.sign(keys.claims({ app: 'other' }));
  const three = ['--connections', '3'];
  const app = await bench(...addresses(server), '--token', token, ...three);
  assert.match(app.text, /handshake was refused \(401 appkey error\)/);
  const slave = ['--slave', `${at(server.slave)}/nowhere`, '--master', at(server.master)];
  const place = await bench(...slave, ...three);
  assert.match(place.text, /POST auth gave no ticket \(404 404 page not found\)/);
});

/** A test whose server does not come to a clean end. */
function doomedTest(name, body) {
  test(name, async () => {
    const server = await Server.start();
    try {
      await body(server);
    } finally {
      server.kill();
    }
  });
}

/** Starts it, and resolves when it measures: all are subscribed, and a push was delivered. */
async function measuring(server, ...args) {
  const options = ['--connections', '20', '--duration', '60', '--warmup', '0', '--json', '-'];
  const process = new Process(bin, ['bench', ...key, ...addresses(server), ...options, ...args], {
    env: environment(),
  });
  const count = async () => (await server.ask('/demo/online/count')).count;
  await until(async () => (await count()) === 20, 'all subscribers');
  const listener = await server.login({ app: 'demo' });
  listener.send({ event: 'gusher.subscribe', data: { channel: 'bench-0' } });
  while (!/"event":"bench"/.test(await listener.next('a push')));
  return process;
}

async function ended(process) {
  const { code, signal } = await process.exit();
  assert.equal(signal, null, process.stderr);
  assert.doesNotMatch(process.stderr, /Sanitizer|runtime error:|Assertion/);
  const report = JSON.parse(process.stdout);
  assertConsistent(report);
  assert.equal(report.ok, code === 0, process.stderr);
  return { code, report, text: process.stderr };
}

for (const rate of ['50', '0']) {
  doomedTest(`the server is killed midway, at a rate of ${rate}`, async (server) => {
    const process = await measuring(server, '--rate', rate);
    server.process.kill();
    const { code, report, text } = await ended(process);
    assert.equal(code, 1);
    assert.equal(report.interrupted, false);
    assert.equal(report.deliver.subscribers_lost, 20);
    assert.match(text, /Measuring ended early: there is no subscriber left\./);
    assert.match(text, /A subscriber was lost: 20 times it broke off/);
  });
}

doomedTest('the server stops midway, with a farewell', async (server) => {
  const process = await measuring(server);
  server.terminate();
  const { code, report, text } = await ended(process);
  assert.equal(code, 1);
  assert.equal(report.deliver.failures[0].kind, 'closed');
  assert.match(text, /20 times the server closed it \(1001 shutdown: server is shutting down\)/);
});

doomedTest('the server stands still, and nothing hangs', async (server) => {
  const process = await measuring(server, '--duration', '1');
  await server.process.pause();
  const { code, report, text } = await ended(process);
  assert.equal(code, 1);
  assert.equal(report.publish.unanswered, 4); // one a publisher
  assert.match(text, /4 pushes were not answered: whether they were sent is open\./);
});

serverTest('a signal ends the measuring, and the report tells what was', {}, async (server) => {
  const process = await measuring(server);
  process.signal('SIGINT');
  const { code, report, text } = await ended(process);
  assert.equal(code, 0, text);
  assert.equal(report.interrupted, true);
  assert.ok(report.publish.ok > 0);
  assert.equal(report.deliver.received, 20 * report.publish.ok);
  assert.match(text, /Interrupted: the figures are those until then\./);
});

serverTest('pushes that are refused are told by status', { 'max-body': 1024 }, async (server) => {
  const { code, report, text } = await bench(...addresses(server), ...small, '--payload', '2000');
  assert.equal(code, 1);
  assert.deepEqual(Object.keys(report.publish.answers), ['413']);
  assert.equal(report.deliver.expected, 0);
  assert.match(text, /pushes were answered 413\./);
});

// ---- servers that are none, or do it wrong

/** Listens with `server` (of node:net or node:http) while `body` runs; gives it HOST:PORT. */
async function listening(server, body) {
  const open = new Set();
  server.on('connection', (socket) => {
    open.add(socket.on('error', () => {}));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body(at({ host: '127.0.0.1', port: server.address().port }));
  } finally {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

for (const [name, accept, kind, sentence] of [
  ['never answers', () => {}, 'timeout', /no answer came in time \(POST auth was not answered\)/],
  ['closes at once', (socket) => socket.end(), 'broken', /it broke off/],
  ['speaks something else', (socket) => socket.write('220 mail\r\n\r\n'), 'protocol', /not HTTP/],
]) {
  test(`a server that ${name}`, async () => {
    await listening(net.createServer(accept), async (address) => {
      const { code, report, text } = await bench(
        ...['--slave', address, '--master', address],
        ...['--connections', '5', '--connect-timeout', '1'],
      );
      assert.equal(code, 1);
      assert.deepEqual(
        report.connect.failures.map(({ kind: name, count }) => [name, count]),
        [[kind, 5]],
      );
      assert.match(text, sentence);
    });
  });
}

/**
 * A server that looks like gusher: one channel, no keys. deliver(sockets, frame, n) sends the n-th push on;
 * answer(n) gives its status.
 */
async function withFake({ deliver, answer = () => 200 }, body) {
  const sockets = new Set();
  let pushes = 0;
  const web = http.createServer(async (request, reply) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const n = ++pushes;
    const data = new URLSearchParams(text).get('data');
    reply.writeHead(answer(n)).end('busy\n');
    deliver([...sockets], `{"channel":"bench-0","event":"bench","data":${data}}`, n);
  });
  const hub = new WebSocketServer({ server: web });
  hub.on('connection', (socket) => {
    socket.on('message', () => {
      sockets.add(socket);
      socket.send('{"event":"gusher.subscribe_succeeded","data":{"channel":"bench-0"}}');
    });
    socket.on('close', () => sockets.delete(socket));
  });
  await listening(web, (address) =>
    body(() =>
      bench(
        ...['--slave', address, '--master', address, '--auth', 'jwt', '--connections', '4'],
        ...['--publishers', '1', '--rate', '20', '--duration', '1', '--warmup', '0'],
      ),
    ),
  );
}

const toAll = (sockets, frame) => sockets.forEach((socket) => socket.send(frame));

test('deliveries that are lost are counted', async () => {
  const deliver = (sockets, frame, n) => toAll(n === 7 ? sockets.slice(1) : sockets, frame);
  await withFake({ deliver }, async (measure) => {
    const { code, report, text } = await measure();
    assert.equal(code, 1);
    assert.deepEqual([report.deliver.expected, report.deliver.received], [80, 79]);
    assert.match(text, /1 of 80 deliveries are missing\./);
  });
});

test('deliveries that come twice are counted once, and told', async () => {
  const deliver = (sockets, frame, n) => {
    toAll(sockets, frame);
    if (n === 7) toAll(sockets, frame);
  };
  await withFake({ deliver }, async (measure) => {
    const { code, report } = await measure();
    assert.equal(code, 1);
    const { received, duplicated, out_of_order } = report.deliver;
    assert.deepEqual([received, duplicated, out_of_order], [80, 4, 0]);
  });
});

test('deliveries that are out of order are told', async () => {
  let held;
  const deliver = (sockets, frame, n) => {
    if (n === 7) held = frame;
    else toAll(sockets, frame);
    if (n === 8) toAll(sockets, held);
  };
  await withFake({ deliver }, async (measure) => {
    const { code, report } = await measure();
    assert.equal(code, 1);
    const { received, duplicated, out_of_order } = report.deliver;
    assert.deepEqual([received, duplicated, out_of_order], [80, 0, 4]);
  });
});

test('what nobody has sent is strange', async () => {
  const deliver = (sockets, frame) => {
    toAll(sockets, '{"channel":"bench-0","event":"other","data":1}');
    toAll(sockets, frame);
  };
  await withFake({ deliver }, async (measure) => {
    const { code, report } = await measure();
    assert.equal(code, 0);
    assert.deepEqual([report.deliver.received, report.deliver.strange], [80, 80]);
  });
});

test('503 is no loss: nothing was sent, and nothing is missing', async () => {
  const isBusy = (n) => n % 4 === 0;
  const answer = (n) => (isBusy(n) ? 503 : 200);
  const deliver = (sockets, frame, n) => isBusy(n) || toAll(sockets, frame);
  await withFake({ deliver, answer }, async (measure) => {
    const { code, report, text } = await measure();
    assert.equal(code, 0, text);
    assert.deepEqual(report.publish.answers, { 200: 15, 503: 5 });
    assert.equal(report.deliver.received, 60);
    assert.equal(report.deliver.out_of_order, 0);
    assert.match(text, /5 pushes were answered 503: the server was too busy\./);
  });
});

test('a stall is charged to every message that was due in it', async () => {
  const stall_ms = 400;
  let until_ms = 0;
  const answer = (n) => {
    if (n === 5) until_ms = performance.now() + stall_ms;
    while (performance.now() < until_ms); // nothing else happens in this server
    return 200;
  };
  await withFake({ deliver: toAll, answer }, async (measure) => {
    const { code, report, text } = await measure();
    assert.equal(code, 0, text);
    // Due every 50 ms: eight messages waited for the end of it, from 400 ms down to 50.
    const { latency_ms, received } = report.deliver;
    assert.equal(received, 80);
    assert.ok(latency_ms.max >= stall_ms, `max ${latency_ms.max}`);
    assert.ok(latency_ms.p90 >= 300, `p90 ${latency_ms.p90}`);
    assert.ok(latency_ms.mean >= 70, `mean ${latency_ms.mean}`);
  });
});

// ---- options

for (const [args, sentence] of [
  [['--slave', 'ftp://h'], /an address begins with ws:\/\/, wss:\/\/, http:\/\/ or https:\/\//],
  [['--slave', 'ws://h:99999'], /an address is ws:\/\/HOST:PORT\/PREFIX: "ws:\/\/h:99999"/],
  [['--master', ''], /an address is ws:\/\/HOST:PORT\/PREFIX: ""/],
  [['--payload', '63'], /--payload must be a whole number from 64 to/],
  [['--auth', 'none'], /--auth must be one of ticket\|jwt, not "none"/],
  [['--channel', 'a*'], /--channel takes 1 to 64 bytes without a star/],
  [['--server-pid', 'x'], /--server-pid takes the number of a process/],
  [['--server-pid', '2147483647'], /--server-pid 2147483647: no such process can be read/],
  [['--connections', '1000000', '--publishers', '1024'], /take fewer publishers/],
]) {
  test(`refused with exit code 2: gusher bench ${args.join(' ')}`, async () => {
    const { code, stdout, stderr } = await run(['bench', ...key, ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, sentence);
    assert.match(stderr, /^gusher: [^\n]+\n$/);
    assert.equal(stdout, '');
  });
}

test('a host that nobody knows', async () => {
  const { code, stderr } = await run(['bench', ...key, '--slave', 'ws://nowhere.invalid:1']);
  assert.equal(code, 1);
  assert.match(stderr, /^gusher: cannot find nowhere\.invalid: [^\n]+\n$/);
});
