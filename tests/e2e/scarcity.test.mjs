// What runs out: descriptors, memory, room for the log. The service degrades, says so, and heals.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import { bin, Server } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { onFreePorts } from './support/ports.mjs';
import { frame, requestText, TEXT, upgradeHeaders } from './support/raw.mjs';
import { pause, until } from './support/wait.mjs';

const sanitized = Boolean(process.env.SANITIZED);
const readyz = (address) => request(address, 'GET', '/readyz');

/** A program that is gusher, once these lines of a shell have been carried out. */
function wrapped(...lines) {
  const file = path.join(keys.freshFolder('wrapped'), 'gusher');
  fs.writeFileSync(file, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  return file;
}

const withLimit = (limit) => wrapped(`ulimit ${limit}`, `exec '${bin}' "$@"`);

/** Milliseconds of CPU that a process has used. */
function cpuMs(server) {
  const stat = fs.readFileSync(`/proc/${server.process.child.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function withServer(flags, options, body) {
  const server = await Server.start(flags, options);
  try {
    await body(server);
    await server.stop();
  } finally {
    server.kill();
  }
}

/** A socket that is subscribed, and a push that it gets. */
async function victimOf(server) {
  const victim = await server.login({ user: 'victim', channels: ['*'] });
  await victim.subscribe('c');
  let n = 0;
  const isServed = async () => {
    await server.push('app', 'c', 'e', String(++n));
    await victim.expect(`{"channel":"c","event":"e","data":${n}}`);
  };
  await isServed();
  return { victim, isServed };
}

// ---- descriptors

test('the limit of descriptors is raised as far as it goes', async () => {
  await withServer({}, { program: withLimit('-Sn 256') }, async (server) => {
    const [line] = server.logged('descriptors');
    assert.equal(line.raised_from, 256);
    assert.ok(line.limit > 256, `limit ${line.limit}`);
    assert.ok(line.reserve > 0 && line.reserve < line.limit / 3);
  });
});

test('descriptors run out: new sockets are refused, the others are served', async () => {
  await withServer({ 'log-level': 'info' }, { program: withLimit('-n 128') }, async (server) => {
    const { isServed } = await victimOf(server);
    const jwt = keys.sign(keys.claims({ user: 'crowd', channels: ['*'] }));
    const opened = [];
    let refusal;
    while (!refusal && opened.length < 200) {
      try {
        opened.push(await server.connect(server.url('app', jwt)));
      } catch (error) {
        refusal = error;
      }
    }
    assert.match(String(refusal), /refused: 503 no new sockets are taken here at the moment/);
    assert.ok(opened.length > 20, `${opened.length} sockets`);

    // Slaves' ports say so, and a master's goes on for backends that come anew.
    await until(async () => (await readyz(server.slave)).status === 503, 'it is not ready');
    assert.match((await readyz(server.slave)).text, /^descriptors are scarce: no new sockets/);
    const auth = await server.callSlave('POST', '/auth', { form: { jwt }, agent: undefined });
    assert.equal(auth.status, 503);
    assert.equal(auth.headers['retry-after'], '10');
    server.agent.destroy();
    await isServed();

    // Peers that connect and say nothing take no more: they wait, and nobody spins.
    const silent = await Promise.all(Array.from({ length: 100 }, () => server.raw()));
    await until(() => server.logged('accept_paused').length > 0, 'the pause is logged');
    const [began, cpu] = [performance.now(), cpuMs(server)];
    await isServed();
    await pause(1000);
    const share = (cpuMs(server) - cpu) / (performance.now() - began);
    if (!sanitized) assert.ok(share < 0.3, `${share} of a core is used while descriptors are out`);

    // What opens descriptors itself has some: files that are read again.
    server.process.signal('SIGHUP');
    await server.process.line('stderr', /"event":"(not_)?reloaded"/);
    assert.deepEqual(server.logged('not_reloaded'), []);
    await isServed();

    for (const raw of silent) raw.destroy();
    for (const client of opened) client.terminate();
    await until(async () => {
      const reply = await readyz(server.slave).catch(() => null);
      return reply?.status === 200;
    }, 'it is ready again');
    const ann = await server.login({ user: 'ann', channels: ['*'] });
    await ann.subscribe('c');
    await isServed();

    assert.match((await server.log('accept_paused'))[0].reason, /descriptors/);
    const enough = await server.log('descriptors_enough', server.logged('descriptors_scarce').length);
    assert.ok(enough[0].refused > 0);
    const lines = server.logged('accept_paused').length + server.logged('descriptors_scarce').length;
    assert.ok(lines < 20, `${lines} lines tell of it`);
  });
});

// ---- memory

/** A raw socket that makes the server hold `bytes`: of a message that does not end. */
async function hog(server, piece) {
  const raw = await server.rawSocket({ user: 'hog', channels: ['*'] });
  raw.write(piece);
  return raw;
}

const PIECE_BYTES = 1 << 20;
const piece = frame(TEXT, Buffer.alloc(PIECE_BYTES), { length: 2 * PIECE_BYTES });
const hogFlags = { 'receive-max-message-size': 4 * PIECE_BYTES };

const rssBytes = (pid) =>
  Number(fs.readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * 4096;

/** Fills memory until newcomers are refused; gives how it is emptied again. */
async function fillMemory(server, mostPieces) {
  const hogs = [];
  while (!server.logged('memory_scarce').length) {
    assert.ok(hogs.length < mostPieces, `still enough with ${hogs.length} MiB more`);
    try {
      hogs.push(await hog(server, piece));
    } catch (error) {
      assert.match(String(error), /503|Expected values/); // it became scarce just now
    }
    await pause(20);
  }
  return () => hogs.forEach((raw) => raw.destroy());
}

async function expectScarceAndHealed(server, empty, isServed) {
  await assert.rejects(
    server.connect(server.url('app', keys.sign(keys.claims({ user: 'new', channels: ['*'] })))),
    /refused: 503 no new sockets are taken/,
  );
  const reply = await readyz(server.slave);
  assert.deepEqual([reply.status, reply.text], [503, 'memory is scarce: no new sockets are taken']);
  server.agent.destroy(); // backends may come anew
  await isServed();
  empty();
  await until(() => server.logged('memory_enough').length, 'memory is enough again');
  assert.ok(server.logged('memory_enough')[0].refused >= 1);
  assert.equal((await readyz(server.slave)).status, 200);
  const ann = await server.login({ user: 'ann', channels: ['*'] });
  await ann.subscribe('c');
  await isServed();
}

const noRss = sanitized && 'a sanitizer gives no memory back';

test('memory is scarce by --memory-max', { skip: noRss }, async () => {
  let rss;
  await withServer(hogFlags, {}, async (server) => (rss = rssBytes(server.process.child.pid)));
  const max = rss + 64 * PIECE_BYTES;
  await withServer({ ...hogFlags, 'memory-max': max }, {}, async (server) => {
    const { isServed } = await victimOf(server);
    const empty = await fillMemory(server, 128);
    const [line] = server.logged('memory_scarce');
    assert.equal(line.limit_of, '--memory-max');
    assert.equal(line.limit, max);
    assert.ok(line.used >= 0.9 * max);
    await expectScarceAndHealed(server, empty, isServed);
  });
});

/** A control group for memory with a limit; or why there is none. */
function memoryGroup(bytes) {
  const v1 = '/sys/fs/cgroup/memory';
  const isV1 = fs.existsSync(`${v1}/memory.limit_in_bytes`);
  const folder = path.join(isV1 ? v1 : '/sys/fs/cgroup', `gusher-e2e-${process.pid}`);
  try {
    if (!isV1) fs.writeFileSync('/sys/fs/cgroup/cgroup.subtree_control', '+memory');
    fs.mkdirSync(folder);
    fs.writeFileSync(`${folder}/${isV1 ? 'memory.limit_in_bytes' : 'memory.max'}`, String(bytes));
  } catch (error) {
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 0 });
    return { why: `no control group for memory: ${error.message}` };
  }
  return {
    add: (pid) => fs.writeFileSync(`${folder}/cgroup.procs`, String(pid)),
    remove: () => fs.rmdirSync(folder),
  };
}

test('memory is scarce by a control group: nobody is killed', { skip: noRss }, async (t) => {
  // Beside it sanitizers and other machines' pages would make the numbers meaningless.
  const group = memoryGroup(96 * PIECE_BYTES);
  if (group.why) return t.skip(group.why);
  try {
    await withServer(hogFlags, {}, async (server) => {
      group.add(server.process.child.pid);
      const { isServed } = await victimOf(server);
      const empty = await fillMemory(server, 128);
      const [line] = server.logged('memory_scarce');
      assert.match(line.limit_of, /^the control group .*gusher-e2e-/);
      assert.equal(line.limit, 96 * PIECE_BYTES);
      await expectScarceAndHealed(server, empty, isServed);
    });
  } finally {
    await until(() => {
      try {
        return group.remove() ?? true;
      } catch {
        return false; // its last process is still ending
      }
    }, 'the control group is gone');
  }
});

test('memory is about to end: who takes nothing makes room', { skip: noRss }, async () => {
  let rss;
  await withServer({}, {}, async (server) => (rss = rssBytes(server.process.child.pid)));
  const flags = {
    'memory-max': rss + 64 * PIECE_BYTES,
    'send-queue-bytes': 32 * PIECE_BYTES,
    'send-queue-messages': 1000,
    'write-timeout': 600,
    'deflate-min': 0,
    workers: 1,
  };
  await withServer(flags, {}, async (server) => {
    const { isServed } = await victimOf(server);
    const stalled = [];
    for (let i = 0; i < 8; i++) {
      const raw = await server.rawSocket({ user: `slow${i}`, channels: ['*'] });
      raw.socket.pause();
      stalled.push(raw);
    }
    const data = JSON.stringify('x'.repeat(PIECE_BYTES / 2));
    for (let n = 0; !server.logged('sockets_shed').length; n++) {
      assert.ok(n < 400, 'nobody is closed');
      await server.post(`/push/user/app/slow${n % 8}`, { data });
    }
    await isServed();
    await until(() => server.logged('memory_enough').length, 'memory is enough again');
    await isServed();
    assert.ok((await server.log('sockets_shed'))[0].queued_bytes > PIECE_BYTES);
    for (const raw of stalled) raw.destroy();
  });
});

// ---- the log

/** A server whose log is not read: so its ports are given, and it is ready when it answers. */
async function withBlindServer(stderr, flags, body) {
  await onFreePorts(2, async (slave, master) => {
    const address = (port) => ({ host: '127.0.0.1', port });
    const all = {
      'public-pem-file': keys.publicFile,
      workers: 2,
      'api-listen': `127.0.0.1:${slave}`,
      'master-api-listen': `127.0.0.1:${master}`,
      ...flags,
    };
    const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const server = new Server(args, {}, wrapped(...stderr(`exec '${bin}' "$@"`)));
    server.slave = address(slave);
    server.master = address(master);
    try {
      await until(async () => {
        assert.ok(server.process.isRunning, 'it has ended');
        return (await readyz(server.slave).catch(() => null))?.status === 200;
      }, 'it serves');
      await body(server);
      await server.stop();
    } finally {
      server.kill();
    }
  });
}

/** Lines of the log, many of them. */
async function makeLines(server, n) {
  for (let i = 0; i < n; i++) await server.call('GET', '/app/channels', { query: { i } });
  for (let i = 0; i < n; i++) await (await server.login({ user: `u${i}` })).close(1000);
}

test('a log that nobody reads holds nobody up', async () => {
  const fifo = path.join(keys.freshFolder('log'), 'fifo');
  execFileSync('mkfifo', [fifo]);
  const reader = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const filler = fs.openSync(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  try {
    for (const bytes of [4096, 1])
      assert.throws(() => {
        for (;;) fs.writeSync(filler, Buffer.alloc(bytes, '\n'));
      }, /EAGAIN/);
    const flags = { 'log-level': 'debug' };
    await withBlindServer((run) => [`${run} 2>'${fifo}'`], flags, async (server) => {
      const { isServed } = await victimOf(server);
      await makeLines(server, 20);
      await isServed();
      // It is read again: all is there.
      let text = '';
      await until(() => {
        try {
          const chunk = Buffer.alloc(65536);
          text += chunk.toString('latin1', 0, fs.readSync(reader, chunk));
        } catch (error) {
          assert.equal(error.code, 'EAGAIN');
        }
        return (text.match(/ listening /g) ?? []).length === 2 && text.includes('socket_closed');
      }, 'the lines that waited');
      await isServed();
    });
  } finally {
    fs.closeSync(reader);
    fs.closeSync(filler);
  }
});

for (const [what, stderr] of [
  ['full disk', (run) => [`${run} 2>/dev/full`]],
  ['descriptor that is closed', (run) => [`${run} 2>&-`]],
  ['pipe whose reader is gone', (run, fifo) => [`exec 3<>'${fifo}' 4>'${fifo}' 3>&-`, `${run} 2>&4`]],
  ['file at its limit', (run, fifo) => ['ulimit -f 1', `${run} 2>'${fifo}.txt'`]],
]) {
  test(`the log goes to a ${what}`, async () => {
    const fifo = path.join(keys.freshFolder('log'), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const flags = { 'log-level': 'debug' };
    await withBlindServer((run) => stderr(run, fifo), flags, async (server) => {
      const { isServed } = await victimOf(server);
      await makeLines(server, 20);
      await isServed();
      // Nothing else has taken its place: lines would go there.
      assert.doesNotMatch(fs.readlinkSync(`/proc/${server.process.child.pid}/fd/2`), /anon|socket/);
    });
  });
}
