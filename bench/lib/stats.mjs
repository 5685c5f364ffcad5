// Medians, spreads, and which runs count.

/** Percent of a core that others may take in a run: more of it shifts CPU figures, too. */
export const NOISE_PCT = 25;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Runs again while others are too busy, `tries` times in all; then the least noisy run is kept,
 *  and marked. */
export async function quietRun(once, tries) {
  let best;
  for (let n = 1; n <= tries; n++) {
    const run = await once();
    if (!best || run.otherPct < best.otherPct) best = run;
    if (best.otherPct <= NOISE_PCT) return { ...best, tries: n, noisy: false };
  }
  return { ...best, tries, noisy: true };
}

/** That a server had time left says something only where it was not others who took the time. */
export const isStarved = (run) => Boolean(run.starved && !run.noisy);

/**
 * What the runs of one row by one server say of one figure: { median, low, high, n, all, otherPct,
 * noisy, lost, starved }, or nothing. n of all runs count: noisy ones only if there are no others.
 */
export function summary(results, row, server, figure) {
  const all = results.runs.filter(
    (run) => run.row === row && run.server === server && Number.isFinite(run.figures[figure]),
  );
  const quiet = all.filter((run) => !run.noisy);
  const runs = quiet.length > 0 ? quiet : all;
  if (runs.length === 0) return undefined;
  const values = runs.map((run) => run.figures[figure]);
  return {
    median: median(values),
    low: Math.min(...values),
    high: Math.max(...values),
    n: runs.length,
    all: all.length,
    otherPct: Math.max(...runs.map((run) => run.otherPct)),
    noisy: quiet.length === 0,
    lost: Math.max(...runs.map((run) => run.lost ?? 0)),
    starved: runs.some(isStarved),
  };
}

/** Whether a line's aim is met: { ratio, met }, or nothing while a figure is missing. */
export function judged(results, row, line) {
  const server = line.server ?? 'gusher';
  const own = summary(results, row, server, line.figure);
  if (!line.aim || !own) return undefined;
  const { of, min = -Infinity, max = Infinity } = line.aim;
  let ratio = own.median;
  if (of) {
    const base = summary(results, row, of.server ?? server, of.figure ?? line.figure);
    if (!base) return undefined;
    ratio /= base.median;
  }
  return { ratio, met: ratio >= min && ratio <= max };
}
