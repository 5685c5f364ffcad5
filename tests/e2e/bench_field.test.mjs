// The parts of bench/field that only compute, fed with made-up results.
import assert from 'node:assert/strict';
import test from 'node:test';
import { optionList } from '../../bench/lib/fanload.mjs';
import { costPlot, decades, latencyPlot } from '../../bench/lib/plots.mjs';
import { aimText, cell, markdown, replaced, table } from '../../bench/lib/report.mjs';
import { figures, groups, rows, shortened } from '../../bench/lib/rows.mjs';
import { servers } from '../../bench/lib/servers.mjs';
import { judged, median, quietRun, summary } from '../../bench/lib/stats.mjs';

const run = (row, server, figures, more) => ({
  row,
  server,
  figures,
  ...{ round: 1, otherPct: 3, noisy: false, tries: 1 },
  ...more,
});

const resultsOf = (...runs) => ({
  ...{ date: '2026-01-02', commit: 'abc1234', quick: false },
  machine: { cpu: 'A CPU', cores: 2, kernel: 'Linux 6.0' },
  peers: { nchan: '1.3', nginx: '1.22', ws: '8.1', node: '20.1' },
  runs,
});

test('the median is the middle one, or between the two', () => {
  assert.equal(median([3]), 3);
  assert.equal(median([10, 9, 100]), 10);
  assert.equal(median([4, 1, 3, 2]), 2.5);
});

test('a noisy run is repeated until one is quiet', async () => {
  const shares = [80, 26, 25, 0];
  const kept = await quietRun(async () => ({ otherPct: shares.shift() }), 4);
  assert.deepEqual(kept, { otherPct: 25, tries: 3, noisy: false });
  assert.deepEqual(shares, [0]);
});

test('of runs that all are noisy the least noisy one is kept, and marked', async () => {
  const shares = [80, 30, 50];
  const kept = await quietRun(async () => ({ otherPct: shares.shift() }), 3);
  assert.deepEqual(kept, { otherPct: 30, tries: 3, noisy: true });
});

test('noisy runs count only where there are no others', () => {
  const noisy = (us) => run('r', 'ws', { us }, { noisy: true, otherPct: 60 });
  const mixed = resultsOf(noisy(100), run('r', 'ws', { us: 4 }), run('r', 'ws', { us: 6 }));
  const found = summary(mixed, 'r', 'ws', 'us');
  assert.deepEqual([found.median, found.low, found.high, found.noisy], [5, 4, 6, false]);
  assert.equal(found.otherPct, 3);
  assert.equal(cell(found, { digits: 0 }), '5 (4–6) <sup>2/3</sup>');
  const alone = summary(resultsOf(noisy(7)), 'r', 'ws', 'us');
  assert.deepEqual([alone.median, alone.noisy, alone.otherPct], [7, true, 60]);
});

test('a server had time left only if no others took it', () => {
  const starved = (more) => run('r', 'ws', { us: 1 }, { starved: true, ...more });
  assert.equal(summary(resultsOf(starved()), 'r', 'ws', 'us').starved, true);
  assert.equal(summary(resultsOf(starved({ noisy: true })), 'r', 'ws', 'us').starved, false);
});

test('a figure that nobody measured has no summary', () => {
  const results = resultsOf(run('r', 'ws', { p50: undefined }), run('other', 'ws', { us: 1 }));
  for (const figure of ['us', 'p50']) assert.equal(summary(results, 'r', 'ws', figure), undefined);
});

test('aims are bounds of the figure, or of its ratio to another one', () => {
  const results = resultsOf(
    run('r', 'gusher', { us: 6, p50: 2, p99: 7 }),
    run('r', 'limit', { us: 8 }),
  );
  const judge = (figure, aim) => judged(results, 'r', { figure, aim });
  assert.deepEqual(judge('us', { max: 6 }), { ratio: 6, met: true });
  assert.deepEqual(judge('us', { max: 5.9 }), { ratio: 6, met: false });
  assert.deepEqual(judge('us', { max: 0.7, of: { server: 'limit' } }), { ratio: 0.75, met: false });
  assert.deepEqual(judge('us', { min: 0.7, of: { server: 'limit' } }), { ratio: 0.75, met: true });
  assert.deepEqual(judge('p99', { max: 3, of: { figure: 'p50' } }), { ratio: 3.5, met: false });
  assert.equal(judge('us', { max: 1, of: { server: 'nchan' } }), undefined);
  assert.equal(judge('us', undefined), undefined);
  assert.equal(judge('kib', { max: 1 }), undefined);
});

