// What the samples of a soak say. Kept apart, so that a test can show it growth and no growth.

const MIB_KIB = 1024;

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** How long a run warms up: ten minutes, or a third of a run that is shorter than half an hour. */
export const warmUpSeconds = (minutes) => Math.min(600, (minutes * 60) / 3);

/**
 * Memory is flat when the median of the last quarter behind the warm-up is at most 1.05 times that
 * of the first quarter, and 1 MiB.
 * - samples: [{ seconds, rssKib, sessions }], of one process
 * Gives { isFlat, firstKib, lastKib, limitKib, bytesASession }.
 */
export function judgeMemory(samples, minutes) {
  const warm = samples.filter(({ seconds }) => seconds >= warmUpSeconds(minutes));
  const quarter = Math.floor(warm.length / 4);
  if (!quarter) return { isFlat: false, why: 'there are too few samples' };
  const [first, last] = [warm.slice(0, quarter), warm.slice(-quarter)];
  const of = (list, key) => median(list.map((sample) => sample[key]));
  const [firstKib, lastKib] = [of(first, 'rssKib'), of(last, 'rssKib')];
  const limitKib = Math.round(firstKib * 1.05 + MIB_KIB);
  const sessions = of(last, 'sessions') - of(first, 'sessions');
  return {
    isFlat: lastKib <= limitKib,
    firstKib,
    lastKib,
    limitKib,
    bytesASession: sessions > 0 ? ((lastKib - firstKib) * 1024) / sessions : 0,
  };
}
