// The console for everybody: for screen readers, by keyboard, in light and dark, on a phone.
import assert from 'node:assert/strict';
import { assertAccessible } from './support/browser.mjs';
import {
  consoleTest,
  desk,
  dev,
  devLogin,
  go,
  heading,
  phone,
  refusals,
  says,
  urlOf,
  useBrowser,
} from './support/console.mjs';
import { until } from './support/wait.mjs';

useBrowser();

/** Some of everything, so that every page has something on it. */
async function liven(login) {
  const client = await login({ app: 'app', user: 'ann', channels: ['news', 'order-*'] });
  await client.subscribe('news');
  const long = await login({ app: 'app', user: `someone-with-${'a-long-name-'.repeat(12)}` });
  await long.subscribe(`order-${'1234567890'.repeat(12)}`);
  const gone = await login({ app: 'app', user: 'bob' });
  await gone.close(1000);
  return [
    '#/',
    '#/apps',
    '#/apps/app',
    '#/apps/app/disconnects',
    '#/apps/app/sockets',
    '#/apps/app/channels/news',
    '#/apps/app/channels/nobody-here',
    '#/apps/app/users/ann',
    '#/apps/app/users/nobody',
    `#/apps/app/sockets/${await client.socketId()}`,
    '#/apps/app/sockets/none',
    '#/try',
    '#/no/such/page',
  ];
}

const settled = async (page) => {
  await page.locator('h1').waitFor();
  await page.getByText('Asking the nodes').first().waitFor({ state: 'detached' });
};

consoleTest(
  'every page is accessible, in light and in dark',
  dev(),
  async (page, server) => {
    await page.goto(urlOf(server));
    for (const hash of await liven((who) => devLogin(server, who))) {
      await page.goto(urlOf(server, hash));
      await settled(page);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await assertAccessible(page);
      }
    }
    // What is chosen wins over the system, and is remembered.
    const ground = () =>
      page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const dark = await ground();
    await page.getByRole('button', { name: /^Colours/ }).click();
    assert.notEqual(await ground(), dark);
    await page.reload();
    await settled(page);
    assert.notEqual(await ground(), dark);
    await page.getByRole('button', { name: 'Keyboard help' }).click();
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    await assertAccessible(page);
  },
  { ...desk, ...refusals },
);

consoleTest(
  'on a phone nothing is wider than the page',
  {},
  async (page, server) => {
    for (const hash of await liven((who) => server.login(who))) {
      await page.goto(urlOf(server, hash));
      await settled(page);
      const [whole, seen] = await page.evaluate(() => [
        document.documentElement.scrollWidth,
        document.documentElement.clientWidth,
      ]);
      assert.ok(whole <= seen, `${hash}: ${whole} > ${seen}`);
      const nav = await page.getByRole('navigation', { name: 'Console' }).boundingBox();
      assert.equal(Math.round(nav.y + nav.height), phone.viewport.height, 'the bar is at the foot');
    }
    await assertAccessible(page);
  },
  { ...phone, ...refusals },
);

consoleTest('by keyboard alone, from the beginning to a kick', {}, async (page, server) => {
  const client = await server.login({ app: 'app', user: 'ann' });
  await client.subscribe('news');
  await go(page, server);
  await page.getByRole('link', { name: 'app', exact: true }).waitFor();
  const press = async (...list) => {
    for (const key of list) await page.keyboard.press(key);
  };
  const focused = () =>
    page.evaluate(
      () => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent,
    );
  const tabTo = async (text) => {
    for (let i = 0; i < 40 && !(await focused()).startsWith(text); i++) await press('Tab');
    assert.ok((await focused()).startsWith(text), `${text} is reached`);
    // Whatever has the focus shows it.
    const outline = await page.evaluate(
      () => getComputedStyle(document.activeElement).outlineStyle,
    );
    assert.notEqual(outline, 'none', text);
  };
  await press('Tab');
  assert.equal(await focused(), 'To the content');
  await press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await tabTo('app');
  await press('Enter');
  await heading(page, 'app');
  // A new page begins at its heading, and says what it is.
  await until(async () => (await focused()) === 'app', 'the heading has the focus');
  assert.equal(await page.title(), 'app · gusher');
  await page.getByRole('link', { name: 'news' }).waitFor();
  await press('/');
  await page.keyboard.type('new');
  await press('Escape');
  await tabTo('news');
  await press('Enter');
  await heading(page, 'news');
  await page.getByRole('link', { name: 'ann' }).waitFor();
  await tabTo('ann');
  await press('Enter');
  await heading(page, 'ann');
  await page.getByRole('group', { name: 'Sockets' }).waitFor();
  await tabTo('Disconnect …');
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  // The focus stays in the dialog.
  for (let i = 0; i < 6; i++) {
    await press('Tab');
    assert.ok(
      await page.evaluate(
        () =>
          document.activeElement === document.body ||
          Boolean(document.activeElement.closest('dialog')),
      ),
    );
  }
  await tabTo('Disconnect');
  await press('Enter');
  assert.equal((await client.closed()).code, 4002);
  await says(page, 'This user is offline.');

  // Single keys can be turned off.
  await press('?');
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
  await page.getByLabel('Single keys are shortcuts').uncheck();
  await press('Escape', '?');
  assert.equal(await page.getByRole('dialog').count(), 0);
});
