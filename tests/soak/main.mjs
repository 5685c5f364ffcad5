// The soak: churn of a steady shape for as long as wanted, beside victims who must notice nothing;
// memory and descriptors are watched, and judged at the end. Called by script/soak, which builds.
import { setMaxListeners } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../e2e/support/random.mjs';
import { pause, until } from '../e2e/support/wait.mjs';
import { apps, atRate, Crowd } from './actors.mjs';
import { attack } from './hostile.mjs';
import { judgeMemory, warmUpSeconds } from './judge.mjs';
import { Site } from './site.mjs';
import { Victims, victimsApp } from './victims.mjs';

/** Of each finding's kind this many are printed; all are counted. */
const TOLD = 20;

function options() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '60' },
      rate: { type: 'string', default: '1' },
      bound: { type: 'string', default: '5000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      cluster: { type: 'boolean', default: false },
      out: { type: 'string' },
    },
  });
  const number = (name) => {
    const value = Number(values[name]);
    if (!(value > 0)) throw new Error(`--${name} ${values[name]}: a number over 0 is wanted`);
    return value;
  };
  const out = values.out ?? fs.mkdtempSync('/tmp/gusher-soak-');
  fs.mkdirSync(out, { recursive: true });
  return {
    minutes: number('minutes'),
    rate: number('rate'),
    boundMs: number('bound'),
    seed: Number(values.seed),
    cluster: values.cluster,
    out,
  };
}

class Findings {
  constructor() {
    this.n = 0;
  }

  add(text) {
    this.n++;
    if (this.n <= TOLD) console.log(`FINDING  ${text}`);
    else if (this.n === TOLD + 1) console.log('FINDING  ... and more, which are counted only');
  }
}

const mib = (kib) => (kib / 1024).toFixed(1);

class Watch {
  constructor(site, crowd, victims, file) {
    Object.assign(this, { site, crowd, victims, file, samples: [], began: Date.now() });
    this.worstMs = 0;
    this.names = Object.keys(site.servers);
    const own = this.names.flatMap((name) =>
      ['rss_kib', 'anon_kib', 'threads', 'fds'].map((key) => `${name}_${key}`),
    );
    this.#write(['seconds', ...own, 'online', 'channels', 'sessions', 'heard', 'posts', 'kicked',
      'refused', 'slow', 'victims_got', 'worst_ms', 'generator_rss_kib']);
  }

  #write(row) {
    fs.appendFileSync(this.file, `${row.join()}\n`);
  }

  async #total(what) {
    const counts = await Promise.all(
      [...apps, victimsApp].map((app) => this.site.ask(`/${app}/${what}/count`)),
    );
    return counts.reduce((n, { count }) => n + count, 0);
  }

  async take() {
    const { counts } = this.crowd;
    const seconds = (Date.now() - this.began) / 1000;
    const processes = this.site.sample();
    const [online, channels] = [await this.#total('online'), await this.#total('channels')];
    const worstMs = this.victims.takeWorstMs();
    this.worstMs = Math.max(this.worstMs, worstMs);
    const own = this.names.flatMap((name) => {
      const { rssKib, anonKib, threads, fds } = processes[name];
      return [rssKib, anonKib, threads, fds];
    });
    const { sessions, heard, posts, kicked, refused, slow } = counts;
    this.#write([seconds.toFixed(1), ...own, online, channels, sessions, heard, posts, kicked,
      refused, slow, this.victims.got, worstMs, Math.round(process.memoryUsage.rss() / 1024)]);
    this.samples.push({ seconds, processes, online, channels, sessions, worstMs });
    this.site.takeLogs();
  }

  line() {
    const { seconds, processes, online, channels, sessions } = this.samples.at(-1);
    const own = this.names.map(
      (name) => `${name} ${mib(processes[name].rssKib)} MiB ${processes[name].fds} fds`,
    );
    const { heard, posts, kicked, refused, slow } = this.crowd.counts;
    console.log(
      `${(seconds / 60).toFixed(1).padStart(5)} min  ${own.join(', ')}  online ${online}, ` +
        `channels ${channels}; so far: sessions ${sessions}, heard ${heard}, posts ${posts}, ` +
        `kicked ${kicked}, refused ${refused}, slow ${slow}, victims' ${this.victims.got}, ` +
        `the latest ${this.worstMs} ms`,
    );
  }
}

function startActors(site, crowd, random, rate, signal, findings) {
  const tell = (name) => (error) => findings.add(`${name}: ${error.message}`);
  const actor = (name, perSecond, most, act) =>
    atRate(perSecond, Math.ceil(most), random.fork(name.length * 7 + most), signal, (own, n) =>
      act(own, n).catch(tell(name)),
    );
  return [
    actor('session', 25 * rate, 200 * rate, (own, n) => crowd.session(own, n)),
    actor('refresher', 2 * rate, 20 * rate, (own, n) => crowd.refresher(own, n)),
    actor('slow reader', 0.7, 15, (own, n) => crowd.slowReader(own, n)),
    actor('publish', 40, 60, (own, n) => crowd.publish(own, n)),
    actor('publish big', 10, 10, (own, n) => crowd.publishBig(own, n)),
    actor('ask', 5, 10, (own) => crowd.ask(own)),
    actor('permissions', 3, 10, (own, n) => crowd.permissions(own, n)),
    actor('kick', 2, 10, (own, n) => crowd.kick(own, n)),
    actor('ban', 1 * rate, 25 * rate, (own, n) => crowd.ban(own, n)),
    actor('impostor', 3 * rate, 10 * rate, (own, n) => crowd.impostor(own, n)),
    actor('hostile', 5 * rate, 150 * rate, (own) => attack(site, own, signal)),
  ];
}

