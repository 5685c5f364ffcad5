// The recorded conversations of the original, where the folder with them is at hand.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Process, root, withServer } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';

const spec = path.join(process.env.GUSHER_SHARED ?? path.join(root, '../shared'), 'spec');
const replay = path.join(spec, 'replay.mjs');
const folder = path.join(spec, 'transcripts');

/** A remote command needs a sink to be handed to; until there is one it is answered by an error. */
const noSink = {
  'remote-allowed-debug': /step 3 .*gusher\.remote_succeeded.* got .*gusher\.remote_error/,
  'remote-allowed-silent': /step 3 .*expected silence got .*gusher\.remote_error/,
};
/** These pin that JSON bodies are not read. */
const noJsonBodies = {
  'push-missing-data': /./,
  'http-no-body-leak': /./,
};

/** They mostly wait, and each has apps of its own: several may run at once. */
const LANES = 4;
const REPLAY_MS = 240_000;

const urlOf = ({ host, port }) => `http://${host}:${port}`;

async function replayFiles(server, files) {
  const args = [
    replay,
    ...['--master', urlOf(server.master), '--slave', urlOf(server.slave)],
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
async function replayAll(server) {
  const files = fs.readdirSync(folder).filter((name) => name.endsWith('.json'));
  const lanes = Array.from({ length: LANES }, (_, lane) =>
    files.filter((__, i) => i % LANES === lane).map((name) => path.join(folder, name)),
  );
  const output = (await Promise.all(lanes.map((lane) => replayFiles(server, lane)))).join('');
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
    const runs = [
      ['without JSON bodies', { 'json-bodies': 'off' }, noSink],
      ['with JSON bodies', {}, { ...noSink, ...noJsonBodies }],
    ];
    await Promise.all(
      runs.map(([name, flags, known]) =>
        t.test(name, (sub) =>
          withServer(flags, async (server) => judge(sub, await replayAll(server), known)),
        ),
      ),
    );
  });
} else {
  test('transcripts', { skip: `there is no ${replay}` }, () => {});
}
