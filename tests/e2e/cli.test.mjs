// The commands that ask a master for something: publish, online, channels, kick.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { certificate } from './support/certificates.mjs';
import { bin, environment, freeAddress, Process, run, serverTest, withServer } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { until } from './support/wait.mjs';

const at = ({ host, port, tls }) => ({ GUSHER_MASTER: `http${tls ? 's' : ''}://${host}:${port}/api`, GUSHER_APP: 'app' });

/** Runs a command against the server's master; gives what it printed, or asserts how it failed. */
async function ask(server, args, { code = 0, stderr = '', env = {} } = {}) {
  const ended = await run(args, { env: { ...at(server.master), ...env } });
  if (stderr instanceof RegExp) assert.match(ended.stderr, stderr);
  else assert.equal(ended.stderr, stderr);
  assert.equal(ended.code, code);
  return ended.stdout;
}

/** The same with something on standard input. */
function piped(server, args, input) {
  return new Promise((resolve, reject) => {
    const child = spawn(bin, args, { env: environment(at(server.master)) });
    let stdout = '';
    child.stdout.on('data', (text) => (stdout += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout }));
    child.stdin.end(input);
  });
}

serverTest('gusher publish, to all kinds of places', {}, async (server) => {
  const ann = await server.login({ user: 'ann' });
  await ann.subscribe('news/world', 'c');
  const got = async (channel, event, data) =>
    assert.deepEqual(await ann.nextJson(), { channel, event, data });
  assert.deepEqual(JSON.parse(await ask(server, ['publish', 'news/world', '{"a":[1,"ü"]}'])), {
    channel: 'news/world',
    event: 'message',
    data: { a: [1, 'ü'] },
  });
  await got('news/world', 'message', { a: [1, 'ü'] });
  await ask(server, ['publish', '--channel', 'c', '--event', 'e', '--data', 'a text & more=%']);
  await got('c', 'e', 'a text & more=%');
  await ask(server, ['publish', '--pattern', '^c$', '--data=-1.5e3']);
  await got('c', 'message', -1500);
  await ask(server, ['publish', '--user', 'ann', '"for ann"']);
  assert.equal(await ann.nextJson(), 'for ann');
  await ask(server, ['publish', '--socket', await ann.socketId(), '"for one"']);
  assert.equal(await ann.nextJson(), 'for one');
  for (const args of [['publish', 'c'], ['publish', 'c', '-']]) {
    const { code, stdout } = await piped(server, args, '{"from":"a pipe"}\n');
    assert.equal(code, 0, stdout);
    await got('c', 'message', { from: 'a pipe' });
  }
  await server.assertSilent(ann);
});

serverTest('gusher online, channels and kick', {}, async (server) => {
  const ann = await server.login({ user: 'ann' });
  const bob = await server.login({ user: 'bob' });
  const cyd = await server.login({ user: 'cyd/x' });
  await ann.subscribe('a b', 'c');
  await cyd.subscribe('c');
  const lines = async (...args) => (await ask(server, args)).split('\n').slice(0, -1).sort();
  assert.deepEqual(await lines('online'), ['ann', 'bob', 'cyd/x']);
  assert.deepEqual(await lines('online', 'c'), ['ann', 'cyd/x']);
  assert.deepEqual(await lines('online', '--channel', 'a b', '--count'), ['1']);
  assert.deepEqual(await lines('channels'), ['a b', 'c']);
  assert.equal(await ask(server, ['channels', '--count']), '2\n');
  assert.deepEqual(JSON.parse(await ask(server, ['channels', '--json'])).sort(), ['a b', 'c']);
  assert.equal(await ask(server, ['channels', '--app', 'other']), '');
  await ask(server, ['kick', '--user', 'cyd/x', '--reason', 'go & rest']);
  assert.deepEqual(await cyd.closed(), { code: 4002, reason: 'go & rest' });
  await ask(server, ['kick', '--socket', await bob.socketId()]);
  assert.equal((await bob.closed()).code, 4002);
  await ask(server, ['kick', '--everybody']);
  assert.equal((await ann.closed()).code, 4002);
  assert.equal(await ask(server, ['online', '--count']), '0\n');
});

serverTest('what is wrong is said in a sentence', {}, async (server) => {
  const usage = { code: 2 };
  await ask(server, ['publish'], { ...usage, stderr: /^gusher: say where to: a channel/ });
  await ask(server, ['publish', 'c', '1', '--user', 'ann'], { ...usage, stderr: /^gusher: say where to/ });
  await ask(server, ['publish', 'c', '1', 'more'], { ...usage, stderr: /unexpected argument "more"/ });
  await ask(server, ['kick'], { ...usage, stderr: /^gusher: say whom/ });
  await ask(server, ['channels', 'x'], { ...usage, stderr: /unexpected argument "x"/ });
  await ask(server, ['publish', '--pattern', '(', '1'], {
    code: 1,
    stderr: 'gusher: the master answers 400: channel_pattern cant regex\n',
  });
  await ask(server, ['online', '--master', `http://${await freeAddress()}/api`], {
    code: 1,
    stderr: /^gusher: http:\/\/127.0.0.1:\d+\/api: Couldn't connect to server\n$/,
  });
});