/** Nobody is there any more, and the server knows. */
async function judgeEmptiness(site, findings) {
  for (const app of [...apps, victimsApp]) {
    for (const what of ['online', 'channels']) {
      let count;
      const isEmpty = async () => ({ count } = await site.ask(`/${app}/${what}/count`)).count === 0;
      await until(isEmpty, `${what} of ${app}`).catch(() => {
        findings.add(`${app}: ${what} ${count} after all have left`);
      });
    }
  }
}

function judgeSamples(watch, minutes, findings) {
  for (const name of watch.names) {
    const samples = watch.samples.map(({ seconds, processes, sessions }) => ({
      seconds,
      sessions,
      rssKib: processes[name].rssKib,
    }));
    const found = judgeMemory(samples, minutes);
    if (found.why) {
      findings.add(`${name}: ${found.why}`);
      continue;
    }
    const { firstKib, lastKib, limitKib, bytesASession } = found;
    console.log(
      `${name}: RSS ${mib(firstKib)} MiB in the first quarter behind the warm-up, ${mib(lastKib)} in the ` +
        `last (at most ${mib(limitKib)}); ${bytesASession.toFixed(1)} bytes a session`,
    );
    if (!found.isFlat) findings.add(`${name}: memory grows`);
  }
}

async function soak(site, { minutes, rate, seed, boundMs, out }, findings) {
  const random = new Random(seed);
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const stop = () => ending.abort();
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, stop);
  const crowd = new Crowd(site, (text) => findings.add(text), ending.signal);
  // What the first of each kind opens for good is there before descriptors are counted.
  await crowd.session(random.fork(1), 0);
  await pause(1000);
  const before = await site.descriptors();

  const victims = await Victims.join(site, random.fork(2), (text) => findings.add(text), { boundMs });
  const publishing = new AbortController();
  const publisher = victims.run(10, publishing.signal);
  const actors = startActors(site, crowd, random.fork(3), rate, ending.signal, findings);
  const watch = new Watch(site, crowd, victims, path.join(out, 'samples.csv'));
  const everyMs = Math.min(10_000, minutes * 1000);
  const reloadMs = Math.min(60_000, minutes * 12_000);
  const end = watch.began + minutes * 60_000;
  for (let next = watch.began, reload = watch.began + reloadMs, line = 0; !ending.signal.aborted; ) {
    next += everyMs;
    await pause(Math.max(0, next - Date.now()));
    await watch.take().catch((error) => findings.add(`a sample: ${error.message}`));
    if (!Object.values(site.servers).every((server) => server.process.isRunning)) {
      findings.add('a process has ended');
      stop();
    }
    if (watch.samples.length && Date.now() - line >= Math.min(60_000, minutes * 12_000)) {
      watch.line();
      line = Date.now();
    }
    if (Date.now() >= reload) {
      site.reload();
      reload += reloadMs;
    }
    if (Date.now() >= end) stop();
  }

  await Promise.all(actors);
  publishing.abort();
  await publisher;
  await victims.leave();
  await judgeEmptiness(site, findings);
  const after = await site.descriptorsBack(before, 60_000);
  console.log(`descriptors: ${before} at the start, ${after} at the end`);
  if (after.some((n, i) => n > before[i])) findings.add('descriptors are left');
  site.takeLogs();
  const rest = Object.entries(site.sample()).map(([name, { rssKib }]) => `${name} ${mib(rssKib)} MiB`);
  console.log(`RSS when all have left: ${rest.join(', ')}`);
  judgeSamples(watch, minutes, findings);
  const events = Object.entries(site.events).sort(([, a], [, b]) => b - a);
  console.log(`logged: ${events.map(([event, n]) => `${event} ${n}`).join(', ')}`);
  if (!site.events.reloaded) findings.add('no exchange of keys was logged');
}

async function main() {
  let chosen;
  try {
    chosen = options();
  } catch (error) {
    console.error(`script/soak: ${error.message}`);
    process.exit(2);
  }
  const { minutes, rate, seed, cluster, out } = chosen;
  console.log(
    `soak: ${minutes} min, warm-up ${(warmUpSeconds(minutes) / 60).toFixed(1)} min, rate ${rate}, ` +
      `seed ${seed}${cluster ? ', a cluster' : ''}; samples and logs in ${out}`,
  );
  const findings = new Findings();
  const site = await Site.start({
    cluster,
    env: process.env.SOAK_ASAN_OPTIONS ? { ASAN_OPTIONS: process.env.SOAK_ASAN_OPTIONS } : {},
    logFile: (name) => path.join(out, `${name}.log`),
  });
  try {
    await soak(site, chosen, findings);
    await site.stop();
  } catch (error) {
    findings.add(error.message);
  } finally {
    site.takeLogs();
    site.kill();
  }
  for (const text of site.reports) findings.add(text);
  console.log(findings.n ? `soak: ${findings.n} findings` : 'soak: nothing was found');
  process.exit(findings.n ? 1 : 0); // timers of what was waited for may still run
}

await main();
