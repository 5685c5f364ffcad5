// The console at /ui of a master, in a real Chromium, against real servers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { describe } from 'node:test';
import { assertAccessible } from './support/browser.mjs';
import {
  consoleTest,
  desk,
  dev,
  go,
  heading,
  inPage,
  refusals,
  row,
  says,
  urlOf,
  useBrowser,
} from './support/console.mjs';
import { freeAddress, run, Server, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { until } from './support/wait.mjs';

useBrowser();

/** A file of master keys: { file, key: { name: secret } }. */
async function masterKeys(wanted) {
  const file = path.join(keys.freshFolder('console'), 'keys');
  const key = {};
  for (const [name, ...words] of wanted)
    key[name] = (await run(['key', '--name', name, '--keys-file', file, ...words])).stdout.trim();
  return { file, key };
}

const rights = (...list) => list.flatMap((right) => ['--right', right]);

const chartText = (page, title) =>
  page.getByRole('img', { name: title }).getAttribute('aria-label');

// Most of each is waiting for a page.
describe('the console', { concurrency: 4 }, () => {
  // ---- the files

  test('the files: policy, kinds, validators, gzip, and no key for them', async () => {
    const { file } = await masterKeys([['one']]);
    await withServer({ 'master-keys-file': file }, async (server) => {
      const get = (at, headers, to = server.master) =>
        request(to, 'GET', at, { agent: server.agent, headers });
      const bare = await get('/ui');
      assert.deepEqual([bare.status, bare.headers.location], [308, 'ui/']);
      const types = {
        '/ui/': 'text/html; charset=utf-8',
        '/ui/app.js': 'text/javascript; charset=utf-8',
        '/ui/app.css': 'text/css; charset=utf-8',
        '/ui/favicon.svg': 'image/svg+xml',
      };
      for (const [at, type] of Object.entries(types)) {
        const reply = await get(at);
        assert.equal(reply.status, 200, at);
        assert.equal(reply.headers['content-type'], type);
        assert.equal(
          reply.headers['content-security-policy'],
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        );
        assert.equal(reply.headers['x-content-type-options'], 'nosniff');
        assert.equal(reply.headers['referrer-policy'], 'no-referrer');
        assert.equal(reply.headers['cross-origin-opener-policy'], 'same-origin');
        assert.equal(reply.headers['cache-control'], 'no-cache');
        const { etag } = reply.headers;
        assert.match(etag, /^"[0-9a-f]{32}"$/);
        for (const list of [etag, `W/"x", ${etag}`]) {
          const again = await get(at, { 'If-None-Match': list });
          assert.deepEqual([again.status, again.text], [304, '']);
          assert.equal(again.headers.etag, etag);
        }
        assert.equal((await get(at, { 'If-None-Match': '"another"' })).status, 200);
        const zipped = await get(at, { 'Accept-Encoding': 'br, gzip' });
        assert.equal(zipped.headers['content-encoding'], 'gzip');
        assert.notEqual(zipped.headers.etag, etag);
        const head = await request(server.master, 'HEAD', at, { agent: server.agent });
        assert.deepEqual([head.status, head.text], [200, '']);
      }
      const config = (await get('/ui/config.json')).json();
      assert.match(config.version, /^\d/);
      assert.deepEqual(
        { ...config, version: '' },
        { version: '', keys: true, dev: false, slave_port: server.slave.port, slave_tls: false },
      );
      for (const at of ['/ui/nothing', '/ui/app.js/', '/ui//'])
        assert.equal((await get(at)).status, 404, at);
      assert.equal((await get('/ui/', {}, server.slave)).status, 404);
      const token = await request(server.master, 'POST', '/v1/dev/token', {
        agent: server.agent,
        body: '{"app":"a","user_id":"u","channels":[]}',
      });
      assert.equal(token.status, 404);
    });
  });

  test('the tokens of --dev are good, and have what was asked for', async () => {
    await withServer(dev(), async (server) => {
      const ask = (body) =>
        request(server.master, 'POST', '/v1/dev/token', { agent: server.agent, body });
      const good = await ask('{"app":"sh\\u00f6p","user_id":"","channels":["a\\"b","*"]}');
      assert.equal(good.status, 200, good.text);
      const [, payload] = good.json().token.split('.');
      const claims = JSON.parse(Buffer.from(payload, 'base64url'));
      assert.deepEqual(claims.gusher, {
        user_id: '',
        app_key: 'shöp',
        channels: ['a"b', '*'],
        remotes: {},
      });
      await server.connect(server.url('shöp', good.json().token));
      const bad = {
        'not JSON': 'malformed_json',
        '{"user_id":"","channels":[]}': 'missing_member',
        '{"app":"a","user_id":"","channels":[1]}': 'wrong_type',
        '{"app":"a","user_id":"\\u0000","channels":[]}': 'invalid_jwt',
      };
      for (const [body, code] of Object.entries(bad)) {
        const reply = await ask(body);
        assert.deepEqual([reply.status, reply.json().code], [400, code], body);
      }
    });
  });

  // ---- signing in

  test('signing in: a wrong key, a right one, kept or not, never in an address, and taken away', async () => {
    const { file, key } = await masterKeys([['one', ...rights('query')]]);
    await withServer({ 'master-keys-file': file }, (server) =>
      inPage(
        async (page) => {
          const addresses = [];
          page.on('request', (r) => addresses.push(r.url()));
          await go(page, server);
          await heading(page, 'Sign in');
          const field = page.getByLabel('Master key');
          assert.ok(await field.evaluate((e) => e === document.activeElement));
          await assertAccessible(page);
          await field.press('Enter');
          await says(page, 'Enter a master key.');
          await field.fill('gk_wrong');
          await field.press('Enter');
          await says(page, /the key is not known/i);
          await field.fill(key.one);
          await page.getByRole('button', { name: 'Sign in' }).click();
          await heading(page, 'Overview');
          await says(page, 'Live');
          const stored = () => page.evaluate(() => [sessionStorage.length, localStorage.length]);
          assert.deepEqual(await stored(), [1, 0]);
          await page.reload();
          await heading(page, 'Overview');
          await page.getByRole('button', { name: 'Sign out' }).click();
          await heading(page, 'Sign in');
          assert.deepEqual(await stored(), [0, 0]);
          await page.getByLabel('Keep on this device').check();
          await page.getByLabel('Master key').fill(key.one);
          await page.getByLabel('Master key').press('Enter');
          await heading(page, 'Overview');
          assert.deepEqual(await stored(), [0, 1]);
          assert.ok(addresses.every((url) => !url.includes(key.one)));
          // A key that is taken away ends the stream, and what comes next is the sign-in.
          fs.writeFileSync(
            file,
            '# nobody\n' + fs.readFileSync(file, 'utf8').replace(/^one /m, 'two '),
          );
          await run(['key', '--name', 'one', '--keys-file', file]);
          const lines = fs.readFileSync(file, 'utf8').split('\n');
          fs.writeFileSync(file, lines.filter((line) => !line.startsWith('two ')).join('\n'));
          server.process.signal('SIGHUP');
          await heading(page, 'Sign in');
          await says(page, /the key is not known/i);
          assert.deepEqual(await stored(), [0, 0]);
        },
        { ...desk, ...refusals },
      ),
    );
  });

  test('a key of one app sees that app; a key without a right is told so', async () => {
    const { file, key } = await masterKeys([['shop', '--app', 'shop', ...rights('query')]]);
    await withServer({ 'master-keys-file': file }, (server) =>
      inPage(
        async (page) => {
          const mine = await server.login({ app: 'shop', user: 'ann' });
          await mine.subscribe('news');
          await server.login({ app: 'other', user: 'bob' });
          await go(page, server);
          await page.getByLabel('Master key').fill(key.shop);
          await page.getByLabel('Master key').press('Enter');
          await says(page, 'This key does not see the nodes.');
          await page.getByRole('link', { name: 'shop' }).click();
          await page.getByRole('link', { name: 'news' }).click();
          await heading(page, 'news');
          await page.getByRole('button', { name: 'Publish' }).click();
          await says(page, 'Not for this key.');
          await assertAccessible(page);
          await page.goto(urlOf(server, '#/apps/other'));
          await says(page, 'The channels are not shown.');
          await assertAccessible(page);
        },
        { ...desk, ...refusals },
      ),
    );
  });

  // ---- what is live

  consoleTest('the overview moves when something is published', {}, async (page, server) => {
    await go(page, server);
    await says(page, 'No app is live.');
    const clients = [];
    for (const user of ['ann', 'bob', 'bob']) {
      const client = await server.login({ app: 'shop', user });
      clients.push(await client.subscribe('news'));
    }
    const tile = (name) =>
      page.locator('.tile').filter({ has: page.getByText(name, { exact: true }) });
    await tile('Connections').locator('.tile-value', { hasText: /^3$/ }).waitFor();
    await tile('Users').locator('.tile-value', { hasText: /^2$/ }).waitFor();
    const seen = async () => {
      await server.push('shop', 'news', 'e', '1');
      const texts = [
        await chartText(page, 'Publishes a second'),
        await chartText(page, 'Deliveries a second'),
        await chartText(page, 'From publish to write'),
      ];
      return texts.every((text) => /highest [^0]/.test(text)) && texts;
    };
    const [, , latency] = await until(seen, 'charts with something in them');
    assert.match(latency, /99 %: now [\d.]+ (µs|ms)/);
    await page.locator('.chart .curve-line').first().waitFor({ state: 'attached' });
    await row(page, 'Nodes', 'slave, master').waitFor();
    await page.getByRole('link', { name: 'shop' }).waitFor();
    // How they end is counted by reason.
    for (const client of clients) await client.close(1000);
    const ends = page.getByRole('list', { name: 'Sockets that ended, by reason' });
    await ends.getByText('client').waitFor();
    await page.locator('.plot').first().hover();
    await page.locator('.pointer-line').waitFor({ state: 'attached' });
  });

  consoleTest(
    'channels and users are found by name, with live counts',
    {},
    async (page, server) => {
      const name = 'a/b ?#%2F <i>☃';
      const client = await server.login({ app: 'sh/op', user: 'zoë' });
      for (let i = 0; i < 60; i++) await client.subscribe(`order-${String(i).padStart(2, '0')}`);
      await client.subscribe(name);
      await go(page, server, '#/apps');
      await page.getByRole('link', { name: 'sh/op' }).click();
      await heading(page, 'sh/op');
      const channels = page.getByRole('region', { name: 'Channels' });
      const list = channels.getByRole('list', { name: 'Channels' });
      await channels.getByText('50 of 61').waitFor();
      await channels.getByRole('button', { name: 'Show more' }).click();
      await until(async () => (await list.getByRole('listitem').count()) === 61, 'all of them');
      await page.keyboard.press('/');
      await page.keyboard.type('order-3');
      await until(async () => (await list.getByRole('listitem').count()) === 10, 'ten of them');
      const late = await server.login({ app: 'sh/op', user: 'late' });
      await late.subscribe('order-33');
      await list
        .getByRole('listitem')
        .filter({ hasText: 'order-33' })
        .getByText('2', { exact: true })
        .waitFor();
      await page.keyboard.press('Control+A');
      await page.keyboard.type('nothing like it');
      await says(page, 'Nothing live has “nothing like it” in its name.');
      await page.keyboard.press('Control+A');
      await page.keyboard.type('<i>');
      await page.getByRole('link', { name }).click();
      await heading(page, name);
      await row(page, 'Sockets', 'zoë').waitFor();
      await page.getByRole('link', { name: 'zoë' }).click();
      await heading(page, 'zoë');
    },
  );

  consoleTest(
    'the live tail shows what is published, as it is; and the box publishes',
    {},
    async (page, server) => {
      const client = await server.login({ app: 'app', user: 'ann' });
      await client.subscribe('news');
      await go(page, server, '#/apps/app/channels/news');
      await row(page, 'Sockets', 'ann').waitFor();
      await says(page, '1 subscription · 1 user');
      await says(page, 'Listening …');
      await says(page, 'Live');
      const tail = page.getByRole('log', { name: 'Messages' });
      const data =
        '{"html":"<script>globalThis.hacked=1</script><img src=x onerror=hacked=1>", "n":1e400,\n "big":9223372036854775808,"text":"☃ 😀\\n"}';
      await server.push('app', 'news', 'first', data);
      await tail.getByText('first').waitFor();
      await tail.getByText('first').click();
      const shown = await tail.locator('pre').textContent();
      for (const part of [
        '<script>globalThis.hacked=1</script>',
        '1e400',
        '9223372036854775808',
        '☃ 😀\\n',
      ])
        assert.ok(shown.includes(part), shown);
      assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
      await client.next();

      await page.getByLabel('Event').fill('second');
      await page.getByLabel('Data (JSON)').fill('not JSON');
      await page.getByRole('button', { name: 'Publish' }).click();
      await says(page, /This is not JSON .* A text needs quotes around it\./);
      await page.getByLabel('Data (JSON)').fill('[1.10, 12345678901234567890]');
      await page.getByLabel('Data (JSON)').press('Control+Enter');
      assert.equal(
        await client.next(),
        '{"channel":"news","event":"second","data":[1.10, 12345678901234567890]}',
      );
      await tail.getByText('12345678901234567890').waitFor();
      await says(page, 'Published.');

      await page.getByRole('button', { name: 'Pause' }).click();
      await server.push('app', 'news', 'unseen', '3');
      await says(page, /^3 seen/);
      assert.equal(await tail.getByText('unseen').count(), 0);
      await page.getByRole('button', { name: 'Go on' }).click();
      // How many came is announced, not each of them.
      await page
        .getByRole('status')
        .getByText(/new message/)
        .waitFor({ state: 'attached' });
    },
  );

  consoleTest(
    'names that no path can hold, or that cannot be seen, break no page',
    {},
    async (page, server) => {
      const client = await server.login({ app: 'app', user: '..', channels: ['*'] });
      await client.subscribe('..', '.', '  ', 'a\u202eevil');
      await go(page, server, '#/apps/app');
      const list = page.getByRole('list', { name: 'Channels' });
      await list.getByRole('link', { name: '..', exact: true }).click();
      await heading(page, '..');
      await says(page, 'No path of the API can hold the name "..".');
      await page.getByRole('button', { name: 'Publish' }).click();
      const refused = page.getByRole('alert').filter({ hasText: 'No path of the API can hold' });
      await until(async () => (await refused.count()) >= 2, 'the box, too, says why');
      await go(page, server, '#/apps/app/users/.');
      await refused.first().waitFor();
      await go(page, server, '#/apps/..');
      await heading(page, '..');
      await go(page, server, '#/apps/app');
      await list.getByRole('link', { name: 'a⟨U+202E⟩evil' }).waitFor();
      await list.getByRole('link', { name: '␣␣' }).click();
      await heading(page, '␣␣');
      await says(page, '1 subscription · 1 user');
    },
  );

  // ---- users and sockets

  consoleTest(
    'a user: sockets, grants, one more channel, a kick; then how the socket ended',
    {},
    async (page, server) => {
      const client = await server.login({ app: 'app', user: 'ann', channels: ['news', 'order-*'] });
      await client.subscribe('news');
      const id = await client.socketId();
      await go(page, server, '#/apps/app/users/ann');
      await row(page, 'Sockets', '127.0.0.1').waitFor();
      const grants = page.getByRole('list', { name: 'Grants' });
      await grants.getByText('order-*').waitFor();
      await page.getByLabel('Channel', { exact: true }).fill('extra');
      await page.getByRole('button', { name: 'Add channel' }).click();
      assert.equal((await client.nextJson()).event, 'gusher.addchannel');
      await grants.getByText('extra').waitFor();
      await page.getByLabel('Data (JSON)').fill('"to ann"');
      await page.getByRole('button', { name: 'Send' }).click();
      assert.equal(await client.next(), '"to ann"');

      await page.getByRole('link', { name: id.slice(0, 13) }).click();
      await heading(page, id);
      await page
        .getByRole('list', { name: 'Subscriptions' })
        .getByRole('link', { name: 'news' })
        .waitFor();
      const node = (
        await page.getByText('Node', { exact: true }).locator('xpath=..').textContent()
      ).slice(4);
      assert.match(node, /^[0-9a-f]{8}$/);

      // Escape leaves all as it was, and the focus where it was.
      const button = page.getByRole('button', { name: 'Disconnect …' });
      await button.click();
      await page.getByRole('dialog', { name: 'Disconnect this socket?' }).waitFor();
      await page.keyboard.press('Escape');
      await until(() => button.evaluate((e) => e === document.activeElement), 'the focus is back');
      await button.click();
      await page.getByLabel('Reason (the client is told)').fill('enough');
      await page.keyboard.press('Enter');
      assert.equal((await client.closed()).code, 4002);
      await says(page, 'This socket has ended');
      await says(page, 'A backend or an operator closed the socket.');
      await says(page, /enough/);

      await page.goto(urlOf(server, '#/apps/app/users/ann'));
      await says(page, 'This user is offline.');
      await row(page, 'Disconnects', 'kicked').waitFor();
    },
    { ...desk, ...refusals },
  );

  consoleTest(
    'disconnects by their reasons, and everybody is kicked only when sure',
    {},
    async (page, server) => {
      const ann = await server.login({ app: 'app', user: 'ann' });
      const bob = await server.login({ app: 'app', user: 'bob' });
      await server.login({ app: 'app' });
      await ann.close(1000);
      bob.ws._socket.destroy();
      await go(page, server, '#/apps/app');
      await row(page, 'Disconnects', 'ann').waitFor();
      await page.getByRole('link', { name: 'All, with reasons' }).click();
      await heading(page, 'Disconnects');
      await page.getByRole('radio', { name: /^gone 1/ }).check();
      await says(page, 'The connection broke, or ended without a close frame');
      await row(page, 'Disconnects', 'bob').waitFor();
      assert.equal(await row(page, 'Disconnects', 'ann').count(), 0);

      await page.getByRole('link', { name: 'app', exact: true }).click();
      await heading(page, 'app');
      await page.getByRole('link', { name: '1 connection' }).click();
      await heading(page, 'Sockets');
      await row(page, 'Sockets', 'anonymous').waitFor();
      await page.goBack();
      await heading(page, 'app');
      await page.getByRole('button', { name: 'Disconnect all …' }).click();
      const sure = page.getByRole('button', { name: 'Disconnect all', exact: true });
      const typed = page.getByLabel('Type app to go on');
      await typed.fill('ap');
      await typed.press('Enter');
      assert.equal(await sure.getAttribute('aria-disabled'), 'true');
      assert.ok(await page.getByRole('dialog').isVisible());
      await typed.fill('app');
      await sure.click();
      await says(page, 'Every socket of the app is being closed.');
      await row(page, 'Disconnects', 'kicked').waitFor();
    },
  );

  consoleTest(
    'of long lists the rest is counted, and long names take three lines',
    {},
    async (page, server) => {
      const long = 'x'.repeat(800);
      const names = Array.from({ length: 150 }, (_, i) => `channel-${i}`);
      const first = await server.login({ app: 'app', user: long, channels: ['*'] });
      const second = await server.login({ app: 'app', user: long, channels: ['*'] });
      for (let i = 0; i < names.length; i += 50) await first.subscribe(...names.slice(i, i + 50));
      await second.subscribe('another');
      await go(page, server, `#/apps/app/users/${long}`);
      await says(page, 'and 50 more');
      const height = async (line) => {
        await line.first().waitFor();
        return (await line.first().boundingBox()).height;
      };
      await go(page, server, '#/apps/app/sockets');
      assert.ok((await height(row(page, 'Sockets', long))) < 120);
      await go(page, server, '#/apps/app');
      assert.ok((await height(page.getByRole('listitem').filter({ hasText: long }))) < 120);
    },
  );

  consoleTest(
    "a socket's story is told, also when it is gone",
    {},
    async (page, server) => {
      const ann = await server.login({ app: 'app', user: 'ann', channels: ['news'] });
      await ann.subscribe('news');
      await go(page, server, `#/apps/app/sockets/${await ann.socketId()}`);
      await row(page, 'Events', 'gusher.subscribe_succeeded')
        .getByText('{"channel":"news"}')
        .waitFor();
      await row(page, 'Events', 'Opened, from').getByText('127.0.0.1').waitFor();
      await ann.close(4000, '<b>enough</b>');
      await says(page, 'This socket has ended');
      await row(page, 'Events', 'Closed').getByText('client (4000)').waitFor();
      await row(page, 'Events', 'Opened, from').waitFor();
      // From the list of those that have ended it is one step.
      await go(page, server, '#/apps/app/disconnects');
      await row(page, 'Disconnects', 'ann')
        .getByRole('link', { name: /the socket$/ })
        .click();
      await row(page, 'Events', 'Closed').waitFor();
      await go(page, server, '#/apps/app/sockets/nobody');
      await says(page, 'This socket is not there.');
      await says(page, 'Nothing is known of it any more.');
    },
    { ...desk, ...refusals },
  );

  // ---- trying it out

  test('try it: a token, a socket of the page, and a message all the way', async () => {
    await withServer(dev(), (server) =>
      inPage(async (page) => {
        await go(page, server, '#/apps');
        await page.getByRole('link', { name: 'Open one to try it.' }).click();
        await heading(page, 'Try it');
        await page.getByLabel('Subscribe to').fill('news, other');
        await page.getByRole('button', { name: 'Open a socket' }).click();
        await page.getByRole('link', { name: 'other' }).waitFor();
        await says(page, 'open');
        await page.getByLabel('Data (JSON)').fill('{"n":1.50}');
        await page.getByRole('button', { name: 'Publish' }).click();
        const got = page.getByRole('log', { name: 'Messages of the socket' });
        await got.getByText('news: greeting').waitFor();
        await got.getByText('{"channel":"news","event":"greeting","data":{"n":1.50}}').waitFor();
        assert.deepEqual(await server.names('/demo/channels'), ['news', 'other']);
        await assertAccessible(page);
        const kicked = await request(server.master, 'POST', '/v1/apps/demo/users/alice/kick', {
          agent: server.agent,
          body: '{"reason":"enough"}',
        });
        assert.equal(kicked.status, 200);
        await says(page, 'The server closed it: 4002 enough.');
        await page.getByRole('button', { name: 'Open a socket' }).click();
        await page.getByRole('link', { name: 'news' }).waitFor();
        await page.getByRole('button', { name: 'Close the socket' }).click();
        await until(async () => (await server.names('/demo/channels')).length === 0, 'it is gone');
      }, desk),
    );
  });

  // ---- looking away, and a server that is away

  consoleTest(
    'a hidden tab asks for nothing, and goes on when it is shown',
    {},
    async (page, server) => {
      await page.clock.install();
      await go(page, server, '#/apps');
      await says(page, 'Live');
      const requests = [];
      page.on('request', (r) => requests.push(r.url()));
      const turn = (state) =>
        page.evaluate((value) => {
          Object.defineProperty(document, 'visibilityState', { value, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));
        }, state);
      const ended = page.waitForEvent('requestfailed', (r) => r.url().endsWith('/v1/events'));
      await turn('hidden');
      await ended;
      await says(page, 'Paused');
      requests.length = 0;
      await page.clock.runFor(60_000);
      assert.deepEqual(requests, []);
      await turn('visible');
      await says(page, 'Live');
      await until(() => requests.some((url) => url.endsWith('/v1/apps')), 'it asks again');
      assert.equal(requests.filter((url) => url.includes('/v1/events')).length, 1);
    },
  );

  test('a server that is away is told in a banner, and all goes on when it is back', async () => {
    const address = await freeAddress();
    let server = await Server.start({ 'master-api-listen': address });
    try {
      await inPage(
        async (page) => {
          await go(page, server);
          await row(page, 'Nodes', 'slave, master').waitFor();
          await server.stop();
          await says(page, /Not connected, trying again in \d+ s/);
          await assertAccessible(page);
          server = await Server.start({ 'master-api-listen': address });
          await page
            .getByRole('button', { name: 'Try now' })
            .click({ timeout: 2000 })
            .catch(() => {});
          await says(page, 'Live');
          await page.locator('.banner').waitFor({ state: 'detached' });
          const client = await server.login({ app: 'back' });
          await client.subscribe('c');
          await page.getByRole('link', { name: 'back' }).waitFor();
        },
        { ...desk, ...refusals },
      );
      await server.stop();
    } finally {
      server.kill();
    }
  });
});
