// The load generator and the kernel's floor, as functions.
import { Process } from '../../tests/e2e/support/process.mjs';
import { programs, servers, stop } from './servers.mjs';

/** { 'max-lag': 64, idle: true } as options; a number of 0 or false leaves one out. */
export function optionList(options) {
  return Object.entries(options)
    .filter(([, value]) => value !== undefined && value !== false)
    .flatMap(([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, String(value)]));
}

/** Length of what gusher sends for a message of 128 bytes, header and envelope included. */
const FRAME_BYTES = 4 + '{"channel":"ch0","event":"msg","data":""}'.length + 128;

/** Generators that were started since endGenerators. */
const generators = [];

/** Starts fanload against `server`: { running, result }; `result` is what it says at its end. */
export function startFanload(server, load, client = {}) {
  const args = [...server.options(client), '--pid', `server=${server.running.child.pid}`];
  const running = new Process(programs.fanload, [...args, ...optionList(load)]);
  generators.push(running);
  const result = running.exited.then(() => {
    try {
      return JSON.parse(running.stdout);
    } catch (error) {
      throw new Error(`fanload: ${running.stderr}`, { cause: error });
    }
  });
  result.catch(() => {}); // whoever waits for it hears of it all the same
  return { running, result };
}

/** Ends those that still run, as they hold sockets or burn on: the next row must not meet them. */
export async function endGenerators() {
  await Promise.all(generators.splice(0).map((running) => stop({ running })));
}

export function fanload(server, load, client) {
  return startFanload(server, load, client).result;
}

async function runLimit(mode, options) {
  const running = new Process(programs.limit, [
    ...mode,
    '--size',
    String(FRAME_BYTES),
    ...optionList(options),
  ]);
  const { code } = await running.exited;
  if (code !== 0) throw new Error(`limit: ${running.stderr}`);
  return JSON.parse(running.stdout);
}

/** As many rounds a second as messages come. limit pauses between its rounds, so what a round takes
 *  is measured first. */
async function paced(mode, { conns, rate, duration }) {
  const periodUs = 1e6 / rate;
  const rough = Math.round(periodUs / 2);
  const rounds = Math.ceil(rate);
  const trial = await runLimit(mode, { conns, msgs: rounds, pause: rough });
  const workUs = trial.cpu_us_per_delivery * conns; // by the clock it would be others' time, too
  const pause = Math.max(1, Math.round(periodUs - workUs));
  return runLimit(mode, { conns, msgs: Math.round(rate * duration), pause });
}

const FLOOD_SENDS = 400_000;

function flood(mode, { conns, batch }) {
  return runLimit(mode, { conns, batch, msgs: Math.ceil(FLOOD_SENDS / conns) * batch });
}

export function limit(id, load) {
  const { mode } = servers[id];
  return load.rate ? paced(mode, load) : flood(mode, load);
}
