// Keys of the master: who may call it, and how keys come and go while it runs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { run, Server, serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { request } from './support/http.mjs';
import { Raw, requestText } from './support/raw.mjs';
import { until } from './support/wait.mjs';

let files = 0;
const newFile = () => path.join(keys.folder, `master-keys-${files++}`);
const bearer = (key) => (key ? { Authorization: `Bearer ${key}` } : {});

/** Makes a key in a file by the command that users have. */
async function addKey(file, name, ...more) {
  const { code, stdout, stderr } = await run(['key', '--name', name, '--keys-file', file, ...more]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^gk_[\w-]{43}\n$/);
  return stdout.trim();
}

function removeKey(file, name) {
  const lines = fs.readFileSync(file, 'utf8').split('\n');
  fs.writeFileSync(file, lines.filter((line) => !line.startsWith(`${name} `)).join('\n'));
}

async function reload(server, event = 'reloaded') {
  const before = server.logged(event).length;
  server.process.signal('SIGHUP');
  await until(() => server.logged(event).length > before, event);
}

const push = (server, key, app = 'app') =>
  server.call('POST', `/push/${app}/c/e`, { form: { data: '1' }, headers: bearer(key) });

const statusOf = async (reply) => (await reply).status;

test('gusher key prints a key and its line', async () => {
  const { code, stdout } = await run(['key', '--name', 'shop', '--app', 'a', '--app', 'b']);
  assert.equal(code, 0);
  const [, key, line] = /\n {2}(gk_\S+)\n[^]*\n {2}(shop .*)\n$/.exec(stdout);
  assert.match(line, /^shop sha256:[0-9a-f]{64} a,b publish,query$/);
  const file = newFile();
  fs.writeFileSync(file, `# the shop's\n${line}\n`);
  const server = await Server.start({ 'master-keys-file': file });
  try {
    assert.equal(await statusOf(push(server, key, 'a')), 200);
    assert.equal(await statusOf(push(server, key, 'c')), 403);
    await server.stop();
  } finally {
    server.kill();
  }
});

test('gusher key says what is wrong with its words', async () => {
  for (const words of [['--name', 'a b'], ['--name', 'a', '--app', 'b c'], ['--name', 'a\n#']]) {
    const { code, stderr } = await run(['key', ...words]);
    assert.deepEqual([code, stderr], [2, 'gusher: name, apps and rights are words without blanks\n']);
  }
  assert.equal((await run(['key', '--name', '#a'])).code, 2);
});

test('only known keys call the master', async () => {
  const file = newFile();
  const publisher = await addKey(file, 'publisher', '--app', 'app', '--right', 'publish');
  const reader = await addKey(file, 'reader', '--right', 'query');
  const server = await Server.start({ 'master-keys-file': file });
  try {
    const client = await server.login({ user: 'user', channels: ['c'] });
    await client.subscribe('c');
    for (const [key, status, challenge] of [
      [undefined, 401, 'Bearer'],
      ['gk_guess', 401, 'Bearer error="invalid_token"'],
      [reader, 403, 'Bearer error="insufficient_scope"'],
    ]) {
      const reply = await push(server, key);
      assert.equal(reply.status, status);
      assert.equal(reply.headers['www-authenticate'], challenge);
      assert.match(reply.text, /^[a-z][^\n]+\n$/i);
    }
    assert.equal(await statusOf(push(server, publisher)), 200);
    assert.equal((await client.nextJson()).data, 1);
    const online = (key) => server.call('GET', '/app/online', { headers: bearer(key) });
    assert.equal(await statusOf(online(publisher)), 403);
    assert.deepEqual((await online(reader)).json(), ['user']);
    // The slave's side wants none, nor do those who watch over it.
    assert.equal(await statusOf(server.callSlave('GET', '/ping')), 200);
    assert.equal(await statusOf(server.call('GET', '/ping')), 200);
    // The log says who was refused and why, and no key.
    const reasons = (await server.log('master_refused', 4)).map(({ status, key }) => [status, key]);
    assert.deepEqual(reasons, [
      [401, ''],
      [401, ''],
      [403, 'reader'],
      [403, 'publisher'],
    ]);
    for (const secret of [publisher, reader, 'gk_guess'])
      assert.ok(!server.stderr.includes(secret), 'a key is in the log');
    await server.stop();
  } finally {
    server.kill();
  }
});

test('a body is not waited for, nor kept, of whom is refused', async () => {
  const file = newFile();
  const key = await addKey(file, 'publisher', '--app', 'app');
  const server = await Server.start({ 'master-keys-file': file });
  try {
    const begin = async (headers, path = '/api/push/app/c/e') => {
      const raw = await Raw.connect(server.master);
      const type = 'application/x-www-form-urlencoded';
      const all = { 'Content-Type': type, 'Content-Length': 10_000_000, ...headers };
      raw.write(requestText('POST', path, all));
      return raw;
    };
    const refused = async (status, headers, path) => {
      const raw = await begin(headers, path);
      const reply = await raw.reply();
      assert.deepEqual([reply.status, reply.headers.connection], [status, 'close']);
      raw.destroy();
    };
    await refused(401, {});
    await refused(401, { Expect: '100-continue' });
    await refused(401, { 'Content-Length': null, 'Transfer-Encoding': 'chunked' });
    await refused(401, bearer('gk_guess'));
    await refused(403, bearer(key), '/api/push/other/c/e');
    await refused(403, bearer(key), '/api/kick/user/app/u');
    await refused(404, bearer(key), '/api/nothing');
    await refused(405, bearer(key), '/api/app/online');
    const good = await begin({ 'Content-Length': 6, ...bearer(key) });
    good.write('data=1');
    assert.equal((await good.reply()).status, 200);
    good.destroy();
    await server.stop();
  } finally {
    server.kill();
  }
});