test('a master with keys and TLS is asked, too', async () => {
  const main = certificate(['127.0.0.1']);
  const file = path.join(keys.folder, 'cli-keys');
  const made = await run(['key', '--name', 'all', '--right', 'query', '--keys-file', file]);
  const key = made.stdout.trim();
  const flags = { 'master-keys-file': file, 'tls-cert-file': main.certFile, 'tls-key-file': main.keyFile };
  await withServer(
    flags,
    async (server) => {
      const trust = ['--ca-file', main.certFile];
      assert.equal(await ask(server, ['online', '--count', ...trust], { env: { GUSHER_MASTER_KEY: key } }), '0\n');
      await ask(server, ['online', ...trust], {
        code: 1,
        stderr: 'gusher: the master answers 401: a key is needed: Authorization: Bearer KEY\n',
      });
      await ask(server, ['publish', 'c', '1', ...trust, '--master-key', key], {
        code: 1,
        stderr: 'gusher: the master answers 403: the key does not have the right for this\n',
      });
      await ask(server, ['online'], { code: 1, stderr: /certificate/ });
    },
    { tls: { ca: main.cert } },
  );
});

// ---- gusher subscribe

serverTest('gusher subscribe --json: an object a line, whatever comes', {}, async (server) => {
  const url = server.url('app', '').split('?')[0];
  const token = keys.sign(keys.claims({ user: 'ann' }));
  const listener = new Process(bin, ['subscribe', 'c', '"ü/', '--json', '--url', url], {
    env: environment({ GUSHER_TOKEN: token }),
  });
  const next = () => listener.line('stdout', /./);
  await listener.line('stderr', /^subscribed: .*"c"/);
  await listener.line('stderr', /^subscribed: .*ü/);
  // As it came: the order of members and what no number can hold. Only line feeds are none any more.
  await server.push('app', 'c', 'e', '{"b":1e400,\r\n "a": "x\\n<&"}');
  assert.equal(await next(), '{"channel":"c","event":"e","data":{"b":1e400,   "a": "x\\n<&"}}');
  await server.push('app', '"ü/', 'gusher.subscribe', 'text');
  assert.deepEqual(JSON.parse(await next()), { channel: '"ü/', event: 'gusher.subscribe', data: 'text' });
  await server.post('/push/user/app/ann', { data: '{"event":"letter","data":[1]}' });
  assert.equal(await next(), '{"channel":null,"event":"letter","data":[1]}');
  for (const data of ['[1,2]', '"text"', 'null', '{"event":1,"data":2}', '{"data":{"channel":"c"}}']) {
    await server.post('/push/user/app/ann', { data });
    assert.equal(await next(), `{"channel":null,"event":null,"data":${data}}`);
  }
  await server.post('/add/channel/user/app/ann', { data: 'more' });
  assert.equal(await next(), '{"channel":null,"event":"gusher.addchannel","data":{"channel":"more"}}');
  await server.post('/kick/user/app/ann', { reason: 'enough' });
  assert.equal((await listener.exit()).code, 0);
  assert.match(listener.stderr, /the server closed: 4002 enough/);
});

// ---- gusher check

test('gusher check: what is well, and what is wrong, in sentences', async () => {
  const check = async (...args) => {
    const { code, stdout, stderr } = await run(['check', ...args]);
    return { code, stderr, lines: stdout.trim().split('\n') };
  };
  const free = ['--api-listen', await freeAddress(), '--master-api-listen', await freeAddress()];
  const well = await check('all', '--public-pem-file', keys.publicFile, ...free);
  assert.deepEqual([well.code, well.stderr], [0, '']);
  assert.ok(well.lines.includes('ok    1 public key to verify JWTs'), well.lines);
  assert.equal(well.lines.at(-1), 'It would start.');

  await withServer({}, async (server) => {
    const { host, port } = server.slave;
    const soon = certificate(['x.test'], { days: 2 });
    const wrong = await check(
      ...['all', '--public-pem-file', '/nonexistent/public.pem', '--user', 'nobody-of-that-name'],
      ...['--tls-cert-file', soon.certFile, '--tls-key-file', keys.privateFile],
      ...['--bans-file', '/nonexistent/bans', '--nats', `nats://${await freeAddress()}`],
      ...['--remote-url', `redis://${await freeAddress()}/0`],
      ...['--api-listen', `${host}:${port}`, '--master-api-listen', await freeAddress()],
    );
    assert.equal(wrong.code, 1);
    const complaints = wrong.lines.filter((line) => line.startsWith('wrong '));
    for (const about of [
      /cannot listen on .*Address already in use \(is gusher running already\?\)$/,
      /--user: there is no user nobody-of-that-name/,
      /\/nonexistent\/public.pem/,
      /is not the key of/,
      /--bans-file: no file can be made in \/nonexistent/,
      /NATS does not let us in within 5 s/,
      /--remote-url: 127.0.0.1:\d+: Connection refused/,
    ])
      assert.ok(complaints.some((line) => about.test(line)), `${about} in\n${wrong.lines.join('\n')}`);
    assert.equal(complaints.length, 7, wrong.lines.join('\n'));
    assert.equal(wrong.lines.at(-1), '7 things are wrong.');
  });
  const usage = await check('slave');
  assert.equal(usage.code, 2);
  assert.match(usage.stderr, /slave alone needs NATS|a public key is needed/);
  assert.equal((await check('token')).code, 2);
});

