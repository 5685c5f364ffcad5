// The generated part of docs/BENCHMARKS.md, from the results.
import { figures, groups } from './rows.mjs';
import { servers } from './servers.mjs';
import { isStarved, judged, NOISE_PCT, summary } from './stats.mjs';

const BEGIN = '<!-- bench/field begins: what stands up to its end is written by it -->';
const END = '<!-- bench/field ends -->';

const number = (value, digits) =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** Ratios: two digits behind the point where they matter. */
const times = (value) => `${number(value, value < 10 ? 2 : 0)} ×`;

/** A median, and its spread if there is one: `5.10 (4.90–5.30)`; then the marks of footnotes. */
export function cell(found, { digits, more }) {
  if (!found) return '';
  const [median, low, high] = [found.median, found.low, found.high].map((value) =>
    number(value, digits),
  );
  const spread = low === high ? '' : ` (${low}–${high})`;
  const marks = [
    found.n < found.all && `${found.n}/${found.all}`,
    found.noisy && 'n',
    found.lost > 0 && 'l',
    more && found.starved && 'g',
  ]
    .filter(Boolean)
    .join(' ');
  return `${median}${spread}${marks && ` <sup>${marks}</sup>`}`;
}

/** `at most 0.30`, `0.90 to 1.10 × ws`: an aim in words. */
export function aimText({ min, max, of }, { digits }) {
  const bound = (value) => (of ? number(value, 2) : number(value, digits));
  let text = min === undefined ? `≤ ${bound(max)}` : `≥ ${bound(min)}`;
  if (min !== undefined && max !== undefined) text = `${bound(min)} to ${bound(max)}`;
  if (!of) return text;
  return `${text} × ${of.server ? servers[of.server].title : baseName(of.figure)}`;
}

/** What a figure is called where another one is compared with it. */
function baseName(figure) {
  if (/Few/.test(figure)) return 'that with 100';
  return figure === 'elsewhereP99' ? 'the line above' : figure;
}

/** The best of the peers: { median, title }. */
function bestPeer(results, row, line) {
  const { more } = figures[line.figure];
  return (line.peers ?? [])
    .map((id) => summary(results, row.id, id, line.figure)?.median)
    .filter((value) => value > 0)
    .reduce(
      (best, value) => (best === undefined || value > best === Boolean(more) ? value : best),
      undefined,
    );
}

/** One line of a table: what it shows, as an object of texts. */
export function lineCells(results, row, line) {
  const figure = figures[line.figure];
  const of = (id) => id && summary(results, row.id, id, line.figure);
  const own = of(line.server ?? 'gusher');
  if (!own) return undefined;
  const floor = of(line.floor);
  const best = bestPeer(results, row, line);
  const shown = [own, floor, ...(line.peers ?? []).map(of)].filter(Boolean);
  const verdict = judged(results, row.id, line);
  const peer = (family) => {
    const id = (line.peers ?? []).find((each) => servers[each].family === family);
    return id ? cell(of(id), figure) || '–' : '';
  };
  return {
    what: line.title,
    unit: figure.unit,
    gusher: cell(own, figure),
    limit: cell(floor, figure),
    nchan: peer('nchan'),
    ws: peer('ws'),
    'to limit': floor ? times(own.median / floor.median) : '',
    'to the best peer': best ? times(own.median / best) : '',
    aim: line.aim ? aimText(line.aim, figure) : '',
    result: resultText(line.aim, verdict),
    'others’ CPU': `${number(Math.max(...shown.map(({ otherPct }) => otherPct)), 0)} %`,
  };
}

function resultText(aim, verdict) {
  if (!aim) return '';
  if (!verdict) return 'not measured';
  const text = verdict.met ? 'met' : '**missed**';
  return aim.of ? `${text}: ${times(verdict.ratio)}` : text;
}

/** A table of objects of texts; columns in which nothing stands are left out. */
export function table(lines) {
  const names = Object.keys(lines[0]).filter((name) => lines.some((line) => line[name] !== ''));
  const textOf = (cells) => `| ${cells.join(' | ')} |`;
  return [
    textOf(names.map((name) => (name === 'what' ? '' : name))),
    textOf(names.map(() => '---')),
    ...lines.map((line) => textOf(names.map((name) => line[name]))),
  ].join('\n');
}

