// The soak itself: what its judge says of memory, and that all of its actors work. Its hours are run by hand.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { judgeMemory, median } from '../soak/judge.mjs';
import { bin, root } from './support/gusher.mjs';
import { freshFolder } from './support/keys.mjs';
import { Process } from './support/process.mjs';

const HOUR = 60;

/** An hour of samples, 25 sessions a second; `rssKib(seconds)`. */
const hour = (rssKib) =>
  Array.from({ length: 360 }, (_, i) => ({
    seconds: i * 10,
    sessions: i * 250,
    rssKib: rssKib(i * 10),
  }));

test('the judge of memory', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  const verdict = (rssKib) => judgeMemory(hour(rssKib), HOUR).isFlat;
  const wave = (seconds) => 16_000 + 800 * Math.sin(seconds / 50);
  assert.ok(verdict(wave), 'up and down is flat');
  assert.ok(verdict((s) => wave(s) + Math.min(s, 600) * 20), 'the warm-up does not count');
  assert.ok(!verdict((s) => wave(s) + (s * 25 * 100) / 1024), '100 bytes a session are found');
  assert.ok(!verdict((s) => (s < 3000 ? 16_000 : 19_000)), 'a step is found');
  const { bytesASession } = judgeMemory(hour((s) => 16_000 + (s * 25 * 100) / 1024), HOUR);
  assert.ok(Math.abs(bytesASession - 100) < 1, `${bytesASession}`);
  assert.ok(!judgeMemory([], HOUR).isFlat, 'without samples nothing is shown');
});

test('a soak of some seconds finds nothing but that memory was not warm yet', async () => {
  const more = ['--minutes', '0.1', '--rate', '0.5', '--bound', '20000', '--seed', '1'];
  const args = [path.join(root, 'tests/soak/main.mjs'), ...more, '--out', freshFolder('soak')];
  const soak = new Process(process.execPath, args, { env: { ...process.env, GUSHER_BIN: bin } });
  try {
    await soak.exit(150_000);
    assert.match(soak.stdout, /\nsoak: (nothing was found|1 findings)\n$/, soak.stderr);
    const findings = soak.stdout.split('\n').filter((line) => line.startsWith('FINDING'));
    assert.deepEqual(findings.filter((line) => !/memory grows/.test(line)), []);
    assert.match(soak.stdout, /sessions [1-9].*victims' [1-9]/);
  } finally {
    soak.kill();
  }
});