// ---- what shells and manuals read

const commands = ['all', 'slave', 'master', 'publish', 'subscribe', 'online', 'channels', 'kick', 'top', 'token', 'key', 'bench'];

/** What bash offers at the end of a line. */
function completed(line) {
  const words = line.split(' ');
  const script = `source <("$0" completions bash)
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
    _gusher; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script, bin], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

test('bash completes commands, flags and values', () => {
  for (const name of commands) assert.ok(completed('gusher ').includes(name), name);
  assert.deepEqual(completed('gusher pub'), ['publish']);
  assert.deepEqual(completed('gusher all --log-f'), ['--log-format']);
  assert.deepEqual(completed('gusher all --log-format '), ['text', 'json']);
  assert.deepEqual(completed('gusher master --api-l'), []);
  assert.deepEqual(completed('gusher check s'), ['slave']);
  assert.deepEqual(completed('gusher check slave --api-l'), ['--api-listen']);
  assert.deepEqual(completed('gusher publish --us'), ['--user']);
  assert.deepEqual(completed(`gusher all --public-pem-file ${keys.publicFile.slice(0, -2)}`), [keys.publicFile]);
});

test('the completions of other shells are whole, and a shell nobody knows is refused', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout } = await run(['completions', shell]);
    assert.equal(code, 0);
    for (const name of commands) assert.match(stdout, new RegExp(`\\b${name}\\b`));
    // Where there is such a shell it judges.
    const judged = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
    if (!judged.error) assert.equal(judged.status, 0, judged.stderr);
  }
  assert.equal((await run(['completions', 'tcsh'])).code, 2);
});

test('every command has a manual page that roff reads without a complaint', async () => {
  for (const name of ['', ...commands]) {
    const { code, stdout } = await run(['man', ...(name ? [name] : [])]);
    assert.equal(code, 0);
    assert.match(stdout, /^\.TH gusher/);
    const { code: helped, stdout: help } = await run([...(name ? [name] : []), '--help']);
    assert.equal(helped, 0);
    const flags = name ? help.match(/^ {2}--[\w-]+/gm).filter((flag) => !/--(help|version)/.test(flag)) : [];
    for (const flag of flags)
      assert.ok(stdout.includes(flag.trim().replaceAll('-', '\\-')), `${flag} in the page of ${name}`);
    const read = spawnSync('groff', ['-man', '-ww', '-z', '-Tutf8'], { input: stdout, encoding: 'utf8' });
    if (!read.error) assert.equal(read.stderr, '', name);
  }
  assert.equal((await run(['man', 'nothing'])).code, 2);
});

// ---- gusher top

serverTest('gusher top, piped: a picture a round', {}, async (server) => {
  const ann = await server.login({ user: 'ann' });
  await ann.subscribe('c');
  const { host, port } = server.master;
  const gone = await freeAddress();
  const { code, stdout } = await run(['top', `http://${host}:${port}`, `http://${gone}`, '--rounds', '1']);
  assert.equal(code, 0);
  const lines = stdout.split('\n');
  assert.match(lines[0], /^node +sockets +subscr/);
  assert.match(lines[1], new RegExp(`^${host}:${port} +1 +1 `));
  assert.match(lines[2], new RegExp(`^${gone} .*Couldn't connect`));
  assert.match(lines[3], /^all +1 +1 /);
});

serverTest('gusher top on a terminal goes on, shows what happens, and ends at q', {}, async (server) => {
  const ann = await server.login({ user: 'ann' });
  await ann.subscribe('c');
  const { host, port } = server.master;
  const name = `gusher-top-${process.pid}`;
  const tmux = (...args) => execFileSync('tmux', ['-L', name, ...args], { encoding: 'utf8', env: environment() });
  tmux('-f', '/dev/null', 'new-session', '-d', '-s', name, '-x', '110', '-y', '20', `${bin} top http://${host}:${port}`, ';', 'set-option', '-g', 'remain-on-exit', 'on');
  try {
    const screen = () => tmux('capture-pane', '-p', '-t', name);
    await until(() => screen().includes('q ends this.'), 'the first picture');
    const pushing = setInterval(() => server.push('app', 'c', 'e', '1').catch(() => {}), 20);
    await until(() => /\n127[^ ]+ +1 +1 +[1-9]/.test(screen()), 'pushes a second');
    clearInterval(pushing);
    assert.match(screen(), /\nanswers a second +(\d+ [\d.k]+ ?)+\n/);
    tmux('send-keys', '-t', name, 'q');
    const isDead = () => tmux('display-message', '-p', '-t', name, '#{pane_dead}').trim() === '1';
    await until(isDead, 'its end');
  } finally {
    tmux('kill-server');
  }
});