test('every row says what can be measured and shown', () => {
  assert.equal(new Set(rows.map((row) => row.id)).size, rows.length);
  for (const row of rows) {
    assert.ok(
      groups.some((group) => group.id === row.group),
      row.id,
    );
    for (const id of row.servers) assert.ok(servers[id], id);
    for (const { server = 'gusher', figure, floor, peers = [], aim } of row.lines) {
      assert.ok(figures[figure], figure);
      const others = [server, floor, aim?.of?.server, ...peers].filter(Boolean);
      for (const id of others) assert.ok(row.servers.includes(id), `${row.id}: ${id}`);
    }
  }
});

test('no server comes twice in a row', () => {
  for (const { id, servers } of rows) {
    if (servers.length === 1) continue;
    const twice = [...servers, servers[0]].some((server, i, all) => server === all[i + 1]);
    assert.ok(!twice, id);
  }
});

test('a short run is the same work for less time', () => {
  const row = rows.find(({ id }) => id === 'fixed-1000');
  assert.deepEqual(shortened(row).load.fan, { ...row.load.fan, duration: 2 });
  assert.equal(row.load.fan.duration, 8);
});

test('options as fanload takes them', () => {
  const options = { conns: 10, idle: true, rate: undefined, verbose: false, settle: 0 };
  assert.deepEqual(optionList(options), ['--conns', '10', '--idle', '--settle', '0']);
});

test('a cell has the median, the spread, and marks', () => {
  const found = { median: 5, low: 4.9, high: 5.125, noisy: false, lost: 0, starved: true };
  assert.equal(cell(found, { digits: 2 }), '5.00 (4.90–5.13)');
  assert.equal(cell({ ...found, low: 5, high: 5 }, { digits: 0 }), '5');
  assert.equal(
    cell({ ...found, median: 1e6, low: 1, high: 2 }, { digits: 0, more: true }),
    '1,000,000 (1–2) <sup>g</sup>',
  );
  assert.equal(cell({ ...found, noisy: true, lost: 2 }, { digits: 0 }), '5 <sup>n l</sup>');
  assert.equal(cell(undefined, { digits: 0 }), '');
});

test('aims in words', () => {
  assert.equal(aimText({ max: 0.3 }, { digits: 2 }), '≤ 0.30');
  assert.equal(aimText({ max: 0.9, of: { server: 'limit' } }, { digits: 1 }), '≤ 0.90 × limit');
  assert.equal(aimText({ min: 1.7, of: { server: 'gusher' } }, { digits: 0 }), '≥ 1.70 × gusher');
  const within = { min: 0.9, max: 1.1, of: { figure: 'socketFewUs' } };
  assert.equal(aimText(within, { digits: 1 }), '0.90 to 1.10 × that with 100');
});

test('a table leaves out columns in which nothing stands', () => {
  const lines = [
    { what: 'a', x: '', y: '1' },
    { what: 'b', x: '', y: '2' },
  ];
  assert.equal(table(lines), '|  | y |\n| --- | --- |\n| a | 1 |\n| b | 2 |');
});

const madeUp = resultsOf(
  run(
    'sat-1000',
    'gusher',
    { us: 0.31, perSecond: 2e6, p50: 8, p90: 9, p99: 12 },
    { starved: true },
  ),
  run('sat-1000', 'limit', { us: 0.62, perSecond: 1e6 }, { round: 3, tries: 2 }),
  run('sat-1000', 'nchan', { us: 6.2, perSecond: 1e5 }, { lost: 1.234, otherPct: 11 }),
  run('sat-1000', 'ws', { us: 9.3, perSecond: 8e4 }),
  run('quiet', 'gusher', { p50: 1, p90: 2, p99: 4 }),
  run('quiet', 'nchan', { p50: 2000, p90: 2000, p99: 2000 }, { noisy: true, otherPct: 90 }),
  run('quiet', 'ws', {}, { error: 'it fell over' }),
);

