// The tools of the cluster tests themselves: NATS and Redis servers, and the network between.
import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';
import { Nats } from './support/nats.mjs';
import { Proxy } from './support/proxy.mjs';
import { Raw } from './support/raw.mjs';
import { Redis } from './support/redis.mjs';
import { Inbox, until } from './support/wait.mjs';

/** A client of NATS in its own words: what comes, line by line. */
class NatsRaw {
  static async connect(port) {
    const client = new NatsRaw(await Raw.connect({ host: '127.0.0.1', port }));
    assert.match(await client.next(), /^INFO \{/);
    client.write('CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n');
    await client.expect('PONG');
    return client;
  }

  constructor(raw) {
    this.raw = raw;
    this.lines = new Inbox();
    let partial = '';
    raw.socket.on('data', (chunk) => {
      const lines = (partial + chunk).split('\r\n');
      partial = lines.pop();
      for (const line of lines) this.lines.put(line);
    });
    for (const event of ['end', 'close']) raw.socket.on(event, () => this.lines.end('closed'));
  }

  write(text) {
    this.raw.write(text);
  }

  next(what = 'a line of NATS') {
    return this.lines.next(what);
  }

  async expect(...lines) {
    for (const line of lines) assert.equal(await this.next(line), line);
  }

  async flush() {
    this.write('PING\r\n');
    await this.expect('PONG');
  }

  close() {
    this.raw.destroy();
  }
}

async function withNats(options, body) {
  const nats = await Nats.start(options);
  try {
    await body(nats);
    await nats.stop();
  } finally {
    nats.killAll();
  }
}

test('one NATS server: monitored, paused, killed, restarted', async () => {
  await withNats({}, async (nats) => {
    const [server] = nats.servers;
    assert.equal(nats.urls, `nats://127.0.0.1:${server.port}`);
    const { id } = server;
    assert.equal((await nats.monitor('/varz')).server_id, id);

    const client = await NatsRaw.connect(server.port);
    client.write('SUB greetings 1\r\n');
    await client.flush();
    const [connection] = await nats.connections();
    assert.deepEqual(connection.subscriptions_list, ['greetings']);
    assert.ok((await nats.monitor('/subsz')).num_subscriptions >= 1);

    await nats.pause();
    client.write('PUB greetings 5\r\nhello\r\n');
    await assert.rejects(client.lines.next('silence', 100), /not within/);
    nats.resume();
    await client.expect('MSG greetings 1 5', 'hello');

    await nats.kill();
    await assert.rejects(client.next(), /closed/);
    await nats.restart();
    assert.notEqual(server.id, id);
    (await NatsRaw.connect(server.port)).close();
  });
});

test('three NATS servers carry messages between each other, also after one was away', async () => {
  await withNats({ servers: 3 }, async (nats) => {
    const [a, b, c] = nats.servers;
    assert.deepEqual(await a.routes(), [b.id, c.id].sort());
    const [here, there] = await Promise.all([NatsRaw.connect(a.port), NatsRaw.connect(c.port)]);
    const carries = async (text) => {
      // The interest of a client travels by itself: it counts once the other server knows it.
      await until(async () => {
        here.write(`PUB x ${text.length}\r\n${text}\r\n`);
        await here.flush();
        return there.lines.length;
      }, 'a message from one server to another');
      assert.equal(await there.next(), `MSG x 1 ${text.length}`);
      assert.equal(await there.next(), text);
    };
    there.write('SUB x 1\r\n');
    await there.flush();
    await carries('first');

    await b.kill();
    await nats.routed();
    assert.deepEqual(await a.routes(), [c.id]);
    await b.restart();
    await nats.routed();
    assert.deepEqual(await b.routes(), [a.id, c.id].sort());
    here.close();
    there.close();
  });
});

test('JetStream has a store', async () => {
  await withNats({ jetStream: true }, async (nats) => {
    assert.ok((await nats.monitor('/jsz')).config.store_dir);
  });
});

test('Redis answers, in order, also after a restart', async () => {
  const redis = await Redis.start();
  try {
    assert.equal(await redis.call('SET', 'k', 'wörds\r\nin lines'), 'OK');
    assert.equal(await redis.call('GET', 'k'), 'wörds\r\nin lines');
    assert.equal(await redis.call('GET', 'other'), null);
    assert.equal(await redis.call('RPUSH', 'l', 'a', 'b', ''), 3);
    assert.deepEqual(await redis.call('LRANGE', 'l', 0, -1), ['a', 'b', '']);
    assert.deepEqual(await Promise.all([redis.call('INCR', 'n'), redis.call('INCR', 'n')]), [1, 2]);
    await assert.rejects(redis.call('INCR', 'k'), /^Error: ERR value is not an integer/);
    const long = 'x'.repeat(1 << 20);
    await redis.call('SET', 'long', long);
    assert.equal(await redis.call('GET', 'long'), long);

    const listener = await redis.connect();
    assert.deepEqual(await listener.call('SUBSCRIBE', 'c'), ['subscribe', 'c', 1]);
    assert.equal(await redis.call('PUBLISH', 'c', 'm'), 1);
    assert.deepEqual(await listener.next(), ['message', 'c', 'm']);
    listener.close();

    const { port } = redis;
    await redis.restart();
    assert.equal(redis.port, port);
    assert.equal(await redis.call('GET', 'k'), null);
    await redis.stop();
  } finally {
    redis.process.kill();
  }
});

// ---- the proxy

/** A server whose connections the test holds, and a proxy before it. */
async function withProxy(body) {
  const accepted = new Inbox();
  const listener = net.createServer({ allowHalfOpen: true }, (socket) =>
    accepted.put(new Raw(socket)),
  );
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const proxy = await Proxy.start(listener.address().port);
  const ends = [];
  /** Both ends of a new connection; the server's only where it hears of it. */
  const connect = async () => {
    const client = await Raw.connect(proxy);
    const isHeard = proxy.state === 'open';
    const server = isHeard ? await accepted.next('a connection at the server') : undefined;
    ends.push(client, ...(server ? [server] : []));
    return { client, server };
  };
  try {
    await body(proxy, connect, accepted);
  } finally {
    for (const end of ends) end.destroy();
    while (accepted.length) (await accepted.next()).destroy();
    await proxy.stop();
    listener.close();
  }
}

/** Waits until `raw` has got `text`, and takes it. */
async function got(raw, text) {
  await until(() => raw.isEnded || raw.buffer.length >= text.length, `'${text}'`);
  assert.equal(raw.buffer.toString(), text);
  raw.chunks = [];
}

const wasEnded = async (raw) => {
  await until(() => raw.isEnded || raw.socket.destroyed, 'the end of a connection');
  raw.destroy();
};

/** Long enough for what would come over a loopback. */
const QUIET_MS = 100;
const isQuiet = async (...raws) => {
  await assert.rejects(
    until(() => raws.some((raw) => raw.buffer.length || raw.isEnded), 'a byte or an end', QUIET_MS),
    /not within/,
  );
};

test('a proxy passes on what both sides send, and their ends', async () => {
  await withProxy(async (proxy, connect) => {
    const { client, server } = await connect();
    assert.equal(proxy.url(), `nats://127.0.0.1:${proxy.port}`);
    client.write('there');
    await got(server, 'there');
    server.write('and back');
    await got(client, 'and back');
    client.halfClose();
    assert.equal(await server.rest(), '');
    server.write('last').halfClose();
    assert.equal(await client.rest(), 'last');
    await until(() => proxy.connections === 0, 'the end of the connection in the proxy');
  });
});

test('a cut is silence; what lost a byte is reset when it heals, the rest flows on', async () => {
  await withProxy(async (proxy, connect, accepted) => {
    const talking = await connect();
    const ending = await connect();
    const silent = await connect();
    proxy.cut();
    talking.client.write('lost');
    talking.server.write('lost');
    ending.server.halfClose();
    const late = await connect();
    late.client.write('lost');
    await isQuiet(talking.client, talking.server, ending.client, silent.client, late.client);
    assert.equal(accepted.length, 0);

    proxy.heal();
    for (const raw of [talking.client, talking.server, ending.client, late.client])
      await wasEnded(raw);
    silent.client.write('alive');
    await got(silent.server, 'alive');
    const next = await connect();
    next.server.write('alive');
    await got(next.client, 'alive');
  });
});

test('a held network loses nothing', async () => {
  await withProxy(async (proxy, connect, accepted) => {
    const { client, server } = await connect();
    proxy.hold();
    client.write('later');
    server.write('later, too');
    const late = await connect();
    late.client.write('me as well');
    await isQuiet(client, server, late.client);
    assert.equal(accepted.length, 0);
    proxy.heal();
    await got(server, 'later');
    await got(client, 'later, too');
    await got(await accepted.next(), 'me as well');
  });
});

test('a reset ends the connections there are, on both sides', async () => {
  await withProxy(async (proxy, connect) => {
    const { client, server } = await connect();
    proxy.reset();
    await wasEnded(client);
    await wasEnded(server);
    const next = await connect();
    next.client.write('anew');
    await got(next.server, 'anew');
    next.server.destroy();
    await wasEnded(next.client);
  });
});

test('a delay holds for each byte, keeps the order, and can be taken back', async () => {
  await withProxy(async (proxy, connect) => {
    const { client, server } = await connect();
    proxy.delay(200);
    const before = performance.now();
    client.write('one ');
    client.write('two');
    await got(server, 'one two');
    assert.ok(performance.now() - before >= 199);
    server.write('back');
    await got(client, 'back');
    assert.ok(performance.now() - before >= 399);

    proxy.delay(60_000);
    client.write('waits, ');
    await isQuiet(server);
    proxy.delay(0);
    client.write('follows');
    await got(server, 'waits, follows');
  });
});

test('a slow reader behind the proxy slows its sender', async () => {
  await withProxy(async (_, connect) => {
    const { client, server } = await connect();
    const chunk = Buffer.alloc(1 << 20, 'x');
    const chunks = 64;
    server.socket.pause();
    let accepted = 0;
    const sending = (async () => {
      for (let i = 0; i < chunks; i++) {
        await new Promise((resolve) => client.socket.write(chunk, resolve));
        accepted++;
      }
    })();
    let seen;
    await until(() => {
      const stalls = accepted > 0 && seen === accepted;
      seen = accepted;
      return stalls;
    }, 'some of it in the buffers of the kernel');
    assert.ok(accepted < chunks);
    server.socket.resume();
    await sending;
    await until(() => server.buffer.length === chunks * chunk.length, 'all of it');
  });
});

test('NATS through a proxy, with the network gone for a while', async () => {
  await withNats({ advertise: false }, async (nats) => {
    const proxy = await Proxy.start(nats.servers[0].port);
    try {
      const client = await NatsRaw.connect(proxy.port);
      client.write('SUB x 1\r\n');
      await client.flush();
      proxy.cut();
      client.write('PING\r\n');
      await assert.rejects(client.lines.next('silence', QUIET_MS), /not within/);
      proxy.heal();
      await assert.rejects(client.next(), /closed/);
      client.close();
      (await NatsRaw.connect(proxy.port)).close();
      await until(async () => (await nats.connections()).length === 0, 'no client');
    } finally {
      await proxy.stop();
    }
  });
});
