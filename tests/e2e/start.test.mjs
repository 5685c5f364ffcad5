// How the program begins and ends: commands, options, keys, --dev, signals.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { bin, environment, Process, root, run, Server, serverTest } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { requestText } from './support/raw.mjs';
import { until } from './support/wait.mjs';

const commands = ['all', 'slave', 'master', 'token', 'key', 'subscribe', 'bench'];
const key = ['--public-pem-file', keys.publicFile];
const anywhere = ['--api-listen', '127.0.0.1:0', '--master-api-listen', '127.0.0.1:0'];

/** A refusal says one sentence on standard error and nothing else. */
function assertRefused(result, code, sentence) {
  assert.equal(result.code, code, result.stderr);
  assert.match(result.stderr, sentence);
  assert.match(result.stderr, /^gusher: [^\n]+\n$/);
  assert.equal(result.stdout, '');
}

// ---- help and version

for (const command of [[], ...commands.map((name) => [name])]) {
  const name = ['gusher', ...command].join(' ');
  test(`${name} --help and --version`, async () => {
    const help = await run([...command, '--help']);
    assert.deepEqual([help.code, help.stderr], [0, '']);
    assert.match(help.stdout, new RegExp(`^gusher ${command[0] ?? ''}.*- `));
    const version = await run([...command, '--version']);
    assert.deepEqual([version.code, version.stderr], [0, '']);
    assert.match(version.stdout, /^gusher \d+\.\d+\.\d+\n$/);
  });
}

test('docs/CONFIG.md is what gusher options prints', async (t) => {
  const page = path.join(root, 'docs/CONFIG.md');
  const { code, stdout } = await run(['options']);
  assert.equal(code, 0);
  for (const command of commands) assert.match(stdout, new RegExp(`^## gusher ${command}$`, 'm'));
  if (!fs.existsSync(page)) return t.skip('there is no docs/CONFIG.md yet');
  assert.equal(stdout, fs.readFileSync(page, 'utf8'));
});

// ---- bad usage

