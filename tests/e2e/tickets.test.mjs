// Tickets of a cluster with a secret: one slave issues them, every slave takes them.
import assert from 'node:assert/strict';
import { clusterTest, ticketSecret } from './support/cluster.mjs';
import { serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { frame, PING, PONG, requestText, TEXT, upgradeHeaders } from './support/raw.mjs';
import { inParallel, pause, until } from './support/wait.mjs';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const WAIT_MS = 500; // for a note that is under way

const two = { slaves: 2 };
const proxied = { slaves: 2, proxied: true };

const jwt = (identity) => keys.sign(keys.claims(identity));

/** Shows a ticket by a plain GET: { status, ms }. Only one that is good has 400, as it stands in no
 * handshake. */
async function show(slave, ticket) {
  const began = performance.now();
  const { status, text } = await slave.callSlave('GET', `/ws/app?token=${ticket}`);
  if (status === 401) assert.equal(text, 'token error\n');
  else assert.deepEqual([status, text], [400, 'Bad Request\n']);
  return { good: status === 400, ms: performance.now() - began };
}

const target = (slave, ticket) => `${slave.gcs}/ws/app?token=${ticket}`;

clusterTest('a ticket looks like a UUID and opens sockets on every slave', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const ticket = await one.auth(jwt({ user: 'ann' }));
  assert.match(ticket, UUID);
  for (const slave of [other, one, other]) {
    const client = await slave.connect(slave.url('app', ticket));
    await client.subscribe('x');
    await cluster.push('app', 'x', 'e', '1');
    await client.expect('{"channel":"x","event":"e","data":1}');
    await client.close();
  }
  await assert.rejects(other.connect(other.url('other', ticket)), /refused: 401 appkey error/);
});

clusterTest('nobody who is quick is refused', { slaves: 3 }, async (cluster) => {
  const tickets = new Set();
  await inParallel(300, 30, async (i) => {
    const from = cluster.slaves[i % 3];
    const to = cluster.slaves[(i + 1 + (i % 2)) % 3];
    const ticket = await from.auth(jwt({ user: `u${i}` }));
    tickets.add(ticket);
    const client = await to.connect(to.url('app', ticket));
    await client.close();
  });
  assert.equal(tickets.size, 300);
});

clusterTest('a ticket outlives the slave that issued it', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const ticket = await one.auth(jwt({ user: 'ann' }));
  await cluster.killMember(one);
  const client = await other.connect(other.url('app', ticket));
  await client.subscribe('x');
});

clusterTest('a handshake waits for a note that is under way', proxied, async (cluster) => {
  const [one, other] = cluster.slaves;
  one.proxies[0].delay(100);
  let waited = 0;
  for (let i = 0; i < 10; i++) {
    const ticket = await one.auth(jwt({ user: 'ann' }));
    const began = performance.now();
    const client = await other.connect(other.url('app', ticket));
    waited += performance.now() - began;
    await client.subscribe('x');
    await cluster.push('app', 'x', 'e', '1');
    await client.expect('{"channel":"x","event":"e","data":1}');
    await client.close();
  }
  assert.ok(waited > 500, `waited ${waited} ms in all, of 1000`);

  // Frames behind the handshake are not lost.
  const ticket = await one.auth(jwt({ user: 'ann' }));
  const raw = await other.raw();
  const subscribe = frame(TEXT, '{"event":"gusher.subscribe","data":{"channel":"x"}}');
  const handshake = requestText('GET', target(other, ticket), upgradeHeaders);
  raw.write(Buffer.concat([Buffer.from(handshake), subscribe]));
  assert.equal((await raw.reply()).status, 101);
  assert.equal(JSON.parse(await raw.text()).event, 'gusher.subscribe_succeeded');
  raw.write(frame(PING, 'there'));
  const { op, payload } = await raw.frame();
  assert.deepEqual([op, payload.toString()], [PONG, 'there']);
  one.proxies[0].delay(0);
});

clusterTest('the wait has an end, and requests behind it go on', proxied, async (cluster) => {
  const [one, other] = cluster.slaves;
  one.proxies[0].hold();
  const ticket = await one.auth(jwt({ user: 'ann' }));
  const raw = await other.raw();
  const began = performance.now();
  raw.write(requestText('GET', target(other, ticket)));
  raw.write(requestText('GET', `${other.gcs}/ping`));
  raw.write(requestText('GET', target(other, ticket), { 'Content-Length': '4' }, 'body'));
  raw.write(requestText('GET', `${other.gcs}/ping`));
  for (let i = 1; i <= 2; i++) {
    const refusal = await raw.reply();
    assert.deepEqual([refusal.status, refusal.body], [401, 'token error\n']);
    const ms = performance.now() - began;
    const late = i * (WAIT_MS + 1000); // for a machine under load
    assert.ok(ms > i * WAIT_MS - 30 && ms < late, `refusal ${i} after ${ms} ms`);
    const pong = await raw.reply();
    assert.deepEqual([pong.status, pong.body], [200, 'pong']);
  }
  // Here it is good, and there as well once the note has come.
  assert.ok((await show(one, ticket)).good);
  one.proxies[0].heal();
  await until(async () => (await show(other, ticket)).good, 'the note is there');
});

