// A bus that sends garbage: it is dropped, counted and told; nobody's messages are lost over it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { clusterTest } from './support/cluster.mjs';
import { root } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import { RawNats } from './support/nats_raw.mjs';
import { Random } from './support/random.mjs';
import { until } from './support/wait.mjs';

const sanitized = Boolean(process.env.SANITIZED);
const LETTERS = Number(process.env.GARBAGE_LETTERS ?? (sanitized ? 4000 : 40000));

const rssBytes = (member) =>
  Number(fs.readFileSync(`/proc/${member.process.child.pid}/statm`, 'utf8').split(' ')[1]) * 4096;

const upOf = (member) =>
  until(async () => {
    const reply = await request(member.slave ?? member.master, 'GET', '/readyz').catch(() => null);
    return reply?.status === 200;
  }, 'the member is ready');

/** Letters of all kinds, as the members write them. Nothing here concerns the victim's app. */
async function validLetters(cluster, listener) {
  await listener.listen('gusher.>');
  const bob = await cluster.login({ app: 'other', user: 'bob', channels: ['*'] });
  await bob.subscribe('x', 'y');
  await cluster.push('other', 'x', 'e', '{"a":1}');
  await cluster.post('/push/user/other/bob', { data: '1' });
  await cluster.ask('/other/online');
  await cluster.ask('/other/online/bychannel/x');
  await cluster.post('/push/other', { channel_pattern: '^x$', event: 'e', data: '1' });
  await cluster.post('/reload/channel/user/other/bob', { data: '["x"]' });
  await cluster.post('/kick/user/other/nobody', {});
  await cluster.post('/ban/user/other/nobody', { for: 60 });
  const one = await cluster.addSlave(); // greets, is welcomed, leaves
  await cluster.stopMember(one);
  await until(() => new Set(listener.heard.map(({ body }) => body[2])).size >= 10, 'many kinds');
  await bob.close(1000);
  return listener.heard.splice(0);
}

/** Another letter: cut, grown, with other bytes; or no letter at all. */
function mutated(random, letters) {
  const { subject, body } = random.of(letters);
  let bytes = Buffer.from(body);
  switch (random.below(6)) {
    case 0:
      return { subject, bytes: random.bytes(random.below(300)) };
    case 1:
      return { subject, bytes: bytes.subarray(0, random.below(bytes.length + 1)) };
    case 2:
      bytes = Buffer.concat([bytes, bytes.subarray(random.below(bytes.length))]);
      break;
    case 3: // on somebody else's subject
      return { subject: random.of(letters).subject, bytes };
    default:
  }
  for (let n = 1 + random.below(4); n && bytes.length; n--)
    bytes[random.below(bytes.length)] = random.below(256);
  return { subject, bytes };
}

clusterTest('letters that are none, at a high rate', { slaves: 2 }, async (cluster, t) => {
  const [port] = cluster.nats.servers.map((server) => server.port);
  const stranger = await RawNats.connect(port);
  const letters = await validLetters(cluster, stranger);
  const victim = await (await cluster.login({ user: 'victim', channels: ['*'] })).subscribe('c');
  const before = cluster.members.map(rssBytes);
  const random = Random.of(t);
  let isOver = false;
  const flood = (async () => {
    for (let i = 0; i < LETTERS; i++) {
      const { subject, bytes } = mutated(random, letters);
      await stranger.publish(subject, bytes);
      if (i % 500 === 0) {
        stranger.heard.length = 0;
        await stranger.settled();
      }
    }
    await stranger.settled();
  })().finally(() => (isOver = true));
  let n = 0;
  while (!isOver || n < 50) {
    await cluster.push('app', 'c', 'e', String(++n));
    await victim.expect(`{"channel":"c","event":"e","data":${n}}`);
  }
  await flood;
  stranger.end();

  // All is as it was, as soon as nobody has been made up any more.
  for (const member of cluster.members) await upOf(member);
  await until(async () => {
    const reply = await cluster.masters[0].call('GET', '/app/online');
    return reply.text === '["victim"]' && !reply.headers['gusher-missing-nodes'];
  }, 'an answer of all');
  await victim.subscribe('d');
  await cluster.push('app', 'd', 'e', '1');
  await victim.expect('{"channel":"d","event":"e","data":1}');
  for (const [i, member] of cluster.members.entries()) {
    const dropped = member.logged('bus_messages_dropped');
    assert.ok(dropped.length > 0, 'it is told');
    assert.ok(dropped.reduce((sum, line) => sum + line.count, 0) > LETTERS / 100);
    const grown = rssBytes(member) - before[i];
    if (!sanitized) assert.ok(grown < 64 << 20, `${grown} bytes more`);
  }
});

