// The recorded conversations of the original, where the folder with them is at hand.
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

/** These pin that JSON bodies are not read. */
const noJsonBodies = {
  'push-missing-data': /./,
  'http-no-body-leak': /./,
};

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

/** The lines of all transcripts: [outcome, name, what the line says behind it]. */
async function replayAll(addresses) {
  const files = fs.readdirSync(folder).filter((name) => name.endsWith('.json'));
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    files.filter((__, i) => i % LANES === lane).map((name) => path.join(folder, name)),
  );
  const output = (await Promise.all(lanes.map((lane) => replayFiles(addresses, lane)))).join('');
  const lines = [...output.matchAll(/^(PASS|FAIL|SKIP) ([\w-]+)(.*)$/gm)];
  assert.equal(lines.length, files.length, 'one line a transcript');
  return lines.map(([, ...parts]) => parts).sort(([, a], [, b]) => (a < b ? -1 : 1));
}

async function judge(t, lines, known) {
  const names = lines.map(([, name]) => name);
  for (const name of Object.keys(known)) assert.ok(names.includes(name), `${name} is gone`);
  for (const [outcome, name, rest] of lines) {
    await t.test(name, (sub) => {
      if (outcome === 'SKIP') sub.skip(rest.trim());
      else if (!known[name]) assert.equal(outcome, 'PASS', rest);
      else assert.match(`${outcome}${rest}`, new RegExp(`^FAIL.*${known[name].source}`));
    });
  }
}

if (fs.existsSync(replay)) {
  test('transcripts', { concurrency: true }, async (t) => {
    const redis = await Redis.start();
    const flags = { 'remote-url': `redis://${redis.address}` };
    const alone = (more) => async (play) =>
      withServer({ ...flags, ...more }, ({ master, slave }) => play({ master, slave, redis }));
    const cluster = (play) =>
      withCluster({ slaves: 2, slaveFlags: flags }, ({ masters, slaves }) =>
        play({
          master: masters[0].master,
          slave: slaves[0].slave,
          slave2: slaves[1].slave,
          redis,
        }),
      );
    const runs = [
      ['without JSON bodies', alone({ 'json-bodies': 'off' }), {}],
      ['with JSON bodies', alone({}), noJsonBodies],
      ['two slaves and a master', cluster, noJsonBodies],
    ];
    try {
      await Promise.all(
        runs.map(([name, run, known]) =>
          t.test(name, (sub) => run(async (to) => judge(sub, await replayAll(to), known))),
        ),
      );
    } finally {
      await redis.stop();
    }
  });
} else {
  test('transcripts', { skip: `there is no ${replay}` }, () => {});
}
