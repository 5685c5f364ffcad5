// Servers on slower cores: a control group that gives its processes a share of the CPU. So more
// workers than there are cores beside the load generator can be measured.
import fs from 'node:fs';

const PERIOD_US = 20_000;
const V1 = '/sys/fs/cgroup/cpu';
const V2 = '/sys/fs/cgroup';

/** The folder of a new group, and the file that has its quota written in words of its version. */
function place(name) {
  if (fs.existsSync(`${V1}/cpu.cfs_quota_us`)) return { folder: `${V1}/${name}`, isV1: true };
  const controllers = `${V2}/cgroup.subtree_control`;
  if (!fs.existsSync(controllers)) throw new Error('no control groups for CPU here');
  if (!fs.readFileSync(controllers, 'utf8').split(/\s/).includes('cpu'))
    fs.writeFileSync(controllers, '+cpu');
  return { folder: `${V2}/${name}`, isV1: false };
}

function withDescendants(pid) {
  const tasks = fs.readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) =>
    fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return [pid, ...children.flatMap((child) => withDescendants(Number(child)))];
}

/** From now on a process and its descendants have so much CPU together, in cores. The function that
 *  comes back, called when they have ended, removes the group. */
export function hold(pid, cores) {
  const { folder, isV1 } = place(`gusher-bench-${pid}`);
  const quota = Math.round(PERIOD_US * cores);
  fs.mkdirSync(folder);
  try {
    if (isV1) {
      fs.writeFileSync(`${folder}/cpu.cfs_period_us`, `${PERIOD_US}`);
      fs.writeFileSync(`${folder}/cpu.cfs_quota_us`, `${quota}`);
    } else {
      fs.writeFileSync(`${folder}/cpu.max`, `${quota} ${PERIOD_US}`);
    }
    for (const each of withDescendants(pid)) fs.writeFileSync(`${folder}/cgroup.procs`, `${each}`);
  } catch (error) {
    fs.rmdirSync(folder);
    throw error;
  }
  return () => fs.rmdirSync(folder);
}
