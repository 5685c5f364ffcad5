// The recorded conversations of the original, where the folder with them is at hand. SLOW=1: those,
// too, that wait a minute or two for a timeout.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { withCluster } from './support/cluster.mjs';
import { Process, root, withServer } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { Redis } from './support/redis.mjs';

const spec = path.join(process.env.GUSHER_SHARED ?? path.join(root, '../shared'), 'spec');
const replay = path.join(spec, 'replay.mjs');
const folder = path.join(spec, 'transcripts');

/** These pin that JSON bodies are not read: where they are, they must fail. */
const noJsonBodies = ['http-no-body-leak', 'push-missing-data'];

/** They mostly wait, and each has apps of its own: several may run at once. */
const LANES = 4;
const REPLAY_MS = 240_000;

const urlOf = ({ host, port }) => `http://${host}:${port}`;

async function replayFiles({ master, slave, slave2, redis }, files) {
  const args = [
    replay,
    ...['--master', urlOf(master), '--slave', urlOf(slave)],
    ...(slave2 ? ['--slave2', urlOf(slave2)] : []),
    ...['--redis', redis.address],
    ...['--private-key', keys.privateFile, '--quirks', 'sane'],
    ...['--scale', process.env.REPLAY_SCALE ?? '1'],
    ...(process.env.SLOW ? ['--slow'] : []),
    ...files,
  ];
  // The folder in which `ws` is installed.
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  const p = new Process(process.execPath, args, { cwd });
  try {
    await p.exit(REPLAY_MS);
    assert.match(p.stdout, /^\d+ passed, \d+ failed$/m, p.stderr);
    return p.stdout;
  } finally {
    p.kill();
  }
}

const allNames = () =>
  fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => path.basename(name, '.json'))
    .sort();

/** The lines of these transcripts: [outcome, name, what the line says behind it]. */
async function replayThem(addresses, names) {
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    names.filter((__, i) => i % LANES === lane).map((name) => path.join(folder, `${name}.json`)),
  ).filter((lane) => lane.length);
  const output = (await Promise.all(lanes.map((lane) => replayFiles(addresses, lane)))).join('');
  const lines = [...output.matchAll(/^(PASS|FAIL|SKIP) ([\w-]+)(.*)$/gm)];
  const parts = lines.map(([, ...rest]) => rest).sort(([, a], [, b]) => (a < b ? -1 : 1));
  assert.deepEqual(
    parts.map(([, name]) => name),
    names,
    'one line a transcript',
  );
  return parts;
}

async function judge(t, lines, failing) {
  for (const [outcome, name, rest] of lines) {
    await t.test(name, (sub) => {
      if (outcome === 'SKIP') sub.skip(rest.trim());
      else assert.equal(outcome, failing.includes(name) ? 'FAIL' : 'PASS', rest);
    });
  }
}

if (fs.existsSync(replay)) {
  test('transcripts', { concurrency: true }, async (t) => {
    const redis = await Redis.start();
    const flags = { 'remote-url': `redis://${redis.address}` };
    const alone = (more) => async (play) =>
      withServer({ ...flags, ...more }, ({ master, slave }) => play({ master, slave, redis }));
    const cluster = (more) => (play) =>
      withCluster({ slaves: 2, flags: more, slaveFlags: flags }, ({ masters, slaves }) =>
        play({
          master: masters[0].master,
          slave: slaves[0].slave,
          slave2: slaves[1].slave,
          redis,
        }),
      );
    // What a run replays, and which of these must fail.
    const off = { 'json-bodies': 'off' };
    const runs = [
      ['without JSON bodies', alone(off), allNames(), []],
      ['with JSON bodies', alone({}), allNames(), noJsonBodies],
      ['two slaves and a master', cluster({}), allNames(), noJsonBodies],
      ['two slaves and a master without JSON bodies', cluster(off), noJsonBodies, []],
    ];
    try {
      await Promise.all(
        runs.map(([name, run, names, failing]) =>
          t.test(name, (sub) =>
            run(async (to) => judge(sub, await replayThem(to, names), failing)),
          ),
        ),
      );
    } finally {
      await redis.stop();
    }
  });
} else {
  test('transcripts', { skip: `there is no ${replay}` }, () => {});
}
