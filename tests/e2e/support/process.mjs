// Child processes: their output is collected, and none outlives the tests.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { Inbox, until, within } from './wait.mjs';

const running = new Set();
process.on('exit', () => {
  // SIGKILL ends a stopped process, too.
  for (const child of running) child.kill('SIGKILL');
});

/** A child process whose output is collected, and read line by line. */
export class Process {
  constructor(command, args, options = {}) {
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.stdout = '';
    this.stderr = '';
    this.lines = { stdout: new Inbox(), stderr: new Inbox() };
    running.add(this.child);
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => resolve({ code, signal }));
    });
    this.child.on('exit', () => running.delete(this.child));
    for (const name of ['stdout', 'stderr']) this.#collect(name);
  }

  #collect(name) {
    const stream = this.child[name].setEncoding('utf8');
    let partial = '';
    stream.on('data', (text) => {
      this[name] += text;
      const lines = (partial + text).split('\n');
      partial = lines.pop();
      for (const line of lines) this.lines[name].put(line);
    });
    stream.on('end', () => this.lines[name].end(`${name} ended; stderr: ${this.stderr}`));
  }

  /** The next line on `stream` that fits. */
  async line(stream, pattern) {
    for (;;) {
      const line = await this.lines[stream].next(`a line like ${pattern}; stderr: ${this.stderr}`);
      if (pattern.test(line)) return line;
    }
  }

  get isRunning() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(name) {
    this.child.kill(name);
  }

  /** Stops it as if it were stuck, until resume(): resolves when none of its threads runs. The
   *  kernel goes on accepting connections for it. */
  async pause() {
    this.signal('SIGSTOP');
    const tasks = `/proc/${this.child.pid}/task`;
    const isStopped = (id) => {
      try {
        return / [TZX] /.test(fs.readFileSync(`${tasks}/${id}/stat`, 'utf8'));
      } catch {
        return false; // the thread ended just now: look again
      }
    };
    await until(() => fs.readdirSync(tasks).every(isStopped), 'a stopped process');
  }

  resume() {
    this.signal('SIGCONT');
  }

  async exit(ms) {
    return within(this.exited, `the end of the process; stderr: ${this.stderr}`, ms);
  }

  kill() {
    if (this.isRunning) this.signal('SIGKILL');
  }
}

/** A server of somebody else's: started, hindered, killed and started again on the same ports. */
export class Daemon {
  /** `ready(process)` resolves when the new process serves. */
  constructor(command, args, ready) {
    this.command = command;
    this.args = args;
    this.ready = ready;
  }

  async launch() {
    assert.ok(!this.process?.isRunning, `${this.command} is running already`);
    this.process = new Process(this.command, this.args);
    try {
      await this.ready(this.process);
    } catch (error) {
      this.process.kill();
      throw error;
    }
  }

  /** Resolves when it does nothing any more. */
  pause() {
    return this.process.pause();
  }

  resume() {
    this.process.resume();
  }

  /** The end without a farewell. */
  async kill() {
    this.process.kill();
    await this.process.exit();
  }

  /** A new process on the same ports, after the old one was killed if it is still there. */
  async restart() {
    await this.kill();
    await this.launch();
  }

  /** Stops as an operator does; one that was killed stays as it is. */
  async stop() {
    if (!this.process?.isRunning) return;
    this.resume();
    this.process.signal('SIGINT');
    await this.process.exit();
  }
}