test('metrics are for a key that may query, and else for this machine', async () => {
  const file = newFile();
  const publisher = await addKey(file, 'publisher', '--right', 'publish');
  const reader = await addKey(file, 'reader', '--right', 'query');
  const some = await addKey(file, 'some', '--right', 'query', '--app', 'shop');
  const server = await Server.start({ 'master-keys-file': file });
  try {
    for (const to of [server.slave, server.master]) {
      const status = async (headers) => (await request(to, 'GET', '/metrics', { headers })).status;
      assert.equal(await status({}), 401);
      assert.equal(await status(bearer(publisher)), 403);
      assert.equal(await status(bearer(some)), 403, 'they are of all apps');
      assert.equal(await status(bearer(reader)), 200);
    }
    await server.stop();
  } finally {
    server.kill();
  }
});

serverTest(
  'without keys metrics are for the master and for who comes by no proxy',
  { 'proxy-protocol': '127.0.0.9' },
  async (server) => {
    const status = async (to, headers = {}) => (await request(to, 'GET', '/metrics', { headers })).status;
    const forwarded = { 'X-Forwarded-For': '127.0.0.1' };
    assert.equal(await status(server.slave), 200);
    assert.equal(await status(server.slave, forwarded), 403);
    assert.equal(await status(server.slave, { 'X-Forwarded-For': '' }), 403);
    assert.equal(await status(server.master, forwarded), 200);
    const raw = await Raw.connect({ ...server.slave, localAddress: '127.0.0.9' });
    raw.write(`PROXY TCP4 9.9.9.9 1.1.1.1 1 2\r\n${requestText('GET', '/metrics')}`);
    assert.equal((await raw.reply()).status, 403);
    raw.destroy();
  },
);

test('keys come and go without a restart, and without a good request refused', async () => {
  const file = newFile();
  const first = await addKey(file, 'first');
  const server = await Server.start({ 'master-keys-file': file });
  try {
    let rotating = true;
    const refused = [];
    const pushOn = async () => {
      for (let n = 0; rotating || n < 20; n++) {
        const reply = await push(server, first);
        if (reply.status !== 200) refused.push(reply);
      }
    };
    const pushing = [pushOn(), pushOn(), pushOn(), pushOn()];
    const second = await addKey(file, 'second');
    assert.equal(await statusOf(push(server, second)), 401);
    await reload(server);
    await until(async () => (await statusOf(push(server, second))) === 200, 'the second key');
    for (let n = 0; n < 5; n++) await reload(server);
    rotating = false;
    await Promise.all(pushing);
    assert.deepEqual(refused, []);
    removeKey(file, 'first');
    await reload(server);
    await until(async () => (await statusOf(push(server, first))) === 401, 'the end of the first');
    assert.equal(await statusOf(push(server, second)), 200);
    await server.stop();
  } finally {
    server.kill();
  }
});

test('a broken file changes nothing', async () => {
  const file = newFile();
  const key = await addKey(file, 'good');
  const server = await Server.start({ 'master-keys-file': file });
  try {
    fs.appendFileSync(file, 'bad sha256:12 * publish\n');
    await reload(server, 'not_reloaded');
    assert.match(server.logged('not_reloaded')[0].reason, /master-keys-\d+, line 2: behind the name/);
    assert.equal(await statusOf(push(server, key)), 200);
    fs.rmSync(file);
    await reload(server, 'not_reloaded');
    assert.equal(await statusOf(push(server, key)), 200);
    await server.stop();
  } finally {
    server.kill();
  }
  const { code, stderr } = await run([
    ...['all', '--public-pem-file', keys.publicFile, '--master-keys-file', file],
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /^gusher: cannot read .*master-keys-\d+: No such file or directory\n$/);
});

for (const flags of [{ 'master-open': 'on' }, { 'master-keys-file': newFile() }]) {
  test(`other addresses are served with ${Object.keys(flags)}`, async () => {
    for (const file of Object.values(flags)) if (file !== 'on') fs.writeFileSync(file, '');
    const server = await Server.start({ 'master-api-listen': '0.0.0.0:0', ...flags });
    try {
      server.master.host = '127.0.0.1';
      assert.equal(await statusOf(push(server)), flags['master-open'] ? 200 : 401);
      await server.stop();
    } finally {
      server.kill();
    }
  });
}

serverTest('SIGHUP without files that changed disturbs nobody', {}, async (server) => {
  const client = await server.login({ channels: ['c'] });
  await client.subscribe('c');
  for (let n = 0; n < 10; n++) {
    await reload(server);
    await server.push('app', 'c', 'e', String(n));
    assert.equal((await client.nextJson()).data, n);
  }
});
