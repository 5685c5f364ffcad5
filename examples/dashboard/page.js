// The dashboard's page: draws the last two minutes of what it hears.
import { listen } from './socket.js';

const SPAN_MS = 120_000;
const STALE_MS = 4_000; // as long nothing new: what is shown is old
const GAP_MS = 5_000; // where figures are missing for as long, the line is interrupted

const charts = [
  { name: 'cpu', title: 'Processors busy', unit: '%', digits: 1, top: 100 },
  { name: 'memory', title: 'Memory in use', unit: '%', digits: 1, top: 100 },
  { name: 'load', title: 'Load', unit: '', digits: 2, top: 1 },
  { name: 'viewers', title: 'Connections to gusher', unit: '', digits: 0, top: 5 },
];

const $ = (id) => document.getElementById(id);
const points = new Map(); // by time: what was told twice is there once

// ---- drawing, in a picture of 1000 to 100

function svg(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

for (const chart of charts) {
  const section = document.createElement('section');
  const title = Object.assign(document.createElement('h2'), {
    textContent: chart.title,
    id: `${chart.name}-title`,
  });
  chart.value = document.createElement('output');
  chart.value.id = chart.name;
  const figure = document.createElement('p');
  figure.append(
    chart.value,
    Object.assign(document.createElement('small'), { textContent: chart.unit }),
  );
  chart.picture = svg('svg', { viewBox: '0 0 1000 100', preserveAspectRatio: 'none', role: 'img' });
  chart.area = svg('path', { class: 'area' });
  chart.line = svg('path', { class: 'line' });
  chart.picture.append(chart.area, chart.line);
  // What changes each second is not read out; who asks for it hears it.
  chart.value.setAttribute('aria-live', 'off');
  section.setAttribute('aria-labelledby', title.id);
  section.append(title, figure, chart.picture);
  $('charts').append(section);
}

/** Runs of points without a gap. */
function runs(list) {
  const found = [];
  for (const [i, point] of list.entries()) {
    if (i === 0 || point.at - list[i - 1].at > GAP_MS) found.push([]);
    found.at(-1).push(point);
  }
  return found;
}

function draw() {
  const list = [...points.values()].sort((a, b) => a.at - b.at);
  const last = list.at(-1);
  if (!last) return;
  for (const chart of charts) {
    const top = Math.max(chart.top, ...list.map((point) => point[chart.name])) * 1.05;
    const x = ({ at }) => (1000 * (1 - (last.at - at) / SPAN_MS)).toFixed(1);
    const y = (point) => (100 * (1 - point[chart.name] / top)).toFixed(1);
    const lines = runs(list).map((run) => ({
      run,
      path: run.map((p) => `${x(p)} ${y(p)}`).join('L'),
    }));
    chart.line.setAttribute('d', lines.map(({ path }) => `M${path}`).join(''));
    const areas = lines.map(({ run, path }) => `M${x(run[0])} 100L${path}L${x(run.at(-1))} 100Z`);
    chart.area.setAttribute('d', areas.join(''));
    const text = last[chart.name].toFixed(chart.digits);
    chart.value.textContent = text;
    chart.picture.setAttribute(
      'aria-label',
      `${chart.title}, the last two minutes, now ${text}${chart.unit}`,
    );
  }
}

function keep(figures) {
  points.set(figures.at, figures);
  const newest = Math.max(...points.keys());
  for (const at of points.keys()) if (at < newest - SPAN_MS) points.delete(at);
}

// ---- how old it is, by this clock alone: the machine's may be another

let heardAt = performance.now();

function showAge() {
  const age = performance.now() - heardAt;
  const isStale = age > STALE_MS;
  document.body.classList.toggle('stale', isStale);
  $('age').textContent = isStale ? `nothing new for ${Math.round(age / 1000)} s` : '';
}
setInterval(showAge, 500);

// ---- listening

async function ask(method, path) {
  const headers = { 'Content-Type': 'application/json' };
  const body = method === 'POST' ? '{}' : undefined;
  const reply = await fetch(path, { method, headers, body, signal: AbortSignal.timeout(10_000) });
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

listen({
  token: () => ask('POST', 'token'),
  onMessage({ data }) {
    keep(data);
    heardAt = performance.now();
    showAge();
    draw();
  },
  async onState(state) {
    $('state').className = `state ${state}`;
    $('state').textContent = { live: 'live', waiting: 'connecting …', ended: 'refused' }[state];
    if (state !== 'live') return;
    // The channel is live: what was before, and what comes, is everything.
    for (const figures of await ask('GET', 'figures').catch(() => [])) keep(figures);
    draw();
  },
});
