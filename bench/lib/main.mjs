// The field: every row by each of its servers, round by round; then the report. Called by
// bench/field.
import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { watched } from './cpu.mjs';
import { machine, peers, source, tools } from './machine.mjs';
import { measure } from './measure.mjs';
import { costPlot, latencyPlot } from './plots.mjs';
import { markdown, replaced } from './report.mjs';
import { rows, shortened } from './rows.mjs';
import { folder, programs, root } from './servers.mjs';
import { quietRun } from './stats.mjs';

const TRIES = 4; // once, and three times again
const resultsFile = path.join(folder, 'results.json');

function options() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      rows: { type: 'string' },
      quick: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  });
  const names = values.rows?.split(',') ?? rows.map((row) => row.id);
  const chosen = rows.filter((row) => names.some((name) => row.id === name || row.group === name));
  const unknown = names.find((name) => !rows.some((row) => row.id === name || row.group === name));
  if (unknown !== undefined) throw new Error(`no row is called ${unknown}`);
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!(rounds >= 1)) throw new Error(`--rounds ${values.rounds}: a number is wanted`);
  return { ...values, rounds, chosen };
}

/** The results so far, without those of the chosen rows; none if they are of other sources, benches,
 *  generators, peers or machines, or of short runs where these are not: one heading stands above all. */
function resumed(head, chosen) {
  let old = { runs: [] };
  if (fs.existsSync(resultsFile)) old = JSON.parse(fs.readFileSync(resultsFile, 'utf8'));
  const fits = ['tree', 'tools', 'machine', 'peers', 'quick'].every((key) =>
    isDeepStrictEqual(old[key], head[key]),
  );
  const runs = fits ? old.runs.filter((run) => !chosen.some((row) => row.id === run.row)) : [];
  return { ...head, runs };
}

function save(results) {
  fs.writeFileSync(resultsFile, JSON.stringify(results, null, 1) + '\n');
}

const rounded = (value) => Number(value.toPrecision(4));

function tell(run) {
  const known = Object.entries(run.figures).filter(([, value]) => value !== undefined);
  const figures = known.map(([name, value]) => `${name} ${rounded(value)}`);
  const marks = [
    run.noisy && 'noisy',
    run.starved && 'generator-bound',
    run.lost > 0 && `lost ${rounded(run.lost)} %`,
    run.error,
  ];
  const texts = [...figures, `other ${run.otherPct.toFixed(0)} %`, ...marks.filter(Boolean)];
  console.log(`${run.row} ${run.round} ${run.server}: ${texts.join(', ')}`);
}

/** A run that counts, or what went wrong with it: one that fails does not end the others. */
async function runOnce(row, server, tries) {
  try {
    return await quietRun(() => watched(() => measure(row, server)), tries);
  } catch (error) {
    process.exitCode = 1;
    return { figures: {}, otherPct: 0, tries: 1, noisy: false, error: error.message };
  }
}

/** One row: the servers take turns, each time a fresh one. */
async function runRow(row, { rounds, quick }, results) {
  const able = row.servers.filter((id) => id !== 'limit-uring' || programs.limitUring);
  for (let round = 1; round <= rounds; round++) {
    for (const server of able) {
      const run = await runOnce(row, server, quick ? 1 : TRIES);
      results.runs.push({ row: row.id, server, round, ...run });
      tell(results.runs.at(-1));
      save(results);
    }
  }
}

function writeReport(results) {
  const pictures = {
    'bench-cost.svg': costPlot(results, rows),
    'bench-latency.svg': latencyPlot(results, rows),
  };
  // Quick runs are to look at; the page is for what was measured.
  const docs = results.quick ? path.join(folder, 'quick') : path.join(root, 'docs');
  fs.mkdirSync(path.join(docs, 'img'), { recursive: true });
  for (const [name, svg] of Object.entries(pictures))
    fs.writeFileSync(path.join(docs, 'img', name), svg);
  const page = path.join(docs, 'BENCHMARKS.md');
  const old = fs.readFileSync(path.join(root, 'docs/BENCHMARKS.md'), 'utf8');
  fs.writeFileSync(page, replaced(old, markdown(results, rows)));
  console.log(`written: ${path.relative(root, page)}`);
}

function optionsOrEnd() {
  try {
    return options();
  } catch (error) {
    console.error(`bench/field: ${error.message}`);
    process.exit(2);
  }
}

async function main() {
  const chosen = optionsOrEnd();
  if (chosen.list) {
    for (const row of rows) console.log(`${row.id}: ${row.servers.join(', ')}`);
    return;
  }
  let results;
  if (chosen.report) {
    results = JSON.parse(fs.readFileSync(resultsFile, 'utf8'));
  } else {
    const head = {
      date: new Date().toISOString().slice(0, 10),
      machine: machine(),
      peers: peers(),
      tools: tools(),
      ...source(),
    };
    results = resumed({ ...head, quick: chosen.quick }, chosen.chosen);
    for (const row of chosen.chosen)
      await runRow(chosen.quick ? shortened(row) : row, chosen, results);
  }
  writeReport(results);
}

await main();
