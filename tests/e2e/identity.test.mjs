// Who may connect: keys of all families and from all sources, their rotation, what claims must say,
// which pages may come, and how a socket's token ends or is refreshed.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { clusterTest } from './support/cluster.mjs';
import { run, Server, serverTest, withServer } from './support/gusher.mjs';
import { JwksServer } from './support/jwks.mjs';
import * as keys from './support/keys.mjs';
import { requestText, upgradeHeaders } from './support/raw.mjs';
import { pause, until } from './support/wait.mjs';

const ALGS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA'.split(' ');
const noFile = { 'public-pem-file': undefined };
const anywhere = ['--api-listen', '127.0.0.1:0', '--master-api-listen', '127.0.0.1:0'];

const identity = (more = {}) => ({ ...keys.claims({ user: 'ann' }), ...more });
const now = () => Date.now() / 1000;

/** What becomes of a JWT at auth, as the token of a handshake (a plain GET, which opens nothing), and
 *  at decode. */
async function verdicts(server, jwt) {
  const replies = [
    await server.callSlave('POST', '/auth', { form: { jwt } }),
    await server.callSlave('GET', `/ws/app?token=${jwt}`),
    await server.call('POST', '/decode', { form: { data: jwt } }),
  ];
  return replies.map(({ status }) => status).join(' ');
}
const TAKEN = '200 400 200';
const REFUSED = '401 401 400';

/** Whether a JWT is taken; all must agree. */
async function takes(server, jwt) {
  const all = await verdicts(server, jwt);
  assert.ok(all === TAKEN || all === REFUSED, all);
  return all === TAKEN;
}

/** The same once other keys have reached all workers. */
const takesSoon = (server, jwt) =>
  until(async () => (await verdicts(server, jwt)) === TAKEN, 'the token is taken');
const refusesSoon = (server, jwt) =>
  until(async () => (await verdicts(server, jwt)) === REFUSED, 'the token is refused');

async function reload(server, event = 'reloaded') {
  const before = server.logged(event).length;
  server.process.signal('SIGHUP');
  await until(() => server.logged(event).length > before, event);
}

function pemFolder(pairs) {
  const folder = keys.freshFolder('pems');
  for (const pair of pairs) addPem(folder, pair);
  return folder;
}

function addPem(folder, pair, text = keys.pemOf(pair)) {
  const file = path.join(folder, `${pair.kid}.pem`);
  fs.writeFileSync(`${file}.new`, text);
  fs.renameSync(`${file}.new`, file);
}

const removePem = (folder, { kid }) => fs.rmSync(path.join(folder, `${kid}.pem`));

let files = 0;
const jwksFile = (jwks) => keys.writeFile(`jwks-${files++}.json`, JSON.stringify({ keys: jwks }));

function assertNoSecrets(server, ...secrets) {
  for (const secret of secrets) assert.ok(!server.stderr.includes(secret), 'a secret in the log');
}

// ---- families and names

const pairs = ALGS.map((alg) => keys.pairOf(alg, `key of ${alg}`));
const byAlg = Object.fromEntries(pairs.map((pair) => [pair.alg, pair]));

const sources = {
  'a file of many': () => ({ 'public-pem-file': keys.writeFile('all.pem', pairs.map(keys.pemOf).join('\n')) }),
  'a folder': () => ({ ...noFile, 'public-pem-folder': pemFolder(pairs) }),
  'a key set': () => ({ ...noFile, 'jwks-file': jwksFile(pairs.map((pair) => keys.jwkOf(pair))) }),
};
for (const [name, flags] of Object.entries(sources)) {
  test(`all families from ${name}`, () =>
    withServer(flags(), async (server) => {
      for (const pair of pairs) {
        const jwt = keys.signBy(pair, identity());
        assert.ok(await takes(server, jwt), pair.alg);
        const client = await server.connect(server.url('app', await server.auth(jwt)));
        await client.subscribe('c');
        client.terminate();
        assertNoSecrets(server, jwt);
      }
      // A stranger's, of each family, under the same name.
      for (const { alg, kid } of pairs)
        assert.ok(!(await takes(server, keys.signBy(keys.pairOf(alg, kid), identity()))), alg);
      // The text of a key as the secret of an HMAC, and no signature at all.
      const text = Buffer.from('{"alg":"HS256"}').toString('base64url');
      const signed = `${text}.${Buffer.from('{}').toString('base64url')}`;
      for (const pair of pairs) {
        const mac = crypto.createHmac('sha256', keys.pemOf(pair)).update(signed);
        assert.ok(!(await takes(server, `${signed}.${mac.digest('base64url')}`)));
      }
      const none = Buffer.from('{"alg":"none"}').toString('base64url');
      assert.ok(!(await takes(server, `${none}.${signed.split('.')[1]}.`)));
    }));
}

