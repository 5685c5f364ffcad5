// Where and of what the figures are.
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import { root } from './servers.mjs';

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

export function machine() {
  return {
    cpu: os.cpus()[0].model.trim(),
    cores: os.cpus().length,
    kernel: `Linux ${os.release()}`,
  };
}

/** The commit, and what was built of it: results of the same sources may stand in one table. */
export function source() {
  const parts = ['src', 'CMakeLists.txt'];
  const changed = git('status', '--porcelain', '--', ...parts) !== '';
  const tree =
    parts.map((part) => git('rev-parse', `HEAD:${part}`)).join(' ') + (changed ? ' changed' : '');
  return { commit: git('rev-parse', '--short', 'HEAD') + (changed ? ' with changes' : ''), tree };
}