clusterTest('a client may leave while it waits', proxied, async (cluster) => {
  const [one, other] = cluster.slaves;
  one.proxies[0].hold();
  const ticket = await one.auth(jwt({ user: 'ann' }));
  for (let i = 0; i < 20; i++) {
    const raw = await other.raw();
    raw.write(requestText('GET', target(other, ticket), upgradeHeaders));
    raw.write(frame(TEXT, 'behind'));
    if (i % 2) raw.halfClose();
    await pause(i * 5);
    raw.destroy();
  }
  assert.equal((await other.callSlave('GET', '/ping')).text, 'pong');
  one.proxies[0].heal();
});

clusterTest('a slave may stop while a client waits', proxied, async (cluster) => {
  const [one, other] = cluster.slaves;
  one.proxies[0].hold();
  const ticket = await one.auth(jwt({ user: 'ann' }));
  const raw = await other.raw();
  raw.write(requestText('GET', target(other, ticket), upgradeHeaders));
  await pause(50); // it has been read
  other.terminate();
  assert.ok([401, 503].includes((await raw.reply()).status));
  raw.destroy();
  await cluster.stopMember(other);
  one.proxies[0].heal();
});

clusterTest('what nobody issued is refused at once', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const good = await one.auth(jwt());
  assert.ok((await show(other, good)).good);
  const mended = [...good].map((c, i) =>
    c === '-' ? null : good.slice(0, i) + (c === '0' ? '1' : '0') + good.slice(i + 1),
  );
  const forged = [
    '00000000-0000-0000-0000-000000000000',
    '123e4567-e89b-42d3-a456-426614174000',
    good.toUpperCase(),
    ...mended.filter((ticket) => ticket),
  ];
  for (const ticket of forged) {
    if (ticket === good) continue;
    const shown = await show(other, ticket);
    assert.ok(!shown.good && shown.ms < 200, `${ticket}: ${shown.ms} ms`);
  }
});

clusterTest('10,000 permissions reach the other slave', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const names = Array.from({ length: 10_000 }, (_, i) => String.fromCharCode(97 + (i % 26)));
  const ticket = await one.auth(jwt({ user: 'ann', channels: [...names.slice(1), 'last'] }));
  assert.match(ticket, UUID);
  const client = await other.connect(other.url('app', ticket));
  await client.subscribe('last');
  const refused = await client.command('gusher.subscribe', { channel: 'other' });
  assert.equal(refused.event, 'gusher.subscribe_error');
});

clusterTest(
  'a JWT longer than a message of the bus is told so',
  { slaves: 2, nats: { servers: 1, config: 'max_payload: 8192' } },
  async (cluster) => {
    const [one, other] = cluster.slaves;
    const ofBytes = (n) => jwt({ user: 'ann', channels: ['x'.repeat(n)] });
    const reply = await one.callSlave('POST', '/auth', { form: { jwt: ofBytes(8000) } });
    assert.equal(reply.status, 413);
    assert.equal(reply.text, 'the jwt is longer than the bus can carry to the other slaves\n');
    assert.equal(reply.headers['access-control-allow-origin'], '*');
    assert.ok((await show(other, await one.auth(ofBytes(7000)))).good);
  },
);

clusterTest('without the bus a ticket opens sockets where it was issued', two, async (cluster) => {
  const [one, other] = cluster.slaves;
  const before = await one.auth(jwt());
  assert.ok((await show(other, before)).good);
  await cluster.nats.servers[0].kill();
  await until(() => one.logged('bus_away').length, 'the slave knows that the bus is away');
  const ticket = await one.auth(jwt({ user: 'ann' }));
  await one.connect(one.url('app', ticket));
  assert.ok(!(await show(other, ticket)).good);
  assert.ok((await show(other, before)).good);
  await cluster.nats.servers[0].restart();
  await until(() => one.logged('bus_up').length > 1, 'the bus is back');
  await until(() => other.logged('bus_up').length > 1, 'and for the other slave, too');
  assert.ok((await show(other, await one.auth(jwt()))).good);
});

clusterTest(
  'another secret is another cluster, as far as tickets go',
  { slaves: 1 },
  async (cluster) => {
    const stranger = await cluster.addSlave({ 'ticket-secret': 'a secret of another cluster' });
    const shown = await show(stranger, await cluster.slaves[0].auth(jwt()));
    assert.ok(!shown.good && shown.ms < 200);
  },
);

serverTest(
  'a process alone may have a secret, too',
  { 'ticket-secret': ticketSecret },
  async (server) => {
    const ticket = await server.auth(jwt({ user: 'ann' }));
    assert.match(ticket, UUID);
    const client = await server.connect(server.url('app', ticket));
    await client.subscribe('x');
  },
);

clusterTest('a ticket lives for a minute, wherever it is shown', { ...two, takesLong: true }, async (cluster) => {
  const [one, other] = cluster.slaves;
  const began = performance.now();
  const ticket = await one.auth(jwt());
  const client = await other.connect(other.url('app', ticket));
  await client.subscribe('x');
  const lives = await Promise.all(
    [one, other].map(async (slave) => {
      const gone = async () => {
        await pause(200);
        const shown = await show(slave, ticket);
        return !shown.good && shown;
      };
      const refusal = await until(gone, 'the end of the ticket', 70_000);
      assert.ok(refusal.ms < 200, `refused after ${refusal.ms} ms`);
      return performance.now() - began;
    }),
  );
  for (const ms of lives) assert.ok(ms > 59_500 && ms < 63_000, `it lived for ${ms} ms`);
  await client.subscribe('y'); // the socket stays
});
