// The examples, run as their READMEs say, in a real Chromium.
import assert from 'node:assert/strict';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { assertAccessible, launch, withPage } from './support/browser.mjs';
import { Client } from './support/client.mjs';
import { bin, environment, Process, root } from './support/gusher.mjs';
import { freePort } from './support/ports.mjs';
import { until } from './support/wait.mjs';

// Once, with the program that users run.
const once = { skip: process.env.SANITIZED ? 'takes long' : false };

let browser;
before(async () => (browser = once.skip ? undefined : await launch()));
after(() => browser?.close());

/** A running example: { url, output, backend() }; `look` gets it. Whatever it started ends with it. */
async function withExample(name, env, look) {
  const port = await freePort();
  const run = new Process(path.join(root, 'examples', name, 'run'), [], {
    env: environment({ GUSHER_BIN: bin, PORT: String(port), ...env }),
  });
  const processes = (line) => line.match(/process (\d+)/g).map((text) => Number(text.slice(8)));
  const example = {
    url: `http://127.0.0.1:${port}/`,
    /** The ids of the backend and of gusher, each time a backend is started. */
    async started() {
      const ids = processes(await run.line('stdout', /the backend is process/));
      await run.line('stdout', /^Open http/);
      return ids;
    },
  };
  try {
    example.ids = await example.started();
    await look(example);
    run.signal('SIGINT');
    await run.exit();
    for (const id of example.ids)
      assert.throws(() => process.kill(id, 0), { code: 'ESRCH' }, 'a process was left behind');
    assert.doesNotMatch(run.stderr, /Error|Sanitizer/);
  } finally {
    if (run.isRunning) run.signal('SIGTERM');
    await run.exit();
  }
}

/** What came and went over the page's WebSockets. */
function watch(page) {
  const seen = { sockets: 0, sent: '', received: '' };
  page.on('websocket', (ws) => {
    seen.sockets++;
    ws.on('framesent', ({ payload }) => (seen.sent += payload));
    ws.on('framereceived', ({ payload }) => (seen.received += payload));
  });
  return seen;
}

async function comeIn(page, url, name) {
  if (url) await page.goto(url);
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Come in' }).click();
  await page.getByText('connected').waitFor();
}

