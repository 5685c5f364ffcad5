// Numbers and times as people read them; the whole value goes into a title.

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const full = (n) => whole.format(n);

/** 1,234 as it is, 12,345 as 12.3K. */
export const count = (n) => (n == null ? '–' : n < 10_000 ? whole.format(n) : short.format(n));

/** Something a second. */
export function rate(n) {
  if (n == null) return '–';
  if (n > 0 && n < 10) return n < 0.05 ? '<0.1' : String(Number(n.toFixed(1)));
  return count(Math.round(n));
}

export function bytes(n) {
  if (n == null) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

/** A short time, from seconds. */
export function latency(s) {
  if (s == null) return '–';
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  return s < 1 ? `${Number((s * 1000).toPrecision(2))} ms` : `${s.toFixed(1)} s`;
}

/** A long time, from seconds: its two largest units. */
export function duration(s) {
  s = Math.max(0, Math.floor(s));
  const units = [
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const first = units.findIndex(([, size]) => s >= size);
  if (first < 0) return '0 s';
  return units
    .slice(first, first + 2)
    .map(([name, size]) => {
      const n = Math.floor(s / size);
      s -= n * size;
      return n ? `${n} ${name}` : '';
    })
    .filter(Boolean)
    .join(' ');
}

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const dated = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** The time of day of unix milliseconds, with the milliseconds that a tail needs. */
export const timeOfDay = (ms) =>
  `${clock.format(ms)}.${String(Math.floor(ms) % 1000).padStart(3, '0')}`;

export const moment = (s) => dated.format(s * 1000);

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** The same of something of which not all may have been looked at. */
export const atLeast = (n, isWhole, one) => (isWhole ? plural(n, one) : `over ${plural(n, one)}`);

const codeOf = (c) => c.charCodeAt(0);
const hex = (c) => `⟨U+${codeOf(c).toString(16).toUpperCase().padStart(4, '0')}⟩`;

/** A name whose every character can be seen: control characters, blanks at its ends, and what has no
 *  width or turns the direction of what is around it. */
export const visible = (name) =>
  name
    .replace(/^ +| +$/g, (blanks) => '␣'.repeat(blanks.length))
    .replace(/[\0-\x1f]/g, (c) => String.fromCharCode(0x2400 + codeOf(c)))
    .replace(/\x7f/g, '\u2421')
    .replace(/[\x80-\xa0\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, hex);