test('a kid that is known is that key alone', () => {
  const [a, b] = ['a', 'b'].map((kid) => keys.pairOf('ES256', kid));
  const file = keys.pairOf('ES256');
  const flags = {
    'public-pem-file': keys.writeFile('nameless.pem', keys.pemOf(file)),
    'public-pem-folder': pemFolder([a]),
    'jwks-file': jwksFile([keys.jwkOf(b, { use: 'sig', key_ops: ['verify'], alg: 'ES256' })]),
  };
  return withServer(flags, async (server) => {
    const shown = (pair, kid) => takes(server, keys.signBy(pair, identity(), { kid }));
    for (const pair of [a, b]) {
      assert.ok(await shown(pair, pair.kid));
      assert.ok(await shown(pair, undefined));
      assert.ok(!(await shown(pair, 'unknown')));
    }
    assert.ok(!(await shown(a, 'b')));
    assert.ok(!(await shown(file, 'a')));
    assert.ok(await shown(file, 'unknown'));
    assert.ok(await shown(file, undefined));
  });
});

test('a key set says what its keys are for', () => {
  const other = keys.pairOf('ES256', 'enc');
  const ps = keys.pairOf('PS256', 'ps');
  const flags = {
    ...noFile,
    'jwks-file': jwksFile([
      keys.jwkOf(other, { use: 'enc' }),
      { kty: 'oct', k: 'c2VjcmV0LW9mLXRoZS1zZXQ', kid: 'oct' },
      keys.jwkOf(ps, { alg: 'PS256' }),
    ]),
  };
  return withServer(flags, async (server) => {
    assert.ok(await takes(server, keys.signBy(ps, identity())));
    assert.ok(!(await takes(server, keys.signBy(ps, identity(), { alg: 'RS256' }))));
    assert.ok(!(await takes(server, keys.signBy(ps, identity(), { alg: 'PS384' }))));
    assert.ok(!(await takes(server, keys.signBy(other, identity()))));
    const [line] = await server.log('jwks_keys_passed_over');
    assert.deepEqual([line.keys, line.taken], [2, 1]);
    assert.match(line.reason, /^The use of the key is not "sig"\.$/);
    assertNoSecrets(server, 'c2VjcmV0LW9mLXRoZS1zZXQ', keys.jwkOf(ps).n);
  });
});

// ---- starts that fail

const stranger = keys.writeFile('stranger.pem', keys.pemOf(keys.pairOf('EdDSA')));
const brokenFolder = pemFolder([{ ...byAlg.ES256, kid: 'good' }]);
addPem(brokenFolder, { kid: 'bad' }, 'no key\n');
for (const [args, code, sentence] of [
  [[], 2, /a public key is needed.*--public-pem-file.*--public-pem-folder, --jwks-file or --jwks-url/],
  [['--dev', '--jwks-file', stranger], 2, /--dev makes its own key/],
  [['--dev', '--jwks-url', 'http://127.0.0.1:1'], 2, /--dev makes its own key/],
  [['--jwks-url', 'ftp://127.0.0.1/'], 2, /--jwks-url \(GUSHER_JWKS_URL\) takes http/],
  [['--jwks-url', 'keys.json'], 2, /--jwks-url/],
  [['--jwks-url', 'http:///keys'], 2, /--jwks-url/],
  [['--public-pem-folder', keys.freshFolder('empty')], 1, /there is no key/],
  [['--public-pem-folder', '/there-is-no-such-folder'], 1, /cannot read .*No such file/],
  [['--public-pem-folder', brokenFolder], 1, /bad\.pem: There is no public key/],
  [['--jwks-file', stranger], 1, /stranger\.pem: This is no JSON Web Key Set/],
  [['--jwks-file', jwksFile([])], 1, /jwks-\d+\.json: There is no key in the set/],
  [
    ['--jwks-file', jwksFile([keys.jwkOf(byAlg.ES256, { use: 'enc' })])],
    1,
    /There is no key in the set that can be used\. The use of the key is not "sig"\./,
  ],
  [['--public-pem-file', stranger, '--allow-origin', 'shop.example'], 2, /--allow-origin .*"shop\.example"/],
  [['--public-pem-file', stranger, '--allow-origin', 'https://shop.example/'], 2, /without a path/],
  [['--public-pem-file', stranger, '--jwt-leeway', '-1'], 2, /--jwt-leeway must be/],
]) {
  test(`refused at the start: ${args.map((arg) => path.basename(arg)).join(' ') || 'no keys'}`, async () => {
    const { code: got, stderr } = await run(['all', ...anywhere, ...args]);
    assert.match(stderr, sentence);
    assert.match(stderr, /^gusher: [^\n]+\n$/);
    assert.equal(got, code);
  });
}

