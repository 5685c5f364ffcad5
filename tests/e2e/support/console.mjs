// What the tests of the console share, and its screenshots: a browser, pages, and how to find things on
// them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './browser.mjs';
import { withServer } from './gusher.mjs';
import { request } from './http.mjs';
import * as keys from './keys.mjs';

export const desk = { viewport: { width: 1280, height: 800 } };
export const phone = { viewport: { width: 360, height: 740 }, hasTouch: true };
/** What Chromium itself says of answers that are no success, and of a server that is away. */
export const refusals = { permitted: /Failed to load resource/ };

let browser;

/** One browser for all tests of the file. */
export function useBrowser() {
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
}

/** Runs `look(page, context)` in a page of that browser. */
export const inPage = (look, options = desk) =>
  withPage(
    browser,
    (page, context) => {
      page.setDefaultTimeout(15_000);
      return look(page, context);
    },
    options,
  );

export const urlOf = (server, hash = '#/') =>
  `http://${server.master.host}:${server.master.port}/ui/${hash}`;

/** A test with a server and a page of its own, which asks nobody but that server. */
export function consoleTest(name, flags, body, options = desk) {
  test(name, () =>
    withServer(flags, (server) =>
      inPage(async (page, context) => {
        const { host } = new URL(urlOf(server));
        const strangers = [];
        page.on('request', (r) => new URL(r.url()).host !== host && strangers.push(r.url()));
        await body(page, server, context);
        assert.deepEqual(strangers, [], 'requests that go elsewhere');
      }, options),
    ),
  );
}

export const dev = () => ({
  dev: true,
  'public-pem-file': undefined,
  'state-dir': keys.freshFolder('dev'),
});

/** A socket at a server with --dev, whose key is its own. */
export async function devLogin(server, { app, user = '', channels = ['*'] }) {
  const body = JSON.stringify({ app, user_id: user, channels });
  const reply = await request(server.master, 'POST', '/v1/dev/token', {
    agent: server.agent,
    body,
  });
  return server.connect(server.url(app, reply.json().token));
}

export async function go(page, server, hash) {
  await page.goto(urlOf(server, hash));
  await page.locator('h1').waitFor();
}

/** Waits until the page says so somewhere. */
export const says = (page, text) => page.getByText(text).first().waitFor();

export const row = (page, table, text) =>
  page.getByRole('group', { name: table }).locator('tbody tr').filter({ hasText: text });

export const heading = (page, name) =>
  page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