test('the report has the ratios, the verdicts and the notes', () => {
  const text = markdown(madeUp, rows);
  const line = (title) => text.split('\n').find((each) => each.startsWith(`| ${title} |`));
  const cells = (title) => line(title).slice(2, -2).split(' | ');
  assert.deepEqual(cells('1,000 subscribers, 16 publishers'), [
    ...[
      '1,000 subscribers, 16 publishers',
      'µs a delivery',
      '0.31',
      '0.62',
      '6.20 <sup>l</sup>',
      '9.30',
    ],
    ...['0.50 ×', '0.05 ×', '≤ 0.30', '**missed**', '11 %'],
  ]);
  assert.match(
    line('1,000 subscribers, 16 publishers, deliveries'),
    /2,000,000 <sup>g<\/sup> .* 20 × /,
  );
  assert.match(
    line('quiet beside 10,000 under fire, p99'),
    /4\.00 \| 2,000\.00 <sup>n<\/sup> \| – .* met /,
  );
  assert.match(text, /nchan \(1\.3 on nginx\n1\.22\) .* ws \(8\.1 on Node 20\.1\)/);
  assert.match(text, /Medians of 3 runs/);
  assert.match(text, /commit abc1234, on A CPU, 2 cores, Linux 6\.0/);
  assert.match(text, /which happened once; in the quiet ones they took up to 11 %/);
  assert.match(text, /lost: nchan 1\.2 % in sat-1000\./);
  assert.match(text, /Runs that failed: ws in quiet\./);
  assert.doesNotMatch(text, /undefined|NaN|Infinity/);
});

test('rows without results are left out of the report', () => {
  const text = markdown(madeUp, rows);
  assert.doesNotMatch(text, /Connections|by pattern/);
});

test('what is generated replaces itself and nothing else', () => {
  const once = replaced('# Page\n\nkept\n', 'first');
  assert.match(once, /^# Page\n\nkept\n\n<!-- .* -->\nfirst\n<!-- .* -->\n$/);
  const twice = replaced(`${once}\n## Behind\n`, 'second $& text');
  assert.equal(twice, `${once.replace('first', () => 'second $& text')}\n## Behind\n`);
});

test('a logarithmic scale has whole decades around all values', () => {
  assert.deepEqual(decades([0.34, 12]), { low: -1, high: 2 });
  assert.deepEqual(decades([2, 3]), { low: 0, high: 1 });
  assert.deepEqual(decades([1]), { low: 0, high: 1 });
});

/** Every element is closed, in order. */
function assertWellFormed(svg) {
  const open = [];
  for (const [, end, name, own] of svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
    if (end) assert.equal(open.pop(), name);
    else if (!own) open.push(name);
  }
  assert.deepEqual(open, []);
}

test('plots stand by themselves, on light and dark', () => {
  for (const svg of [costPlot(madeUp, rows), latencyPlot(madeUp, rows)]) {
    assertWellFormed(svg);
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.doesNotMatch(svg, /href|url\(|NaN|Infinity|undefined/);
  }
});

test('a bar is as long as the logarithm of its value', () => {
  const bars = [
    ...costPlot(madeUp, rows).matchAll(/<rect class="(\w+)" x="290" y="\d+" width="([\d.]+)"/g),
  ];
  const length = Object.fromEntries(bars.map(([, family, width]) => [family, Number(width)]));
  const decade = length.nchan - length.limit; // 6.2 and 0.62
  assert.ok(Math.abs(length.limit - length.gusher - decade * Math.log10(2)) < 0.2);
});

test('without results there are plots without marks', () => {
  for (const svg of [costPlot(resultsOf(), rows), latencyPlot(resultsOf(), rows)]) {
    assertWellFormed(svg);
    assert.doesNotMatch(svg, /NaN|Infinity/);
  }
});