const noFile = path.join(keys.folder, 'there-is-no-such-file');
const badLine = keys.writeFile('bad-line.env', 'GUSHER_WORKERS=1\nthis is no assignment\n');
const badUsage = [
  [['all', '--nonsense'], /unknown option "--nonsense"/],
  [['--nonsense=1'], /unknown option "--nonsense"/],
  [['all', 'stray'], /unexpected argument "stray"/],
  [['all', '-x'], /unexpected argument "-x"/],
  [['all', '--workers'], /--workers needs a value/],
  [['all', '--workers', 'many'], /--workers must be a whole number from 0 to 64, not "many"/],
  [['all', '--workers', '65'], /--workers must be a whole number from 0 to 64, not "65"/],
  [['all', '--workers=-1'], /--workers must be .*not "-1"/],
  [['all', '--workers', '2x'], /--workers must be .*not "2x"/],
  [['all', '--workers', ''], /--workers must be .*not ""/],
  [['all', '--max-body', '99999999999999999999'], /--max-body must be a whole number/],
  [['all', '--ping-interval', '0'], /--ping-interval must be .* from 1 to/],
  [['all', '--log-format', 'xml'], /--log-format must be one of text\|json, not "xml"/],
  [['all', '--idle-rule=maybe'], /--idle-rule must be on or off, not "maybe"/],
  [['all', '--env-file', noFile], /cannot read --env-file .*No such file/],
  [['all', '-e', badLine], /bad-line\.env line 2 is not NAME=value/],
  [['all', ...key, '--api-listen', 'nowhere'], /--api-listen must be HOST:PORT, not "nowhere"/],
  [['all', ...key, '--master-api-listen', '127.0.0.1:x'], /--master-api-listen must be HOST:PORT/],
  [
    ['all', ...key, '--master-api-listen', '0.0.0.0:0'],
    /everybody who reaches 0\.0\.0\.0:0: give it keys \(--master-keys-file.*--master-open on/,
  ],
  [
    ['all', ...key, '--api-listen', '[::]:0', '--master-api-listen', '[::]:0'],
    /everybody who reaches \[::\]:0/,
  ],
  [['key'], /the key needs a name: --name/],
  [['key', '--name', 'a b'], /name, apps and rights are words|line 1/],
  [['key', '--name', 'a', '--right', 'root'], /publish, query, admin/],
  [['all', ...key, '--dev'], /--dev makes its own key/],
  [['all'], /a public key is needed to verify JWTs: --public-pem-file \(GUSHER_PUBLIC_PEM_FILE\)/],
  [['slave', '--master-uri-prefix', '/x'], /unknown option/],
  [['master', '--api-uri-prefix', '/x'], /unknown option/],
  [['token', '--life', '-5'], /--life must be a whole number/],
  [['token', '--workers', '1'], /unknown option "--workers"/],
  [['subscribe', 'news'], /a token is needed: --token or GUSHER_TOKEN/],
  [['subscribe', '--token', 'x'], /at least one channel/],
];
for (const [args, sentence] of badUsage) {
  test(`refused with exit code 2: gusher ${args
    .slice(0, 3)
    .map((arg) => path.basename(arg))
    .join(' ')}`, async () => {
    assertRefused(await run(args), 2, sentence);
  });
}

test('a port over 65535 is refused, not folded into another one', async () => {
  for (const port of ['65536', '99999'])
    assertRefused(
      await run(['all', ...key, '--api-listen', `127.0.0.1:${port}`]),
      2,
      /--api-listen/,
    );
});

test('an unknown command is refused with the list of commands', async () => {
  const { code, stderr } = await run(['serve']);
  assert.equal(code, 2);
  assert.match(stderr, /^gusher: there is no command "serve"\n/);
  for (const command of commands) assert.match(stderr, new RegExp(`gusher \\[?${command}`));
});

test('bad values of variables are refused under the name they came by', async () => {
  const env = { GUSHER_PING_INTERVAL: 'soon' };
  assertRefused(
    await run(['all', ...key], { env }),
    2,
    /GUSHER_PING_INTERVAL must be .*not "soon"/,
  );
});

for (const [alias, name] of [['slave'], ['sl', 'slave'], ['master'], ['ma', 'master']]) {
  test(`gusher ${alias} alone says that it needs NATS`, async () => {
    const sentence = new RegExp(`${name ?? alias} alone needs NATS to reach the other processes`);
    assertRefused(await run([alias, ...key]), 2, sentence);
  });
}

// ---- where options come from

test('a flag beats a variable, that a line of the env file, that the default', async () => {
  const file = keys.writeFile('workers.env', '# three\nexport GUSHER_WORKERS="3"\n');
  const workers = async (flags, env) => {
    const server = await Server.start({ workers: undefined, ...flags }, { env });
    await server.stop();
    return server.workers;
  };
  assert.equal(await workers({ 'env-file': file, workers: 1 }, { GUSHER_WORKERS: '2' }), 1);
  assert.equal(await workers({ 'env-file': file }, { GUSHER_WORKERS: '2' }), 2);
  assert.equal(await workers({ 'env-file': file }), 3);
  assert.equal(await workers({}, { GUSHER_ENV_FILE: file }), 3);
  const standard = await workers({});
  assert.ok(standard >= 1 && standard <= 64, `${standard} workers by default`);
});

test('the variables of the original still mean the same', async () => {
  const env = {
    GUSHER_API_LISTEN: '127.0.0.1:0',
    GUSHER_API_URI_PREFIX: '/clients/',
    GUSHER_MASTER_API_LISTEN: '127.0.0.1:0',
    GUSHER_MASTER_URI_PREFIX: '/back',
    GUSHER_PUBLIC_PEM_FILE: keys.publicFile,
    GUSHER_RECEIVE_MAX_MESSAGE_SIZE: '100',
    GUSHER_REDIS_ADDR: '127.0.0.1:6379',
  };
  const server = await Server.start({ 'log-format': 'json' }, { env, standard: {} });
  try {
    Object.assign(server, { gcs: '/clients', api: '/back' });
    assert.equal((await server.callSlave('GET', '/ping')).text, 'pong');
    assert.equal((await server.call('GET', '/ping')).text, 'pong');
    const client = await server.login();
    client.send(' '.repeat(101));
    assert.equal((await client.closed()).code, 1009);
    assert.match(server.stderr, /GUSHER_REDIS_ADDR/, 'a variable without meaning is told');
    await server.stop();
  } finally {
    server.kill();
  }
});

// ---- keys and addresses that cannot be used

test('a key that cannot be read or is none ends the start with a sentence', async () => {
  const elliptic = crypto.generateKeyPairSync('ec', {
    namedCurve: 'secp256k1', // good for other things
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const files = [
    [noFile, /cannot read .*No such file/],
    [keys.folder, /cannot read .*directory/i],
    [keys.writeFile('text.pem', 'this is no key\n'), /gusher: ./],
    [keys.writeFile('empty.pem', ''), /gusher: ./],
    [keys.writeFile('ec.pem', elliptic.publicKey), /must be on P-256/],
  ];
  for (const [file, sentence] of files)
    assertRefused(await run(['all', '--public-pem-file', file, ...anywhere]), 1, sentence);
});

test('an address in use is told, whoever uses it', async () => {
  const other = net.createServer().listen(0, '127.0.0.1');
  await until(() => other.listening, 'a listener');
  const server = await Server.start();
  try {
    const sentence = /cannot listen on 127\.0\.0\.1:\d+: Address already in use/;
    const start = (flag, host, port) =>
      run(['all', ...key, ...anywhere, `--${flag}`, `${host}:${port}`]);
    assertRefused(await start('api-listen', '127.0.0.1', other.address().port), 1, sentence);
    // Workers share their port with each other, but never with a second server.
    const { slave, master } = server;
    assertRefused(await start('api-listen', slave.host, slave.port), 1, sentence);
    assertRefused(await start('master-api-listen', master.host, master.port), 1, sentence);
    assert.equal((await server.call('GET', '/ping')).text, 'pong');
    await server.stop();
  } finally {
    server.kill();
    other.close();
  }
});

// ---- --dev

const mode = (file) => (fs.statSync(file).mode & 0o777).toString(8);

/** Starts --dev and reads what it prints: { server, token, subscribe, push, query }. */
async function startDev(stateDir, program) {
  const server = await Server.start(
    { dev: true, 'public-pem-file': undefined, 'state-dir': stateDir },
    { program },
  );
  await server.process.line('stdout', /bychannel/);
  const { stdout } = server.process;
  const [subscribe] = /^ {2}.* subscribe .*$/m.exec(stdout);
  const [push, query] = stdout.match(/^ {2}curl .*$/gm);
  return { server, subscribe, push, query, token: /^ {2}(ey\S+)$/m.exec(stdout)[1] };
}

const shell = (line) => new Process('bash', ['-c', line], { env: environment() });

/** Pastes a curl command; without curl the same request is made here. */
async function pasteCurl(line) {
  if ((await shell('command -v curl').exit()).code === 0) {
    const curl = shell(`${line} --silent --show-error`);
    assert.equal((await curl.exit()).code, 0, curl.stderr);
    return curl.stdout;
  }
  const [, data, url] = /^ *curl (?:-d '(.*)' )?(\S+)$/.exec(line);
  const { hostname: host, port, pathname } = new URL(url);
  const form = data && Object.fromEntries(new URLSearchParams(data));
  return (await request({ host, port }, data ? 'POST' : 'GET', pathname, { form })).text;
}

/** The promise of the first page: paste three commands, see a message arrive. */
async function pasteAll({ subscribe, push, query }) {
  const listener = shell(`exec ${subscribe.trim()}`);
  try {
    await listener.line('stderr', /^subscribed: .*"news"/);
    assert.equal(
      await pasteCurl(push),
      '{"channel":"news","event":"greeting","data":{"hello":"world"}}',
    );
    assert.equal(
      await listener.line('stdout', /./),
      '{"channel":"news","event":"greeting","data":{"hello":"world"}}',
    );
    assert.equal(await pasteCurl(query), '["alice"]');
  } finally {
    listener.kill();
  }
}

test('--dev: the printed commands work when pasted, the keys are kept and are private', async () => {
  const folder = path.join(keys.freshFolder('dev'), 'below', 'state');
  const dev = await startDev(folder);
  try {
    await pasteAll(dev);
    assert.equal(mode(folder), '700');
    assert.equal(mode(path.join(folder, 'private.pem')), '600');
    assert.equal(mode(path.join(folder, 'public.pem')), '644');
    const { claims } = keys.verify(dev.token, fs.readFileSync(path.join(folder, 'public.pem')));
    assert.deepEqual(claims.gusher, {
      user_id: 'alice',
      channels: ['*'],
      app_key: 'demo',
      remotes: {},
    });
    await dev.server.stop();
  } finally {
    dev.server.kill();
  }

  // The next start has the same key: yesterday's token is still good, and so is gusher token.
  const again = await startDev(folder);
  try {
    const made = await run(['token', '--state-dir', folder]);
    assert.equal(made.code, 0, made.stderr);
    for (const token of [dev.token, made.stdout.trim()])
      await again.server.connect(again.server.url('demo', token));
    await again.server.stop();
  } finally {
    again.server.kill();
  }
});

test('--dev: the printed commands work from a folder with a blank in its name', async () => {
  const folder = path.join(keys.freshFolder('dev'), 'my programs');
  fs.mkdirSync(folder);
  fs.symlinkSync(bin, path.join(folder, 'gusher'));
  const dev = await startDev(path.join(folder, 'state'), path.join(folder, 'gusher'));
  try {
    await pasteAll(dev);
    await dev.server.stop();
  } finally {
    dev.server.kill();
  }
});

test('--dev refuses a private key that others can read, and one half without the other', async () => {
  const folder = keys.freshFolder('dev');
  const files = ['private.pem', 'public.pem'].map((name) => path.join(folder, name));
  const args = ['all', '--dev', '--state-dir', folder, ...anywhere];
  const made = await run(['token', '--state-dir', folder]);
  assert.equal(made.code, 0, made.stderr);
  fs.chmodSync(files[0], 0o640);
  assertRefused(await run(args), 1, /Others have access to this private key/);
  fs.unlinkSync(files[0]);
  assertRefused(await run(args), 1, /private\.pem, is not there/);
});

// ---- gusher token

async function token(...args) {
  const made = await run(['token', ...args]);
  assert.deepEqual([made.code, made.stderr], [0, '']);
  return made.stdout.trim();
}

test('gusher token signs what its options say', async () => {
  const publicPem = fs.readFileSync(keys.publicFile);
  const jwt = await token(
    ...['--key-file', keys.privateFile, '--app', 'shop', '--user', 'Zoë "Z"', '--life', '60'],
    ...['--channel', 'news', '--channel', 'room*', '--remote', 'one', '--remote', 'two'],
  );
  const now = Date.now() / 1000;
  const { header, claims } = keys.verify(jwt, publicPem);
  assert.equal(header.alg, 'RS256');
  assert.deepEqual(claims.gusher, {
    user_id: 'Zoë "Z"',
    channels: ['news', 'room*'],
    app_key: 'shop',
    remotes: { one: true, two: true },
  });
  assert.ok(Math.abs(claims.iat - now) < 30, 'iat is now');
  assert.equal(claims.exp, claims.iat + 60);

  const bare = keys.verify(await token('--key-file', keys.privateFile), publicPem).claims;
  assert.deepEqual(bare.gusher, { user_id: '', channels: [], app_key: 'demo', remotes: {} });
  assert.equal(bare.exp, bare.iat + 86400);

  const eternal = await token('--key-file', keys.privateFile, '--life', '0');
  assert.ok(!('exp' in keys.verify(eternal, publicPem).claims), 'no end');

  const env = { GUSHER_PRIVATE_PEM_FILE: keys.privateFile };
  keys.verify((await run(['token'], { env })).stdout.trim(), publicPem);
});

test('gusher token without a usable key says so', async () => {
  assertRefused(await run(['token', '--key-file', noFile]), 1, /cannot read/);
  assertRefused(await run(['token', '--key-file', keys.publicFile]), 1, /gusher: ./);
});

serverTest('a token of gusher token opens a socket and decodes', {}, async (server) => {
  const jwt = await token(
    '--key-file',
    keys.privateFile,
    '--app',
    'a',
    '--user',
    'u',
    '--channel',
    'c',
  );
  const client = await server.connect(server.url('a', jwt));
  await client.subscribe('c');
  assert.equal(
    (await server.call('POST', '/decode', { form: { data: jwt } })).json().gusher.user_id,
    'u',
  );
});

serverTest('gusher subscribe tells why it could not listen', {}, async (server) => {
  const jwt = keys.sign(keys.claims({ channels: ['allowed'] }));
  const { host, port } = server.slave;
  const url = (app) => `ws://${host}:${port}/gcs/ws/${app}`;
  const listen = (app, ...args) => run(['subscribe', '--url', url(app), '--token', jwt, ...args]);
  assertRefused(await listen('other', 'allowed'), 1, /refused.*401.*appkey error/);
  assertRefused(await listen('app', 'forbidden'), 1, /does not permit.*forbidden/);
});

// ---- the end

serverTest(
  'SIGTERM: sockets are told, replies in flight are finished, nobody new comes in',
  {},
  async (server) => {
    const client = await server.login({ user: 'u' });
    const idle = await server.raw(server.master);
    idle.write(requestText('GET', '/api/ping'));
    await idle.reply();
    const half = await server.raw(server.master);
    const body = 'data=1';
    const text = requestText('POST', '/api/push/app/c/e', {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': body.length,
      Expect: '100-continue',
    });
    half.write(text);
    assert.equal((await half.reply()).status, 100, 'the head has been read');

    server.terminate();
    assert.deepEqual(await client.closed(), { code: 1001, reason: 'shutdown: server is shutting down' });
    await idle.end();
    for (const address of [server.slave, server.master]) {
      await until(
        () =>
          server.raw(address).then(
            (raw) => raw.destroy(),
            () => true,
          ),
        'connections are refused',
      );
    }
    half.write(body);
    const reply = await half.reply();
    assert.deepEqual([reply.status, reply.headers.connection], [200, 'close']);
    assert.equal(reply.body, '{"channel":"c","event":"e","data":1}');
    await half.end();
  },
);

serverTest('SIGINT ends as cleanly as SIGTERM', {}, async (server) => {
  const client = await server.login();
  server.terminate('SIGINT');
  assert.equal((await client.closed()).code, 1001);
  assert.deepEqual(await server.process.exit(), { code: 0, signal: null });
});

/** A socket that takes the close frame and leaves its own side open. */
async function stubbornSocket(server) {
  const raw = await server.rawSocket();
  return async () => {
    assert.deepEqual(await raw.close(), { code: 1001, reason: 'shutdown: server is shutting down' });
  };
}

serverTest('a client that never closes its side cannot hold up the end', {}, async (server) => {
  const closed = await stubbornSocket(server);
  const began = Date.now();
  server.terminate();
  await closed();
  assert.deepEqual(await server.process.exit(), { code: 0, signal: null });
  assert.ok(Date.now() - began < 5000, `the end took ${Date.now() - began} ms`);
});

for (const second of ['SIGTERM', 'SIGINT']) {
  test(`a second signal, ${second}, ends at once`, async () => {
    const server = await Server.start();
    try {
      const closed = await stubbornSocket(server);
      server.terminate();
      await closed();
      const began = Date.now();
      server.process.signal(second);
      // Without it the open socket would be given two seconds.
      assert.equal((await server.process.exit()).signal, second);
      assert.ok(Date.now() - began < 1000, `the end took ${Date.now() - began} ms`);
    } finally {
      server.kill();
    }
  });
}

// ---- what others on the machine see

const proc = (server, file) =>
  fs.readFileSync(`/proc/${server.process.child.pid}/${file}`, 'utf8');

serverTest(
  'secrets are wiped from the arguments',
  { 'ticket-secret': 'a secret of sixteen bytes', 'remote-url': 'redis://:passw0rd@127.0.0.1:9/0' },
  async (server) => {
    const line = proc(server, 'cmdline').split('\0');
    assert.equal(line[line.indexOf('--ticket-secret') + 1], 'x'.repeat(25));
    assert.ok(!line.some((word) => /secret of|passw0rd/.test(word)), line.join(' '));
    // They are in force all the same.
    assert.match(await server.auth(keys.sign(keys.claims({ user: 'a' }))), /^[0-9a-f-]{36}$/);
  },
);

serverTest(
  'nor is the password of the address of a key set there',
  { 'jwks-url': 'http://user:passw0rd@127.0.0.1:9/jwks' },
  async (server) => {
    assert.ok(!/passw0rd/.test(proc(server, 'cmdline')));
    assert.ok(!/passw0rd/.test(server.stderr));
  },
);

serverTest('metrics count the descriptors that are open', {}, async (server) => {
  // Connections may come and go between the two.
  await until(async () => {
    const { text } = await request(server.slave, 'GET', '/metrics');
    const open = fs.readdirSync(`/proc/${server.process.child.pid}/fd`).length;
    const told = Number(/^process_open_fds (\d+)$/m.exec(text)[1]);
    return Math.abs(told - open) <= 2;
  }, 'the same number');
});

serverTest('no memory is dumped unless asked for', {}, async (server) => {
  assert.match(proc(server, 'limits'), /^Max core file size +0 +0 /m);
});

serverTest('dumps may be asked for', { 'core-dumps': 'on' }, async (server) => {
  const own = fs.readFileSync('/proc/self/limits', 'utf8');
  const limit = /^Max core file size.*$/m;
  assert.equal(limit.exec(proc(server, 'limits'))[0], limit.exec(own)[0]);
});

const notRoot = process.getuid() !== 0 && 'only root can become somebody else';

test('root becomes somebody else once the ports are bound', { skip: notRoot }, async () => {
  const publicFile = path.join('/tmp', `gusher-test-public-${process.pid}.pem`);
  fs.copyFileSync(keys.publicFile, publicFile);
  fs.chmodSync(publicFile, 0o644);
  const server = await Server.start({ user: 'nobody', 'public-pem-file': publicFile });
  try {
    const nobody = Number(/^nobody:[^:]*:(\d+):/m.exec(fs.readFileSync('/etc/passwd'))[1]);
    for (const task of fs.readdirSync(`/proc/${server.process.child.pid}/task`)) {
      const status = proc(server, `task/${task}/status`);
      assert.match(status, new RegExp(`^Uid:(\\t${nobody}){4}$`, 'm'));
      assert.doesNotMatch(/^Groups:.*$/m.exec(status)[0], /\b0\b/);
    }
    assert.ok(await server.login({ user: 'a' }));
    server.process.signal('SIGHUP');
    await until(() => server.logged('reloaded').length, 'the reload');
    await server.stop();
  } finally {
    server.kill();
    fs.rmSync(publicFile);
  }
});

test('nobody becomes somebody who is not there', async () => {
  const result = await run(['all', ...key, ...anywhere, '--user', 'no-such-user']);
  assertRefused({ ...result, stderr: result.stderr.replace(/^\d{4}-.*\n/gm, '') }, 1, /there is no user/);
});