// ---- rotation

test('keys rotate without a restart, and without a good token refused', () => {
  const [old, stays] = [keys.pairOf('RS256', 'old'), keys.pairOf('ES256', 'stays')];
  const folder = pemFolder([old, stays]);
  return withServer({ ...noFile, 'public-pem-folder': folder }, async (server) => {
    const good = keys.signBy(stays, identity());
    const outdated = keys.signBy(old, identity());
    const ticket = await server.auth(outdated);
    let rotating = true;
    let connects = 0;
    const connectOn = async () => {
      while (rotating || connects < 40) {
        const client = await server.connect(server.url('app', good)); // a refusal fails the test
        connects++;
        await client.terminate();
      }
    };
    const connecting = [connectOn(), connectOn(), connectOn()];
    for (let n = 0; n < 20; n++) {
      const next = keys.pairOf(n % 2 ? 'EdDSA' : 'ES256', `next-${n}`);
      addPem(folder, next);
      await reload(server);
      await takesSoon(server, keys.signBy(next, identity()));
      removePem(folder, next);
    }
    rotating = false;
    await Promise.all(connecting);

    removePem(folder, old);
    await reload(server);
    await refusesSoon(server, outdated);
    // The identity behind a ticket is frozen.
    await (await server.connect(server.url('app', ticket))).subscribe('c');
    assertNoSecrets(server, good, outdated, ticket);
  });
});

test('a reload that finds a broken file changes nothing', () => {
  const pair = keys.pairOf('ES256', 'a');
  const folder = pemFolder([pair]);
  return withServer({ ...noFile, 'public-pem-folder': folder }, async (server) => {
    const jwt = keys.signBy(pair, identity());
    addPem(folder, { kid: 'bad' }, 'no key\n');
    await reload(server, 'not_reloaded');
    assert.match(server.logged('not_reloaded')[0].reason, /bad\.pem: There is no public key/);
    assert.ok(await takes(server, jwt));
    fs.rmSync(folder, { recursive: true });
    await reload(server, 'not_reloaded');
    assert.ok(await takes(server, jwt));
  });
});

// ---- keys from an address

/** A server with keys from an address, which is asked every second. */
async function withJwks(pairList, flags, body) {
  const source = await JwksServer.start(pairList.map((pair) => keys.jwkOf(pair)));
  try {
    await withServer({ ...noFile, 'jwks-url': source.url, 'jwks-refresh': 1, ...flags }, (server) =>
      body(server, source),
    );
  } finally {
    await source.stop();
  }
}

test('keys from an address rotate by themselves', () => {
  const [first, second] = [keys.pairOf('RS256', '1'), keys.pairOf('ES256', '2')];
  const [one, two] = [first, second].map((pair) => keys.signBy(pair, identity()));
  return withJwks([first], {}, async (server, source) => {
    assert.ok(await takes(server, one));
    assert.ok(!(await takes(server, two)));
    source.keys = [first, second].map((pair) => keys.jwkOf(pair));
    await takesSoon(server, two);
    assert.ok(await takes(server, one));
    source.keys = [keys.jwkOf(second)];
    await refusesSoon(server, one);
    assert.ok(await takes(server, two));
    // What has not changed is not told again, and neither is what was passed over in it.
    source.keys = [{ kty: 'oct', k: 'AAAA' }, keys.jwkOf(second)];
    await until(() => server.logged('jwks_keys_passed_over').length, 'the set with another key');
    await source.asked();
    const told = server.logged('jwks_refreshed').length;
    await source.asked();
    await source.asked();
    assert.equal(server.logged('jwks_refreshed').length, told);
    assert.equal(server.logged('jwks_keys_passed_over').length, 1);
    assertNoSecrets(server, one, two, 'of-the-address', keys.jwkOf(first).n);
  });
});

