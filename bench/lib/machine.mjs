// Where and of what the figures are.
import { execFileSync, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { programs, root } from './servers.mjs';

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

/** What the first group of `pattern` is in all that a command says; `?` where that is not to be had. */
function said(pattern, command, ...args) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? '?';
}

/** The versions of the others. */
export function peers() {
  const { version } = createRequire(new URL('../../tests/e2e/', import.meta.url))(
    'ws/package.json',
  );
  const nchan = ['dpkg-query', '-W', '-f', '${Version}\n', 'libnginx-mod-nchan'];
  return {
    nchan: said(/^(?:\d+:)?([\d.]+)/m, ...nchan),
    nginx: said(/nginx\/([\d.]+)/, programs.nginx, '-v'),
    ws: version,
    node: process.versions.node,
  };
}

/** What measures: a hash of the bench's own files, the generator and the floor. */
export function tools() {
  const lib = path.join(root, 'bench/lib');
  const own = fs.readdirSync(lib).map((name) => path.join(lib, name));
  const hash = crypto.createHash('sha256');
  for (const file of [path.join(root, 'bench/field'), ...own.sort(), programs.fanload, programs.limit])
    if (fs.existsSync(file)) hash.update(fs.readFileSync(file));
  return hash.digest('hex');
}

/** The commit, and what was built of it: results of the same sources may stand in one table. */
export function source() {
  const parts = ['src', 'CMakeLists.txt'];
  const changed = git('status', '--porcelain', '--', ...parts) !== '';
  const tree =
    parts.map((part) => git('rev-parse', `HEAD:${part}`)).join(' ') + (changed ? ' changed' : '');
  return { commit: git('rev-parse', '--short', 'HEAD') + (changed ? ' with changes' : ''), tree };
}