function groupText(results, rows, group) {
  const lines = rows
    .filter((row) => row.group === group.id)
    .flatMap((row) => row.lines.map((line) => lineCells(results, row, line)))
    .filter(Boolean);
  return lines.length > 0 ? `### ${group.title}\n\n${group.text}\n\n${table(lines)}\n` : undefined;
}

function noiseText({ quick, runs }) {
  if (quick) return 'Short runs, to see that all is in order: the figures mean little.';
  const quiet = runs.filter((run) => !run.noisy);
  const others = Math.max(0, ...quiet.map((run) => run.otherPct));
  const again = runs.reduce((sum, run) => sum + run.tries - 1, 0);
  return (
    `A run in which other processes took over ${NOISE_PCT} % of a core was thrown away and\n` +
    `repeated, which happened ${again === 1 ? 'once' : `${again} times`}; ` +
    `in the quiet ones they took up to ${number(others, 0)} %.`
  );
}

function introduction(results) {
  const { machine, peers, commit, date, runs } = results;
  const rounds = Math.max(1, ...runs.map((run) => run.round));
  const counted = rounds === 1 ? 'One run' : `Medians of ${rounds} runs`;
  return `## The field (${date})

By \`bench/field\`, commit ${commit}, on ${machine.cpu}, ${machine.cores} cores, ${machine.kernel};
loopback, the load generator on the same cores, a payload of 128 bytes. gusher is
\`gusher all --workers 1\` with a JWT and a user of its own for each connection; nchan (${peers.nchan} on nginx
${peers.nginx}) is in memory with one worker; ws (${peers.ws} on Node ${peers.node}) is a small server,
\`bench/lib/ws_server.mjs\`; and \`limit\` is a loop that does nothing but send: the kernel's part. Each
server was started afresh for each run, and they took turns.

Times "a delivery", "a push" and so on are CPU of the server. ${counted} (lowest–highest).
${noiseText(results)}
`;
}

const NOTES = {
  noisy: `<sup>n</sup> others took over ${NOISE_PCT} % of a core each time it was tried.`,
  few: '<sup>1/3</sup> one of three runs was quiet enough to count.',
  lost: '<sup>l</sup> connections or messages were lost:',
  failed: 'Runs that failed:',
  starved:
    '<sup>g</sup> the server had time left: the load generator, on the same cores, was the limit.',
};

/** What was lost, by whom: the worst run of each. */
function losses(results, rows) {
  const texts = rows.flatMap((row) =>
    row.servers.map((id) => {
      const runs = results.runs.filter(
        (run) => run.row === row.id && run.server === id && run.lost > 0,
      );
      const worst = Math.max(0, ...runs.map((run) => run.lost));
      return worst > 0 ? `${servers[id].title} ${Number(worst.toPrecision(2))} % in ${row.id}` : '';
    }),
  );
  return texts.filter(Boolean).join(', ');
}

/** Whether of the runs of one row by one server some were quiet and some not. */
function isMixed({ runs }) {
  const quiet = runs.filter((run) => !run.noisy);
  const isSame = (a) => (b) => a.row === b.row && a.server === b.server;
  return runs.some((run) => run.noisy && quiet.some(isSame(run)));
}

function notes(results, rows) {
  const lost = losses(results, rows);
  const failed = results.runs
    .filter((run) => run.error)
    .map((run) => `${servers[run.server].title} in ${run.row}`);
  const texts = [
    results.runs.some((run) => run.noisy) && NOTES.noisy,
    isMixed(results) && NOTES.few,
    lost && `${NOTES.lost} ${lost}.`,
    results.runs.some(isStarved) && NOTES.starved,
    failed.length > 0 && `${NOTES.failed} ${failed.join('; ')}.`,
  ];
  return texts.filter(Boolean).join('\n\n');
}

const PICTURES = `![CPU of the server for each delivery](img/bench-cost.svg)

![Latency percentiles](img/bench-latency.svg)
`;

export function markdown(results, rows) {
  const tables = groups.map((group) => groupText(results, rows, group)).filter(Boolean);
  const parts = [introduction(results), PICTURES, ...tables, notes(results, rows)];
  return parts.filter(Boolean).join('\n').trimEnd();
}

/** `page` with `text` between the markers; at its end if it has none yet. */
export function replaced(page, text) {
  const block = `${BEGIN}\n${text}\n${END}`;
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) return `${page.trimEnd()}\n\n${block}\n`;
  return page.slice(0, begin) + block + page.slice(end + END.length);
}
