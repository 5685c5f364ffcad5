// The fenced blocks of a page, and what is said above them in comments that no reader sees:
//
//   <!-- not run: why -->          nobody runs it
//   <!-- needs TOOL -->            it is run where there is such a program
//   <!-- fails with CODE -->       as the page says
//   <!-- stays NAME until TEXT --> it goes on: the next block comes when it has printed TEXT
//   <!-- ends NAME -->             before it, the reader presses Ctrl-C there
//   <!-- file NAME -->             it is a file of the reader's, written where the page's commands run
//   <!-- from PATH -->             it quotes a file of ours; a line "…" leaves something out
//   <!-- printed by NAME -->       it is what that block has printed; else a `text` block is of the one before
//
// `sh` blocks run in order, all of a page in one folder, which looks like a fresh clone that is built. Ports that
// pages name are exchanged for free ones.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { certificate } from './certificates.mjs';
import { bin, environment, Process, root } from './gusher.mjs';
import { freshFolder, privateFile, publicFile } from './keys.mjs';
import { freePort, freeRange } from './ports.mjs';
import { until } from './wait.mjs';

const BLOCK_MS = 30_000;

/** The blocks of a text: [{ line, lang, text, notes: { 'not run': 'why', .. } }]. */
export function blocksOf(markdown) {
  const found = [];
  let notes = {};
  const lines = markdown.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const note = /^ *<!-- (not run|needs|fails|stays|ends|file|from|printed by):? (.*) -->$/.exec(
      lines[i],
    );
    const fence = /^( *)(```+)(\w*)$/.exec(lines[i]);
    if (note) {
      notes[note[1]] = note[2];
    } else if (fence) {
      const [, indent, ticks, lang] = fence;
      const end = lines.indexOf(indent + ticks, i + 1);
      assert.ok(end > 0, `line ${i + 1}: a block without an end`);
      const text = lines.slice(i + 1, end).map((line) => line.replace(indent, ''));
      found.push({ line: i + 1, lang, text: `${text.join('\n')}\n`, notes });
      notes = {};
      i = end;
    } else {
      assert.deepEqual(notes, {}, `line ${i + 1}: a comment for a block, without one`);
    }
  }
  return found;
}

export const hasTool = (name) =>
  !spawnSync('sh', ['-c', `command -v ${name}`], { env: toolsEnvironment() }).status;

const toolsEnvironment = () =>
  environment({ PATH: `/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:${process.env.PATH}` });

/** Whether `text` has the lines of `wanted`, in order; "…" in them stands for anything. */
function hasLines(text, wanted) {
  const escape = (part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const patterns = wanted
    .split('\n')
    .filter((line) => line.trim())
    .map((line) => new RegExp(`^${line.trim().split('…').map(escape).join('.*')}$`));
  const lines = text.split('\n').map((line) => line.trim());
  let at = 0;
  return patterns.every((pattern) => {
    at = lines.findIndex((line, i) => i >= at && pattern.test(line)) + 1;
    return at > 0;
  });
}

/** Where the blocks of one page run. */
export class Workshop {
  /** `ports`: the numbers that pages use. */
  static async open(ports) {
    const workshop = new Workshop();
    for (const port of ports) workshop.ports.set(String(port), String(await freePort()));
    workshop.ports.set('20000', String(await freeRange(50))); // of script/cluster
    return workshop;
  }

  constructor() {
    this.folder = freshFolder('snippets');
    this.ports = new Map();
    this.staying = new Map(); // name → Process
    this.before = ''; // what the block before has printed
    const at = (...names) => path.join(this.folder, ...names);
    for (const name of ['docs', 'examples', 'packaging', 'README.md'])
      fs.symlinkSync(path.join(root, name), at(name));
    fs.mkdirSync(at('build'));
    fs.symlinkSync(bin, at('build/gusher'));
    fs.mkdirSync(at('script'));
    for (const name of ['server', 'cluster'])
      fs.copyFileSync(path.join(root, 'script', name), at('script', name));
    // It is built, and nothing is missing: tests of those would be tests of the machine.
    for (const name of ['build', 'setup'])
      fs.writeFileSync(at('script', name), '#!/bin/sh\n', { mode: 0o755 });
    // An answer that refuses is a failure, unless the reader wants to see it (-i).
    fs.writeFileSync(
      at('build/curl'),
      '#!/bin/sh\ncase "$1" in -i) f=;; *) f=-f;; esac; exec /usr/bin/curl $f -sS "$@"\n',
      { mode: 0o755 },
    );
    fs.mkdirSync(at('etc'));
    const { certFile, keyFile } = certificate(['push.example', 'localhost', '127.0.0.1'], {
      folder: at('etc'),
    });
    const files = {
      fullchain: certFile,
      privkey: keyFile,
      public: publicFile,
      private: privateFile,
    };
    for (const [name, file] of Object.entries(files))
      fs.copyFileSync(file, at('etc', `${name}.pem`));
    fs.writeFileSync(
      at('etc/push.example.pem'),
      fs.readFileSync(certFile) + fs.readFileSync(keyFile),
    );
    fs.writeFileSync(at('state'), '');
  }

  port(number) {
    return (
      this.ports.get(String(number)) ?? assert.fail(`port ${number} is none of the ports of pages`)
    );
  }

  /** A page's text as it is run here. */
  localised(text) {
    return text
      .replaceAll(/\b\d{4,5}\b/g, (number) => this.ports.get(number) ?? number)
      .replaceAll(/(:|listen )(80|443)\b/g, (_, before, number) => before + this.ports.get(number))
      .replaceAll(
        /\/etc\/(gusher|haproxy|letsencrypt\/live\/push\.example)\//g,
        `${this.folder}/etc/`,
      );
  }

  environment() {
    return {
      ...toolsEnvironment(),
      PATH: `${this.folder}/build:${toolsEnvironment().PATH}`,
      HOME: this.folder,
      XDG_STATE_HOME: `${this.folder}/state-home`,
      GUSHER_BIN: 'build/gusher',
      // What is left to defaults is to be here, too.
      GUSHER_API_LISTEN: `127.0.0.1:${this.port(8888)}`,
      GUSHER_MASTER_API_LISTEN: `127.0.0.1:${this.port(7777)}`,
      GUSHER_MASTER: `http://127.0.0.1:${this.port(7777)}/api`,
      GUSHER_URL: `ws://127.0.0.1:${this.port(8888)}/gcs/ws/demo`,
      GUSHER_CLUSTER_PORT: this.port(20000),
      PORT: this.port(3000),
    };
  }

  write(name, text) {
    const file = path.join(this.folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, this.localised(text));
    return file;
  }

  #start(text) {
    // Variables and the folder are handed on from block to block, as in a terminal.
    const state = path.join(this.folder, 'state');
    const script = `source ${state}; cd "\${HERE:-.}"\nset -euo pipefail\n${this.localised(text)}\nexport HERE=$PWD; export -p >${state}`;
    return new Process('bash', ['-c', script], {
      cwd: this.folder,
      env: this.environment(),
      detached: true,
    });
  }

  async run({ text, notes }) {
    if (notes.ends) {
      const ending = this.staying.get(notes.ends);
      this.#end(ending, 'SIGINT');
      await ending.exit(BLOCK_MS);
      this.staying.delete(notes.ends);
    }
    const shell = this.#start(text);
    if (notes.stays) {
      const [, name, ready] = /^(\S+) until (.*)$/.exec(notes.stays);
      this.staying.set(name, shell);
      await until(() => {
        assert.ok(shell.isRunning, `it has ended: ${shell.stdout}${shell.stderr}`);
        return (shell.stdout + shell.stderr).includes(this.localised(ready));
      }, `"${ready}" of ${name}`).catch((error) =>
        assert.fail(`${error.message}: ${shell.stdout}${shell.stderr}`),
      );
      return;
    }
    try {
      const { code } = await shell.exit(BLOCK_MS);
      assert.equal(
        code,
        Number(notes.fails?.slice('with '.length) ?? 0),
        `${shell.stdout}${shell.stderr}`,
      );
    } finally {
      this.#end(shell);
    }
    this.before = notes.fails ? shell.stderr : shell.stdout;
  }

  /** What a page says that was printed. */
  async compare({ text, notes }) {
    const wanted = this.localised(text);
    const by = notes['printed by'];
    const printed = () =>
      by ? this.staying.get(by).stdout + this.staying.get(by).stderr : this.before;
    await until(() => hasLines(printed(), wanted), 'it', by ? BLOCK_MS : 0).catch(() =>
      assert.fail(`the page says:\n${wanted}\nand this was printed:\n${printed()}`),
    );
  }

  /** Ends one that stays, and whatever it has started, which is its own group. */
  #end(shell, signal = 'SIGTERM') {
    try {
      process.kill(-shell.child.pid, signal);
    } catch (error) {
      assert.equal(error.code, 'ESRCH');
    }
  }

  async close() {
    for (const shell of this.staying.values()) this.#end(shell);
    for (const shell of this.staying.values()) {
      await shell.exit(BLOCK_MS).catch(() => {});
      this.#end(shell, 'SIGKILL');
    }
  }
}

