// Plots as SVG that stands by itself, readable on light and on dark.
import { figures } from './rows.mjs';
import { servers } from './servers.mjs';
import { summary } from './stats.mjs';

const WIDTH = 860;
const LEFT = 290;
const RIGHT = 70;
const BAR = 13;
const GAP = 12;
const TOP = 78;

const STYLE = `
  .back { fill: #ffffff } .text { fill: #24292f } .faint { fill: #57606a } .grid { stroke: #d0d7de }
  .gusher { fill: #0969da; stroke: #0969da } .limit { fill: #8c959f; stroke: #8c959f }
  .nchan { fill: #bc4c00; stroke: #bc4c00 } .ws { fill: #1a7f37; stroke: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #8d96a0 }
    .grid { stroke: #30363d }
    .gusher { fill: #58a6ff; stroke: #58a6ff } .limit { fill: #6e7681; stroke: #6e7681 }
    .nchan { fill: #f0883e; stroke: #f0883e } .ws { fill: #3fb950; stroke: #3fb950 }
  }
  text { font: 12px system-ui, sans-serif; stroke: none }
  .title { font-size: 16px; font-weight: 600 }`;

const escaped = (text) =>
  text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

function label(x, y, text, { kind = 'text', anchor = 'start' } = {}) {
  return `<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${escaped(text)}</text>`;
}

/** Powers of ten around all values. */
export function decades(values) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)));
  return { low, high: Math.max(high, low + 1) };
}

/** Where a value stands on a logarithmic scale. */
function scaleOf({ low, high }) {
  return (value) => LEFT + ((Math.log10(value) - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
}

function grid({ low, high }, x, bottom) {
  const lines = [];
  for (let power = low; power <= high; power++) {
    const at = x(10 ** power).toFixed(1);
    lines.push(`<line class="grid" x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${bottom}"/>`);
    lines.push(
      label(at, TOP - 14, String(Number((10 ** power).toPrecision(1))), {
        kind: 'faint',
        anchor: 'middle',
      }),
    );
  }
  return lines.join('\n');
}

function legend(families) {
  return families
    .map((family, i) => {
      const x = LEFT + i * 90;
      const box = `<rect class="${family}" x="${x}" y="36" width="12" height="12"/>`;
      return box + label(x + 17, 47, family);
    })
    .join('\n');
}

/** What both plots are made of: groups of marks, one below the other, on one scale. */
function plot({ title, unit, groups, values, mark }) {
  const range = decades(values.length > 0 ? values : [1]);
  const x = scaleOf(range);
  let y = TOP;
  const body = groups.map(({ name, marks }) => {
    const texts = [label(LEFT - 10, y + (marks.length * BAR) / 2 + 4, name, { anchor: 'end' })];
    for (const each of marks) {
      texts.push(mark(each, x, y));
      y += BAR;
    }
    y += GAP;
    return texts.join('\n');
  });
  const present = new Set(groups.flatMap(({ marks }) => marks.map(({ family }) => family)));
  const families = ['gusher', 'limit', 'nchan', 'ws'].filter((family) => present.has(family));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" role="img">
<title>${escaped(title)}</title>
<style>${STYLE}
</style>
<rect class="back" width="${WIDTH}" height="${y}" rx="6"/>
${label(16, 26, title, { kind: 'text title' })}
${label(16, 47, unit, { kind: 'faint' })}
${legend(families)}
${grid(range, x, y - GAP / 2)}
${body.join('\n')}
</svg>
`;
}

/** The marks of a line of the table: the server itself, its floor, its peers. */
function marksOf(results, row, line, found) {
  const ids = [line.server ?? 'gusher', line.floor, ...(line.peers ?? [])].filter(Boolean);
  return ids
    .map((id) => ({ family: servers[id].family, ...found(row.id, id) }))
    .filter((mark) => mark.shown > 0);
}

function bar({ family, shown }, x, y) {
  const width = Math.max(1, x(shown) - LEFT).toFixed(1);
  return (
    `<rect class="${family}" x="${LEFT}" y="${y}" width="${width}" height="${BAR - 2}"/>` +
    label(x(shown) + 5, y + BAR - 3, shown.toFixed(shown < 10 ? 2 : 1), { kind: 'faint' })
  );
}

/** A line from p50 to p99 with p90 on it. */
function span({ family, p50, p90, p99 }, x, y) {
  const middle = y + BAR / 2 - 1;
  const dot = (value, r) =>
    `<circle class="${family}" cx="${x(value).toFixed(1)}" cy="${middle}" r="${r}"/>`;
  const [from, to] = [x(p50).toFixed(1), x(p99).toFixed(1)];
  const ends = `x1="${from}" x2="${to}" y1="${middle}" y2="${middle}"`;
  const line = `<line class="${family}" ${ends} stroke-width="2"/>`;
  const text = label(x(p99) + 8, middle + 4, p99.toFixed(p99 < 10 ? 2 : 0), { kind: 'faint' });
  return line + dot(p50, 4) + dot(p90, 2.5) + dot(p99, 4) + text;
}

function groupsOf(results, rows, figure, name, found) {
  return rows
    .flatMap((row) => row.lines.map((line) => ({ row, line })))
    .filter(({ line }) => line.figure === figure)
    .map(({ row, line }) => ({ name: name(row, line), marks: marksOf(results, row, line, found) }))
    .filter(({ marks }) => marks.length > 0);
}

const CASES = { fixed: '50,000/s', saturated: 'saturated', single: 'one to one' };

/** CPU for each delivery, as bars. */
export function costPlot(results, rows) {
  const found = (row, id) => ({ shown: summary(results, row, id, 'us')?.median });
  const name = (row, line) => `${CASES[row.group]}: ${line.title}`;
  const groups = groupsOf(results, rows, 'us', name, found);
  const values = groups.flatMap(({ marks }) => marks.map(({ shown }) => shown));
  return plot({
    title: 'CPU of the server for each delivery',
    unit: 'µs, log scale',
    groups,
    values,
    mark: bar,
  });
}

/** p50, p90 and p99, as spans. */
export function latencyPlot(results, rows) {
  const found = (row, id) => {
    const [p50, p90, p99] = ['p50', 'p90', 'p99'].map(
      (key) => summary(results, row, id, key)?.median,
    );
    return { p50, p90, p99, shown: p50 };
  };
  const name = (row, line) => {
    const title = line.title.replace(/, p50$/, '');
    return row.group === 'fixed' ? `${CASES.fixed}: ${title}` : title;
  };
  const groups = groupsOf(results, rows, 'p50', name, found);
  const values = groups.flatMap(({ marks }) => marks.flatMap(({ p50, p99 }) => [p50, p99]));
  return plot({
    title: 'Latency, p50 – p90 – p99',
    unit: 'ms, log scale',
    groups,
    values,
    mark: span,
  });
}
