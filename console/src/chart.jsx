// Charts of ours: a line or an area over the last five minutes, as SVG, with a text that says the same.
import { useState } from 'preact/hooks';
import { GAP_MS } from './history.js';

const WIDTH = 600;
const HEIGHT = 120;

/** A round number whose half is one, too, not below `n`. */
export function niceMax(n, least) {
  if (!(n > least)) return least;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 1.6, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((top) => top >= n * 0.999);
}

/** What the width stands for: as much as there is, in round numbers. */
const spans = [
  { ms: 60_000, text: '1 min' },
  { ms: 120_000, text: '2 min' },
  { ms: 300_000, text: '5 min' },
];

function scaleOf(points) {
  const end = points.at(-1)?.time ?? 0;
  const length = end - (points[0]?.time ?? 0);
  const span = spans.find(({ ms }) => length <= ms) ?? spans.at(-1);
  return { end, ...span, x: (time) => Math.max(0, WIDTH - ((end - time) / span.ms) * WIDTH) };
}

/** The stretches without a gap: [[{x, y}, ..], ..], in the units of the drawing. */
function stretches(points, pick, scale, top, height) {
  const all = [];
  let current = null;
  let before = 0;
  for (const point of points) {
    const value = pick(point);
    if (value == null) {
      current = null;
      continue;
    }
    if (!current || point.time - before > GAP_MS) all.push((current = []));
    before = point.time;
    current.push({
      x: scale.x(point.time),
      y: height - (Math.min(value, top) / top) * height,
    });
  }
  return all;
}

const at = ({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`;
const lineOf = (stretch) => `M${stretch.map(at).join('L')}`;
const areaOf = (stretch, height) =>
  `${lineOf(stretch)}L${stretch.at(-1).x.toFixed(1)},${height}L${stretch[0].x.toFixed(1)},${height}Z`;

const values = (points, pick) => points.map(pick).filter((v) => v != null);

function Curve({ points, pick, tone, scale, top, height, area }) {
  return stretches(points, pick, scale, top, height).map((stretch) => (
    <g key={stretch[0].x} class={`curve curve-${tone}`}>
      {area && <path class="curve-area" d={areaOf(stretch, height)} />}
      <path class="curve-line" d={lineOf(stretch)} />
    </g>
  ));
}

/** A curve beside a number that says the same as its last point. */
export function Sparkline({ points, pick, tone = 'accent' }) {
  const height = 28;
  const top = Math.max(1e-9, ...values(points, pick)) * 1.08;
  const scale = scaleOf(points);
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <Curve {...{ points, pick, tone, scale, top, height, area: true }} />
    </svg>
  );
}

function summary(title, span, points, series, show) {
  const parts = series.map(({ name, pick }) => {
    const all = values(points, pick);
    if (!all.length) return `${name ?? ''} nothing yet`;
    const [now, most, least] = [all.at(-1), Math.max(...all), Math.min(...all)].map(show);
    return `${name ? `${name}: ` : ''}now ${now}, highest ${most}, lowest ${least}`;
  });
  return `${title}, the last ${span}. ${parts.join('. ')}.`;
}

/** The point nearest to where the pointer is. */
function pointAt(event, points, scale) {
  const box = event.currentTarget.getBoundingClientRect();
  const time = scale.end - (1 - (event.clientX - box.left) / box.width) * scale.ms;
  return points.reduce((best, p) =>
    Math.abs(p.time - time) < Math.abs(best.time - time) ? p : best,
  );
}

function Legend({ series, point, show }) {
  return (
    <p class="legend" aria-hidden="true">
      {series.map(({ name, pick, tone }) => (
        <span key={name ?? tone} class={`legend-entry legend-${tone}`}>
          {name && <span class="legend-name">{name}</span>}
          <b>{show(point ? pick(point) : null)}</b>
        </span>
      ))}
    </p>
  );
}

/** `series`: [{ name, pick, tone }]; the first one is an area. `least`: what the scale covers at
 *  least; `show`: a value as text. */
export function Chart({ title, points, series, show, least = 1 }) {
  const [pointed, setPointed] = useState(null);
  const scale = scaleOf(points);
  const top = niceMax(Math.max(0, ...series.flatMap(({ pick }) => values(points, pick))), least);
  const x = pointed && scale.x(pointed.time);
  const follow = (e) => points.length && setPointed(pointAt(e, points, scale));
  const label = pointed && new Date(pointed.time).toLocaleTimeString('en-GB');
  return (
    <figure class="chart">
      <figcaption>
        <h2>{title}</h2>
        <Legend series={series} point={pointed ?? points.at(-1)} show={show} />
      </figcaption>
      <div class="plot" onPointerMove={follow} onPointerLeave={() => setPointed(null)}>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={summary(title, scale.text, points, series, show)}
        >
          {[0, 0.5, 1].map((part) => (
            <line
              key={part}
              class="grid-line"
              x1="0"
              x2={WIDTH}
              y1={part * HEIGHT}
              y2={part * HEIGHT}
            />
          ))}
          {series.map((s, i) => (
            <Curve
              key={s.name ?? i}
              {...s}
              {...{ points, scale, top, height: HEIGHT, area: i === 0 }}
            />
          ))}
          {pointed && <line class="pointer-line" x1={x} x2={x} y1="0" y2={HEIGHT} />}
        </svg>
        <span class="tick tick-top" aria-hidden="true">
          {show(top)}
        </span>
        <span class="tick tick-half" aria-hidden="true">
          {show(top / 2)}
        </span>
      </div>
      <p class="axis" aria-hidden="true">
        <span>{scale.text} ago</span>
        <span>{label}</span>
        <span>now</span>
      </p>
    </figure>
  );
}

/** Words with how many there are of each, the longest bar for the most. */
export function Bars({ rows, label, toneOf = () => 'calm', about = {} }) {
  const most = Math.max(1, ...rows.map(([, n]) => n));
  return (
    <ul class="bars" aria-label={label}>
      {rows.map(([word, n]) => (
        <li key={word} title={about[word]}>
          <span class="bar-word">{word}</span>
          <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
            <rect class="bar-back" width="100" height="6" rx="1" />
            <rect
              class={`bar-${toneOf(word)}`}
              width={Math.max(1, (n / most) * 100)}
              height="6"
              rx="1"
            />
          </svg>
          <span class="number">{n.toLocaleString('en')}</span>
        </li>
      ))}
    </ul>
  );
}
