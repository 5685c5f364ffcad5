// CPU time, read from /proc.
import fs from 'node:fs';

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // it has ended
  }
}

/** The fields of a /proc stat behind the name, which may hold anything. */
const fieldsOf = (stat) => stat.slice(stat.lastIndexOf(')') + 2).split(' ');

/** CPU of all threads of a process so far, in microseconds, by the scheduler's own count. */
export function cpuUs(pid) {
  const tasks = `/proc/${pid}/task`;
  const ns = fs
    .readdirSync(tasks)
    .map((id) => Number(read(`${tasks}/${id}/schedstat`).split(' ')[0]));
  return ns.reduce((sum, n) => sum + n, 0) / 1000;
}

/** Ticks (hundredths of a second) in which any core was busy: user, nice, system, interrupts. */
function busyTicks() {
  const [us, ni, sy, , , ir, so] = read('/proc/stat')
    .split('\n')[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return us + ni + sy + ir + so;
}

/** Ticks of this process and of all its children that have ended. */
function ownTicks() {
  const [user, system, childUser, childSystem] = fieldsOf(read('/proc/self/stat'))
    .slice(11, 15)
    .map(Number);
  return user + system + childUser + childSystem;
}

/**
 * CPU that others took while `work` ran, in percent of one core. All that the work starts must
 * have ended with it: only then are its ticks known.
 */
export async function watched(work) {
  const before = { busy: busyTicks(), own: ownTicks(), at: performance.now() };
  const result = await work();
  const ticks = busyTicks() - before.busy - (ownTicks() - before.own);
  const seconds = (performance.now() - before.at) / 1000;
  return { ...result, otherPct: Math.max(0, ticks / seconds, result.otherPct ?? 0) };
}