/** What a NATS server might send that is none. */
const impostors = {
  'closes at once': (socket) => socket.destroy(),
  'says nothing': () => {},
  junk: (socket, random) => {
    const send = () => {
      socket.write(random.bytes(512));
    };
    const timer = setInterval(send, 5);
    socket.on('close', () => clearInterval(timer));
  },
  'an INFO without an end': (socket) => {
    socket.write(`INFO {"server_id":"${'x'.repeat(1 << 20)}`);
  },
  'a long INFO': (socket) => {
    socket.write(`INFO {"server_id":"x","max_payload":1048576,"connect_urls":["${'x'.repeat(8 << 20)}"]}\r\n`);
  },
  'an INFO, then junk': (socket, random) => {
    socket.write('INFO {"server_id":"x","version":"2.9.0","proto":1,"max_payload":1048576}\r\nPONG\r\n');
    socket.on('data', () => socket.write(random.bytes(64)));
  },
  'an INFO with lies': (socket) => {
    socket.write('INFO {"server_id":7,"port":-1,"max_payload":-5,"connect_urls":[1,{}]}\r\nPONG\r\n');
    socket.on('data', () => socket.write('MSG a 999 99999999999999999999\r\nMSG\r\nPONG\r\n'));
  },
};

class Impostor {
  static async start(port, behave) {
    const impostor = new Impostor(behave);
    const { server } = impostor;
    await new Promise((resolve, reject) => {
      server.on('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return impostor;
  }

  constructor(behave) {
    this.n = 0; // who came
    this.sockets = new Set();
    this.server = net.createServer((socket) => {
      this.n++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
      behave(socket);
    });
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const lsan = path.join(root, 'tests/support/lsan_nats.supp');
const env = { LSAN_OPTIONS: `suppressions=${lsan}:print_suppressions=0` };

clusterTest('somebody else in the place of NATS', { env }, async (cluster) => {
  const [server] = cluster.nats.servers;
  const random = new Random(1);
  const victim = await (await cluster.login({ user: 'victim', channels: ['*'] })).subscribe('c');
  for (const [what, behave] of Object.entries(impostors)) {
    await server.kill();
    const impostor = await Impostor.start(server.port, (socket) => behave(socket, random));
    try {
      await until(() => impostor.n >= cluster.members.length, `${what}: it is tried`);
      for (const member of cluster.members) {
        const address = member.slave ?? member.master;
        assert.equal((await request(address, 'GET', '/healthz')).status, 200, what);
        assert.equal((await request(address, 'GET', '/readyz')).status, 503, what);
      }
      const { event } = await victim.command('gusher.ping', {});
      assert.equal(event, 'gusher.pong_succeeded', what);
    } finally {
      await impostor.stop();
    }
    await server.launch();
    for (const member of cluster.members) await upOf(member);
    await cluster.push('app', 'c', 'e', '1');
    await victim.expect('{"channel":"c","event":"e","data":1}');
  }
  for (const member of cluster.members)
    assert.ok(member.logged('bus_away').length >= Object.keys(impostors).length);
});