test('keys that were there stay when the address fails', () => {
  const [pair, next] = [keys.pairOf('ES256', '1'), keys.pairOf('ES256', '2')];
  const jwt = keys.signBy(pair, identity());
  return withJwks([pair], {}, async (server, source) => {
    const failures = () => server.logged('jwks_not_refreshed');
    const ways = [
      ['garbage', /^This is no JSON Web Key Set\.$/],
      ['huge', /longer than the 1048576 bytes/],
      ['dribble', /longer than the 1048576 bytes/],
      ['cut', /./],
      ['move', /status 302/],
      [404, /status 404/],
      [500, /status 500/],
    ];
    for (const [mode, reason] of ways) {
      const before = failures().length;
      source.mode = mode;
      await until(() => failures().length > before, `${mode} is noticed`);
      assert.match(failures()[before].reason, reason);
      assert.ok(await takes(server, jwt));
    }
    source.mode = 'serve';
    for (const bad of [[], [{ kty: 'oct', k: 'AAAA' }]]) {
      const before = failures().length;
      source.keys = bad;
      await until(() => failures().length > before, 'a set without keys is noticed');
      assert.match(failures()[before].reason, /There is no key in the set that can be used/);
      assert.ok(await takes(server, jwt));
    }
    const before = failures().length;
    await source.stop();
    await until(() => failures().length > before, 'its death is noticed');
    assert.ok(await takes(server, jwt));
    source.keys = [keys.jwkOf(next)];
    await source.listen();
    await takesSoon(server, keys.signBy(next, identity()));
    await refusesSoon(server, jwt);
    assertNoSecrets(server, jwt, 'of-the-address');
  });
});

test('an address that hangs holds nobody up', () => {
  const [pair, filed] = [keys.pairOf('ES256', '1'), keys.pairOf('EdDSA', 'filed')];
  const folder = keys.freshFolder('pems');
  return withJwks([pair], { 'public-pem-folder': folder }, async (server, source) => {
    const jwt = keys.signBy(pair, identity());
    source.mode = 'hang';
    await source.asked();
    assert.ok(await takes(server, jwt));
    await until(() => server.logged('jwks_not_refreshed').length, 'the end of the wait');
    // Files are read at SIGHUP whatever the address does, as soon as it is not asked.
    addPem(folder, filed);
    await reload(server);
    await takesSoon(server, keys.signBy(filed, identity()));
    // And an end need not wait for an answer: server.stop() measures.
    await source.asked();
  });
});

test('SIGHUP asks the address at once', () => {
  const [pair, next] = [keys.pairOf('ES256', '1'), keys.pairOf('ES256', '2')];
  return withJwks([pair], { 'jwks-refresh': 86400 }, async (server, source) => {
    source.keys = [keys.jwkOf(next)];
    await reload(server);
    await takesSoon(server, keys.signBy(next, identity()));
    assert.equal(source.requests, 2);
  });
});

test('the start waits for the address', async () => {
  const pair = keys.pairOf('ES256', '1');
  const source = await JwksServer.start([keys.jwkOf(pair)]);
  source.mode = 503;
  let server;
  try {
    const starting = Server.start({ ...noFile, 'jwks-url': source.url });
    await Promise.race([source.asked(), starting]); // a start that fails need not be waited for
    source.mode = 'serve';
    server = await starting;
    assert.ok(await takes(server, keys.signBy(pair, identity())));
    await server.stop();
  } finally {
    server?.kill();
    await source.stop();
  }
});

test('a start without the address ends with a sentence', async () => {
  const source = await JwksServer.start([]);
  await source.stop();
  const began = performance.now();
  const { code, stderr } = await run(['all', ...anywhere, '--jwks-url', source.url]);
  assert.equal(code, 1);
  assert.match(stderr, /^gusher: no keys came from --jwks-url \(GUSHER_JWKS_URL\) in 10 s: [^\n]+\n$/);
  assert.ok(!stderr.includes('of-the-address'));
  const ms = performance.now() - began;
  assert.ok(ms > 9000 && ms < 20_000, `it took ${ms} ms`);
});