async function say(page, text) {
  await page.getByLabel('Message').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

const said = (page, text) => page.getByRole('log').getByText(text, { exact: true }).waitFor();
const person = (page, name) => page.getByRole('navigation').getByRole('button', { name });

/** Runs `look` with a page of a browser of its own for each name. */
function withPeople(names, url, look, options = {}, pages = []) {
  if (pages.length === names.length) return look(...pages);
  return withPage(
    browser,
    async (page) => {
      page.seen = watch(page);
      await comeIn(page, url, names[pages.length]);
      await withPeople(names, url, look, options, [...pages, page]);
    },
    options,
  );
}

test('chat: rooms, who is there, private messages', once, () =>
  withExample('chat', {}, ({ url }) =>
    withPeople(['Ann', 'Bob', 'Cy D.'], url, async (ann, bob, cy) => {
      // Who is there.
      for (const name of ['Bob', 'Cy D.']) await person(ann, name).waitFor();
      await person(bob, 'Ann').waitFor();

      // A room; markup is text.
      const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>&amp;'"`;
      await say(ann, hostile);
      for (const page of [ann, bob, cy]) await said(page, hostile);
      await say(bob, 'hello Ann');
      await said(ann, 'hello Ann');
      assert.equal(await bob.title(), 'Chat');
      assert.equal(await bob.locator('#chat img, #chat script').count(), 0);

      // Another room is marked, and has its messages.
      await ann.getByRole('button', { name: '# garden' }).click();
      await say(ann, 'in the garden');
      await bob.getByRole('button', { name: '# garden 1 new' }).click();
      await said(bob, 'in the garden');
      assert.equal(await bob.getByRole('log').getByText('hello Ann').count(), 0);

      // In private: Bob is told, Cy is not.
      await person(ann, 'Bob').click();
      await say(ann, 'a secret');
      await said(ann, 'a secret');
      await person(bob, 'Ann 1 new').click();
      await said(bob, 'a secret');
      await say(bob, 'an answer');
      await said(ann, 'an answer');
      await ann.getByRole('button', { name: '# lobby' }).click();
      await say(ann, 'for all');
      await said(cy, 'for all');
      assert.doesNotMatch(cy.seen.received, /a secret|an answer/);
      assert.match(bob.seen.received, /a secret/);

      // Nor can Cy get at it: neither of gusher, by the token, nor of the backend.
      const access = (page) =>
        page.evaluate(async () => {
          const headers = { 'Content-Type': 'application/json' };
          return (await fetch('token', { method: 'POST', headers, body: '{}' })).json();
        });
      const { me } = await access(ann);
      const { jwt, sockets, app, channels } = await access(cy);
      assert.ok(!channels.some((channel) => channel.includes('*')));
      const spy = await Client.open(
        `${sockets.replace('http', 'ws')}/v1/apps/${app}/ws?token=${jwt}`,
      );
      assert.equal(
        (await spy.command('gusher.subscribe', { channel: `inbox:${me.id}` })).event,
        'gusher.subscribe_error',
      );
      await spy.close();
      const state = await cy.evaluate(async () => (await fetch('state')).text());
      assert.match(state, /for all/);
      assert.doesNotMatch(state, /secret|an answer/);

      // Who comes later is told what was, and who goes is gone.
      await cy.reload();
      await said(cy, 'for all');
      await cy.goto('about:blank');
      await person(ann, 'Cy D.').waitFor({ state: 'detached' });
      await bob.getByRole('button', { name: 'Leave' }).click();
      await bob.getByLabel('Your name').waitFor();
      await person(ann, 'Bob (gone)').waitFor(); // they have talked
      assert.equal(ann.seen.sockets, 1);
    }),
  ),
);

test('chat: what the backend refuses, and a token that is renewed', once, () =>
  withExample('chat', { TOKEN_SECONDS: '5' }, ({ url }) =>
    withPeople(
      ['Ann'],
      url,
      async (ann) => {
        const post = (path, body, type = 'application/json') =>
          ann.evaluate(
            async ([path, body, type]) => {
              const reply = await fetch(path, {
                method: 'POST',
                headers: { 'Content-Type': type },
                body,
              });
              return reply.status;
            },
            [path, typeof body === 'string' ? body : JSON.stringify(body), type],
          );
        for (const name of ['*', 'room:*', '<b>', '', ' ', 'x'.repeat(21), null, {}, 'a\nb'])
          assert.equal(await post('sign-in', { name }), 400, name);
        assert.equal(await post('sign-in', { name: 'ANN' }), 409);
        assert.equal(await post('say', { room: 'cellar', text: 'x' }), 404);
        assert.equal(await post('whisper', { to: 'nobody', text: 'x' }), 404);
        for (const text of ['', '  ', 'x'.repeat(501), 7, undefined])
          assert.equal(await post('say', { room: 'lobby', text }), 400, text);
        assert.equal(await post('say', 'x'.repeat(5000)), 413);
        assert.equal(await post('say', '{'), 400);
        assert.equal(
          await post('say', 'room=lobby&text=x', 'application/x-www-form-urlencoded'),
          415,
        );
        assert.equal(await post('__proto__', {}), 404);
        const many = await Promise.all(
          Array.from({ length: 12 }, () => post('say', { room: 'lobby', text: 'again' })),
        );
        assert.deepEqual([...new Set(many)].sort(), [200, 429]);

        // Nothing secret is in what a page can read.
        for (const name of ['', 'page.js', 'socket.js', 'page.css', 'look.css']) {
          const reply = await fetch(url + name);
          assert.equal(reply.status, 200);
          assert.doesNotMatch(await reply.text(), /PRIVATE|gk_/);
        }
        assert.equal(await ann.evaluate(() => document.cookie), '');

        await until(() => /gusher.refresh_succeeded/.test(ann.seen.received), 'a renewed token');
        await ann.getByRole('button', { name: 'Leave' }).click();
        await assertAccessible(ann);
        await comeIn(ann, '', 'Ann'); // the name is free again
        await assertAccessible(ann);
        await ann.emulateMedia({ colorScheme: 'dark' });
        await assertAccessible(ann);
      },
      { permitted: /Failed to load resource: the server responded with a status of 4/ },
    ),
  ),
);

test('dashboard: figures move, survive the backend, and newcomers are told what was', once, () =>
  withExample('dashboard', {}, async (example) => {
    const points = (page) =>
      page
        .locator('.line')
        .first()
        .getAttribute('d')
        .then((d) => (d ?? '').split(/[ML]/).length - 1);
    const permitted = {
      permitted:
        /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED/,
    };
    await withPage(
      browser,
      async (page) => {
        const moves = async (n = 1) => {
          const before = await points(page);
          await until(async () => (await points(page)) >= before + n, 'new figures');
        };
        const sockets = [];
        await page.routeWebSocket(/\/ws\?/, (ws) =>
          sockets.push({ ws, server: ws.connectToServer() }),
        );
        await page.goto(example.url);
        await page.getByText('live', { exact: true }).waitFor();
        await moves();
        assert.match(await page.locator('#cpu').textContent(), /^\d+\.\d$/);
        assert.match(await page.locator('#viewers').textContent(), /^[1-9]\d*$/);

        // Somebody who comes now sees the past at once.
        await withPage(browser, async (other) => {
          await other.goto(example.url);
          const known = await points(page);
          await until(async () => (await points(other)) >= known, 'the past');
          await assertAccessible(other);
          await other.emulateMedia({ colorScheme: 'dark' });
          await assertAccessible(other);
        });

        // The backend is killed: the socket stays, and the figures come back.
        process.kill(example.ids[0], 'SIGKILL');
        example.ids = await example.started();
        await moves();
        assert.equal(sockets.length, 1);

        // The backend says nothing: the page tells how old its figures are.
        process.kill(example.ids[0], 'SIGSTOP');
        await page.getByText(/nothing new for \d+ s/).waitFor();
        // The socket is lost, too: the page comes back as soon as there is a token again.
        await sockets[0].server.close();
        await sockets[0].ws.close({ code: 1001 });
        await page.getByText('connecting …').waitFor();
        process.kill(example.ids[0], 'SIGCONT');
        await page.getByText('live', { exact: true }).waitFor();
        await moves();
        await page.getByText(/nothing new/).waitFor({ state: 'hidden' });
        assert.equal(sockets.length, 2);
      },
      permitted,
    );
  }),
);