/** Whether `text` is in `file`, but for its indentation; a line "…" stands for any lines. */
export function quotes(text, file) {
  const strip = (all) =>
    all
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
  const lines = strip(fs.readFileSync(file, 'utf8'));
  let at = 0;
  return text
    .split(/^ *…$/m)
    .map(strip)
    .every((part) => {
      at = lines.findIndex((_, i) => i >= at && part.every((line, n) => lines[i + n] === line));
      return at++ >= 0;
    });
}

/** Programs that judge their own configurations. */
export const judges = {
  nginx(text, workshop) {
    const whole = /\bevents\b/.test(text) ? text : `events {}\nhttp {\n${text}\n}\n`;
    const file = workshop.write('nginx.conf', `pid nginx.pid;\nerror_log stderr;\n${whole}`);
    return ['nginx', '-t', '-q', '-p', workshop.folder, '-c', file, '-e', 'stderr'];
  },
  haproxy: (text, workshop) => ['haproxy', '-c', '-q', '-f', workshop.write('haproxy.cfg', text)],
  caddy: (text, workshop) => [
    'caddy',
    'validate',
    '--adapter',
    'caddyfile',
    '--config',
    workshop.write('Caddyfile', text),
  ],
  nats: (text, workshop) => ['nats-server', '-t', '-c', workshop.write('nats.conf', text)],
  systemd(text, workshop) {
    const unit = workshop.localised(text).replace('/usr/bin/gusher', bin);
    return ['systemd-analyze', 'verify', workshop.write('snippet.service', unit)];
  },
};

/** What says whether a text is a program at all; of what needs a framework that is all. */
export const parsers = {
  js: ['node', '--check'],
  python: ['python3', '-m', 'py_compile'],
  php: ['php', '-l'],
  ruby: ['ruby', '-c'],
  go: ['gofmt', '-e'],
};

export function judge(command, workshop) {
  execFileSync(command[0], command.slice(1), {
    stdio: 'pipe',
    env: workshop.environment(),
    cwd: workshop.folder,
    timeout: BLOCK_MS,
  });
}