test('with other keys the start does not need the address', async () => {
  const [filed, pair] = [keys.pairOf('ES256', 'filed'), keys.pairOf('ES256', '1')];
  const source = await JwksServer.start([keys.jwkOf(pair)]);
  await source.stop();
  const flags = { ...noFile, 'public-pem-folder': pemFolder([filed]), 'jwks-url': source.url };
  let server;
  try {
    server = await Server.start({ ...flags, 'jwks-refresh': 1 });
    assert.ok(server.logged('jwks_not_refreshed').length);
    assert.ok(await takes(server, keys.signBy(filed, identity())));
    await source.listen();
    await takesSoon(server, keys.signBy(pair, identity()));
    await server.stop();
  } finally {
    server?.kill();
    await source.stop();
  }
});

// ---- claims

const audiences = async (server) => {
  for (const aud of ['shop', 'other', ['x', 'shop']])
    assert.ok(await takes(server, keys.sign(identity({ aud }))), aud);
  for (const aud of ['Shop', 'shop,other', ['x'], [], undefined])
    assert.ok(!(await takes(server, keys.sign(identity({ aud })))), aud);
};
test('the audience must be one of ours', async () => {
  const server = await Server.start({}, { env: { GUSHER_JWT_AUDIENCE: ' shop, other ,,' } });
  try {
    await audiences(server);
    await server.stop();
  } finally {
    server.kill();
  }
});

test('a flag is stronger than the variable, for a list as well', async () => {
  const flags = { 'jwt-audience': 'shop' };
  const server = await Server.start(flags, { env: { GUSHER_JWT_AUDIENCE: 'other' } });
  try {
    assert.ok(await takes(server, keys.sign(identity({ aud: 'shop' }))));
    assert.ok(!(await takes(server, keys.sign(identity({ aud: 'other' })))));
    await server.stop();
  } finally {
    server.kill();
  }
});

serverTest('the issuer must be ours', { 'jwt-issuer': 'https://id.example' }, async (server) => {
  assert.ok(await takes(server, keys.sign(identity({ iss: 'https://id.example' }))));
  for (const iss of ['https://id.example/', 'https://evil.example', '', undefined])
    assert.ok(!(await takes(server, keys.sign(identity({ iss })))), iss);
});

serverTest('clocks may be apart by the leeway', { 'jwt-leeway': 60 }, async (server) => {
  const good = [{ exp: now() - 30 }, { nbf: now() + 30 }, { iat: now() + 30 }];
  const bad = [{ exp: now() - 90 }, { nbf: now() + 90 }, { iat: now() + 90 }];
  for (const more of good) assert.ok(await takes(server, keys.sign(identity(more))), more);
  for (const more of bad) assert.ok(!(await takes(server, keys.sign(identity(more)))), more);
});

serverTest('without one they may not', {}, async (server) => {
  for (const more of [{ exp: now() - 2 }, { nbf: now() + 30 }, { iat: now() + 30 }])
    assert.ok(!(await takes(server, keys.sign(identity(more)))), more);
});

// ---- origins

async function handshake(server, origin) {
  const raw = await server.raw();
  const headers = origin === undefined ? upgradeHeaders : { ...upgradeHeaders, Origin: origin };
  raw.write(requestText('GET', server.wsTarget({ user: 'ann' }), headers));
  const reply = await raw.reply();
  raw.destroy();
  return reply;
}

const auth = (server, origin, method = 'POST') =>
  server.callSlave(method, '/auth', {
    form: { jwt: keys.sign(identity()) },
    headers: origin === undefined ? {} : { Origin: origin },
  });

