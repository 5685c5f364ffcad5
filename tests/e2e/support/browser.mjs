// Pages in a real Chromium: what they complain about counts as a failure.
import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

function program() {
  const found = places.filter(Boolean).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  assert.ok(found, 'no Chromium here: script/setup --test installs it, CHROMIUM names another');
  return found;
}

/** A Chromium for the tests of one file; `await browser.close()` after them. */
export function launch() {
  return chromium.launch({ executablePath: program(), args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** Runs `look(page)` in a page of its own. Errors of scripts, and whatever the console is told as an error or a warning
 *  (refused by the content security policy, not found, ..), fail it, but for texts that match `permitted`. */
export async function withPage(browser, look, { permitted = /^$/, ...options } = {}) {
  const context = await browser.newContext(options);
  const complaints = [];
  const complain = (text) => permitted.test(text) || complaints.push(text);
  try {
    const page = await context.newPage();
    page.on('pageerror', (error) => complain(`${error.stack ?? error}`));
    page.on('console', (line) => {
      if (['error', 'warning'].includes(line.type())) complain(`${line.type()}: ${line.text()}`);
    });
    await look(page, context);
    assert.deepEqual(complaints, [], 'what the page complained about');
  } finally {
    await context.close();
  }
}

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Fails for whatever axe finds wrong with the page as it is now (WCAG 2.2 A and AA, best practices). */
export async function assertAccessible(page) {
  // By the debugger's own road: a page with a strict policy lets no script element in.
  await page.evaluate(`{ const module = undefined, define = undefined; ${await readFile(axe, 'utf8')} }; 0`);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(
    violations.map((v) => ({ rule: v.id, help: v.help, where: v.nodes.map((n) => n.target.join(' ')) })),
    [],
  );
}