test('only listed pages open sockets', async () => {
  const env = { GUSHER_ALLOW_ORIGIN: 'https://shop.example,https://*.shop.example' };
  const server = await Server.start({}, { env });
  try {
    for (const origin of ['https://shop.example', 'https://a.shop.example', undefined])
      assert.equal((await handshake(server, origin)).status, 101, origin);
    for (const origin of ['https://evil.example', 'http://shop.example', 'https://a.b.shop.example', 'null']) {
      const refusal = await handshake(server, origin);
      assert.equal(refusal.status, 403, origin);
      assert.equal(refusal.body, 'pages of this origin may not connect\n');
    }
    assert.equal((await server.log('origin_refused'))[0].origin, 'https://evil.example');
    for (const method of ['POST', 'OPTIONS']) {
      const good = await auth(server, 'https://a.shop.example', method);
      assert.equal(good.headers['access-control-allow-origin'], 'https://a.shop.example');
      assert.equal(good.headers.vary, 'Origin');
      for (const origin of ['https://evil.example', undefined]) {
        const other = await auth(server, origin, method);
        assert.equal(other.headers['access-control-allow-origin'], undefined);
        assert.equal(other.headers.vary, 'Origin');
      }
    }
    await server.stop();
  } finally {
    server.kill();
  }
});

serverTest('without a list every page may', {}, async (server) => {
  assert.equal((await handshake(server, 'https://evil.example')).status, 101);
  const { headers } = await auth(server, 'https://evil.example');
  assert.equal(headers['access-control-allow-origin'], '*');
  assert.equal(headers.vary, undefined);
});

// ---- the end of a token

const enforced = { 'enforce-exp': 'on', 'receive-max-message-size': 65536 };
const jwtUntil = (exp, more) => keys.sign({ ...keys.claims({ user: 'ann', ...more }), exp });

/** Asserts that the socket is told of the end, and ended then. */
async function assertEnds(client, exp, warning) {
  const told = await client.nextJson('the warning');
  assert.equal(told.event, 'gusher.token_expires');
  assert.match(told.socket_id, /^[0-9a-f-]{36}$/);
  assert.ok(told.data.expires_in > 0 && told.data.expires_in <= warning, told.data.expires_in);
  assert.deepEqual(await client.closed(), { code: 4001, reason: 'expired: the token is over' });
  assert.ok(now() >= exp, `${exp - now()} s too early`);
}

for (const kind of ['JWT', 'ticket']) {
  serverTest(`a socket by ${kind} ends with its token`, { ...enforced, 'exp-warning': 2 }, async (server) => {
    const exp = Math.ceil(now()) + 3;
    const jwt = jwtUntil(exp);
    const token = kind === 'JWT' ? jwt : await server.auth(jwt);
    const client = await server.connect(server.url('app', token));
    await client.subscribe('c');
    await assertEnds(client, exp, 2);
    // Later on it opens nothing more, though the ticket itself lives for a minute.
    await assert.rejects(server.connect(server.url('app', token)), /refused: 401 token error/);
    assertNoSecrets(server, jwt, token);
  });
}

serverTest('an end that is near is told at once', { ...enforced, 'exp-warning': 86400 }, async (server) => {
  const exp = Math.ceil(now()) + 2;
  await assertEnds(await server.connect(server.url('app', jwtUntil(exp))), exp, 3);
});

serverTest('without a warning there is just the end', { ...enforced, 'exp-warning': 0 }, async (server) => {
  const client = await server.connect(server.url('app', jwtUntil(Math.ceil(now()) + 1)));
  assert.deepEqual(await client.closed(), { code: 4001, reason: 'expired: the token is over' });
  assert.equal(client.inbox.length, 0);
});

serverTest('the leeway holds for sockets, too', { ...enforced, 'jwt-leeway': 3, 'exp-warning': 0 }, async (server) => {
  const exp = Math.floor(now()) - 1;
  const client = await server.connect(server.url('app', jwtUntil(exp)));
  await client.closed();
  assert.ok(now() >= exp + 3, `${exp + 3 - now()} s too early`);
});

serverTest('unless asked for, sockets outlive their tokens', {}, async (server) => {
  const exp = Math.ceil(now()) + 1;
  const client = await server.connect(server.url('app', await server.auth(jwtUntil(exp))));
  await until(() => now() > exp + 0.5, 'the end of the token');
  await client.subscribe('c');
  await server.assertSilent(client);
});

serverTest('what never expires is never told', { ...enforced, 'exp-warning': 86400 }, async (server) => {
  for (const exp of [undefined, 0, 1e12]) {
    const client = await server.connect(server.url('app', jwtUntil(exp)));
    await client.subscribe('c');
    await server.assertSilent(client);
  }
});

// ---- refresh

const refresh = (client, token) => client.command('gusher.refresh', { token });

async function assertRefused(client, token, reason) {
  const reply = await refresh(client, token);
  assert.deepEqual([reply.event, reply.data], ['gusher.refresh_error', { reason }]);
}

serverTest('a refresh prolongs a socket', { ...enforced, 'exp-warning': 1 }, async (server) => {
  const first = Math.ceil(now()) + 2;
  const client = await server.connect(server.url('app', jwtUntil(first)));
  await client.subscribe('c');
  const second = first + 2;
  const jwt = jwtUntil(second);
  const reply = await refresh(client, jwt);
  assert.deepEqual([reply.event, reply.data], ['gusher.refresh_succeeded', {}]);
  await until(() => now() > first + 0.2, 'the end of the first token');
  await server.push('app', 'c', 'e', '1');
  await client.expect('{"channel":"c","event":"e","data":1}');
  await assertEnds(client, second, 1);
  assertNoSecrets(server, jwt);
});

serverTest('a refresh changes what is permitted', { 'receive-max-message-size': 0 }, async (server) => {
  const of = (channels, remotes) => keys.sign(keys.claims({ user: 'ann', channels, remotes }));
  const client = await server.connect(server.url('app', of(['a', 'b*', 'c'])));
  await client.subscribe('a', 'b1', 'c');
  client.send({ event: 'gusher.refresh', data: { token: of(['b*', 'd'], { cmd: true }) } });
  const told = [await client.nextJson(), await client.nextJson()];
  for (const { event, socket_id: id } of told) {
    assert.equal(event, 'gusher.subscription_revoked');
    assert.match(id, /^[0-9a-f-]{36}$/);
  }
  assert.deepEqual(told.map(({ data }) => data.channel).sort(), ['a', 'c']);
  assert.equal((await client.nextJson()).event, 'gusher.refresh_succeeded');

  assert.deepEqual(await server.names('/app/channels'), ['b1']);
  for (const channel of ['a', 'b1', 'c']) await server.push('app', channel, 'e', '1');
  await client.expect('{"channel":"b1","event":"e","data":1}');
  await client.subscribe('d');
  assert.equal((await client.command('gusher.subscribe', { channel: 'a' })).event, 'gusher.subscribe_error');
  const permitted = await client.command('gusher.querychannel', null);
  assert.deepEqual(permitted.data.channels, ['b*', 'd']);
  await server.assertSilent(client);
});

serverTest('a refresh that is refused changes nothing', { 'receive-max-message-size': 8192 }, async (server) => {
  const client = await server.connect(server.url('app', keys.sign(keys.claims({ user: 'ann', channels: ['a'] }))));
  await client.subscribe('a');
  const other = (more) => keys.sign(keys.claims({ user: 'ann', channels: [], ...more }));
  await assertRefused(client, other({ app: 'other' }), 'the token is for another app');
  await assertRefused(client, other({ user: 'bob' }), 'the token is for another user');
  await assertRefused(client, other({ user: '' }), 'the token is for another user');
  await assertRefused(client, keys.signBy(keys.pairOf('RS256'), identity()), 'the token is not good');
  await assertRefused(client, 'a.b.c', 'the token is not good');
  await assertRefused(client, '', 'the token is not good');
  await assertRefused(client, jwtUntil(now() - 5), 'the token is expired or not good yet');
  const ticket = await server.auth(other());
  await assertRefused(client, ticket, 'the token is not good');
  await server.push('app', 'a', 'e', '1');
  await client.expect('{"channel":"a","event":"e","data":1}');
  assert.deepEqual((await client.command('gusher.querychannel', null)).data.channels, ['a']);
});

serverTest('an anonymous socket is refreshed as one', { 'receive-max-message-size': 8192 }, async (server) => {
  const client = await server.connect(server.url('app', keys.sign(keys.claims({}))));
  await assertRefused(client, keys.sign(keys.claims({ user: 'ann' })), 'the token is for another user');
  assert.equal((await refresh(client, keys.sign(keys.claims({})))).event, 'gusher.refresh_succeeded');
});

serverTest('rules hold for a refresh as well', { 'receive-max-message-size': 8192, 'jwt-audience': 'shop' }, async (server) => {
  const client = await server.connect(server.url('app', keys.sign(identity({ aud: 'shop' }))));
  await assertRefused(client, keys.sign(identity({ aud: 'x' })), 'the token is not good');
  assert.equal((await refresh(client, keys.sign(identity({ aud: 'shop' })))).event, 'gusher.refresh_succeeded');
});

serverTest('a refresh that is too long is told so', { 'enforce-exp': 'on' }, async (server) => {
  assert.match((await server.log('refresh_does_not_fit'))[0].reason, /--receive-max-message-size/);
  const client = await server.login({ user: 'ann' });
  client.send({ event: 'gusher.refresh', data: { token: keys.sign(identity()) } });
  assert.deepEqual(await client.closed(), { code: 1009, reason: 'too_big: message is too big: over 512 bytes' });
});

serverTest('a thousand subscriptions are revoked in one refresh', { 'receive-max-message-size': 0 }, async (server) => {
  const client = await server.login({ user: 'ann' });
  const names = Array.from({ length: 1000 }, (_, i) => `c${i}`);
  await client.command('gusher.multi_subscribe', { multi_channel: names });
  client.send({ event: 'gusher.refresh', data: { token: keys.sign(keys.claims({ user: 'ann', channels: ['c0'] })) } });
  const revoked = new Set();
  for (let i = 0; i < 999; i++) revoked.add((await client.nextJson()).data.channel);
  assert.equal(revoked.size, 999);
  assert.ok(!revoked.has('c0'));
  assert.equal((await client.nextJson()).event, 'gusher.refresh_succeeded');
  assert.deepEqual(await server.names('/app/channels'), ['c0']);
});

clusterTest(
  'in a cluster a refresh is known to all nodes',
  { slaves: 2, flags: {}, slaveFlags: { 'receive-max-message-size': 65536 } },
  async (cluster) => {
    const [one, other] = cluster.slaves;
    const of = (channels, user = 'ann') => keys.sign(keys.claims({ user, channels }));
    const client = await one.connect(one.url('app', of(['a', 'b'])));
    const stays = await other.connect(other.url('app', of(['a'], 'bob')));
    await client.subscribe('a', 'b');
    await stays.subscribe('a');
    client.send({ event: 'gusher.refresh', data: { token: of(['b', 'c']) } });
    assert.equal((await client.nextJson()).event, 'gusher.subscription_revoked');
    assert.equal((await client.nextJson()).event, 'gusher.refresh_succeeded');
    const [master] = cluster.masters;
    assert.deepEqual(await master.names('/app/online/bychannel/a'), ['bob']);
    assert.deepEqual(await master.names('/app/online/bychannel/b'), ['ann']);
    await cluster.push('app', 'a', 'e', '1');
    await stays.expect('{"channel":"a","event":"e","data":1}');
    await cluster.push('app', 'b', 'e', '2');
    await client.expect('{"channel":"b","event":"e","data":2}');
    // What the new token permits is as sure as ever.
    await client.subscribe('c');
    await cluster.push('app', 'c', 'e', '3');
    await client.expect('{"channel":"c","event":"e","data":3}');
  },
);

clusterTest(
  'a refresh does not overtake replies that wait, and judges them',
  { slaves: 1, proxied: true, slaveFlags: { 'receive-max-message-size': 65536 } },
  async (cluster) => {
    const [slave] = cluster.slaves;
    const client = await slave.connect(slave.url('app', keys.sign(keys.claims({ user: 'ann' }))));
    await client.subscribe('kept');
    slave.proxies[0].hold(); // nothing becomes sure
    client.send({ event: 'gusher.subscribe', data: { channel: 'a' } });
    client.send({ event: 'gusher.subscribe', data: { channel: 'b' } });
    client.send({ event: 'gusher.refresh', data: { token: keys.sign(keys.claims({ user: 'ann', channels: ['a', 'kept'] })) } });
    await pause(100);
    assert.equal(client.inbox.length, 0);
    slave.proxies[0].heal();
    const events = [];
    for (let i = 0; i < 4; i++) {
      const { event, data } = await client.nextJson();
      events.push(`${event} ${data.channel ?? ''}`.trim());
    }
    assert.deepEqual(events, [
      'gusher.subscribe_succeeded a',
      'gusher.subscribe_error b',
      'gusher.subscription_revoked b',
      'gusher.refresh_succeeded',
    ]);
  },
);
