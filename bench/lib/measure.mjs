// How each kind of row is measured. A function gets the row's load, which server it is, and how to
// start that; it gives { figures }, and where they mean something
//   lost      messages that did not arrive, of a hundred
//   starved   the server had time left in a run without a rate: the generator was the limit
//   otherPct  CPU that others took, where the generator knows it better (cpu.mjs)
import fs from 'node:fs';
import path from 'node:path';
import { Backend, ticketsOf } from './backend.mjs';
import { cpuUs } from './cpu.mjs';
import { endGenerators, fanload, limit, startFanload } from './fanload.mjs';
import { hold } from './quota.mjs';
import { folder, servers, stop, tokensFile } from './servers.mjs';
import { Crowd, openSocket } from './sockets.mjs';
import { median } from './stats.mjs';

const STARVED_BELOW_PCT = 90;
const WARMUP_S = 1.5;
/** What fanload's messages begin with. */
const MARK = 'fLt';

function figuresOf(result) {
  return {
    us: result.server_cpu_us_per_delivery,
    perSecond: result.delivered_per_s,
    ...(result.received > 0 && result.lat_ms),
    kib: result.kib_per_conn_rss,
    connectUs: result.server_cpu_us_per_conn,
  };
}

function lostOf(result) {
  if (result.ready < result.conns) return (100 * (result.conns - result.ready)) / result.conns;
  return result.expected > 0 ? (100 * result.missing) / result.expected : 0;
}

const idleFigures = ({ kib, connectUs }) => ({ kib, connectUs });
const latencies = ({ p50, p90, p99, max }) => ({ p50, p90, p99, max }); // undefined if nothing came
const loadFigures = ({ kib, connectUs, ...rest }) => rest;

function judgedFan(result, load, id) {
  const figures = figuresOf(result);
  return {
    figures: load.idle ? idleFigures(figures) : loadFigures(figures),
    lost: lostOf(result),
    starved:
      !load.idle &&
      !load.fan.rate &&
      result.server_cpu_pct < STARVED_BELOW_PCT * servers[id].workers * (load.share ?? 1),
    serverPct: result.server_cpu_pct,
    otherPct: result.other_cpu_pct,
  };
}

const fanOptions = ({ fan, idle }) => ({ warmup: WARMUP_S, idle, ...fan });

async function fan({ load, id, start }) {
  if (servers[id].family === 'limit') {
    const result = await limit(id, load.floor);
    return { figures: { us: result.cpu_us_per_delivery, perSecond: result.deliveries_per_s } };
  }
  const server = await start();
  if (load.share) server.release = hold(server.running.child.pid, load.share * servers[id].workers);
  const result = await fanload(server, fanOptions(load), { json: load.json });
  return judgedFan(result, load, id);
}

/** The storm with tickets, and what the tickets cost; who has no tickets does without. */
async function tickets({ load, id, start }) {
  const server = await start();
  if (servers[id].family !== 'gusher') {
    return judgedFan(await fanload(server, fanOptions(load)), load, id);
  }
  const { pid } = server.running.child;
  const jwts = fs.readFileSync(tokensFile, 'utf8').split('\n').slice(0, load.fan.conns);
  const before = cpuUs(pid);
  const list = await ticketsOf(server.slave, jwts);
  const authUs = (cpuUs(pid) - before) / jwts.length;
  const file = path.join(folder, 'tickets');
  fs.writeFileSync(file, list.join('\n') + '\n');
  const run = judgedFan(await fanload(server, fanOptions(load), { tokens: file }), load, id);
  return { ...run, figures: { ...run.figures, authUs } };
}

/** What saturates a server is found first, then half of it is put to a fresh one. */
async function half({ load, start }) {
  const probe = await fanload(await start(), { warmup: WARMUP_S, ...load.fan, ...load.probe });
  const rate = Math.max(1, Math.round(probe.publish_per_s / 2));
  const result = await fanload(await start(), { warmup: WARMUP_S, ...load.fan, rate });
  const { perSecond, ...figures } = figuresOf(result);
  return {
    figures: { ...latencies(figures), perSecond },
    lost: lostOf(result),
    otherPct: result.other_cpu_pct,
  };
}

/** Resolves when the first message of the channel under fire has come. */
async function burning(server) {
  let socket;
  await new Promise((resolve, reject) => {
    const read = (text) => text.includes(MARK) && resolve();
    openSocket(server.socket('ch0', 0), read).then((opened) => (socket = opened), reject);
  });
  socket.terminate();
}

/** The fire burns for as long as the quiet channel takes, which a busy server may keep waiting. */
async function quiet({ load, start }) {
  const server = await start();
  const fire = startFanload(server, load.fire);
  await burning(server);
  const result = await fanload(server, load.quiet, { channel: 'quiet' });
  if (!fire.running.isRunning)
    throw new Error('the fire was out before the quiet channel was done');
  return { figures: latencies(figuresOf(result)), lost: lostOf(result) };
}

/** No pings meanwhile: those of 18,000 sockets would be counted as the pushes' own work. */
const NO_PINGS = ['--ping-interval', '3600', '--pong-timeout', '7200'];

async function reachOf(server, n) {
  return { crowd: await Crowd.open(server, n), backend: new Backend(server.master), server };
}

/** CPU of one push, in a block of them to the same few targets. */
async function blockUs({ crowd, backend, server }, targets, { pushes, rate }) {
  const { pid } = server.running.child;
  const paths = Array.from({ length: pushes }, (_, i) => targets[i % targets.length]);
  const received = crowd.received;
  const before = cpuUs(pid);
  await backend.pushAll(paths, rate);
  await crowd.arrived(received, pushes);
  return (cpuUs(pid) - before) / pushes;
}

/** The servers take turns block by block, so that both meet the same weather. */
async function reach({ load, start }) {
  const few = await reachOf(await start(NO_PINGS), load.few);
  const many = await reachOf(await start(NO_PINGS), load.many);
  const to = {
    socket: ({ crowd }) => crowd.ids.slice(0, load.few).map((id) => `socket/demo/${id}`),
    user: () => Array.from({ length: load.few }, (_, i) => `user/demo/u${i}`),
  };
  const figures = {};
  for (const [kind, targetsOf] of Object.entries(to)) {
    const times = { Few: [], Many: [] };
    for (let block = 0; block <= load.blocks; block++) {
      times.Few.push(await blockUs(few, targetsOf(few), load));
      times.Many.push(await blockUs(many, targetsOf(many), load));
    }
    // The first block is there to warm up.
    for (const name of ['Few', 'Many']) figures[`${kind}${name}Us`] = median(times[name].slice(1));
  }
  for (const { crowd, backend } of [few, many]) {
    crowd.close();
    backend.close();
  }
  return { figures };
}

/** Opens sockets with several channels each and holds them; resolves when all are subscribed. */
async function manyChannels(server, backend, { conns, each }) {
  const channels = Array.from({ length: each }, (_, k) => `p%i-${k}`);
  const holder = startFanload(server, { conns, idle: true, settle: 3600 }, { channels });
  const deadline = Date.now() + 60_000;
  for (;;) {
    const { count } = JSON.parse(await backend.request('GET', '/api/demo/channels/count'));
    if (count === conns * each) return;
    if (!holder.running.isRunning || Date.now() > deadline) {
      throw new Error(`${count} channels: ${holder.running.stderr}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The quiet channel alone, beside pushes to another server that holds as much (what the machine's two
 *  clients cost it), and beside pushes to its own. */
async function pattern({ load, start }) {
  const [server, other] = [await start(), await start()];
  const { pid } = server.running.child;
  const backends = new Map();
  for (const each of [server, other]) {
    backends.set(each, new Backend(each.master, 1));
    await manyChannels(each, backends.get(each), load);
  }
  let n = 0;
  const pushTo = (each) =>
    backends.get(each).pushPattern(`^p${n++ % load.conns}-`, load.each);

  const before = cpuUs(pid);
  while (n < load.pushes) await pushTo(server);
  const patternMs = (cpuUs(pid) - before) / load.pushes / 1000;

  const quietBeside = async (pushed) => {
    const { running, result } = startFanload(server, load.quiet, { channel: 'quiet' });
    while (pushed && running.isRunning) await pushTo(pushed);
    return result;
  };
  const results = [await quietBeside(), await quietBeside(other), await quietBeside(server)];
  for (const backend of backends.values()) backend.close();
  const [alone, elsewhere, meanwhile] = results;
  return {
    figures: {
      patternMs,
      quietP99: alone.lat_ms.p99,
      elsewhereP99: elsewhere.lat_ms.p99,
      ...latencies(figuresOf(meanwhile)),
    },
    lost: Math.max(...results.map(lostOf)),
  };
}

const kinds = { fan, tickets, half, quiet, reach, pattern };

/** One run of a row by one server. Whatever was started ends with it. */
export async function measure(row, id) {
  const started = [];
  const start = async (flags) => {
    started.push(await servers[id].start(flags));
    return started.at(-1);
  };
  try {
    return await kinds[row.kind]({ load: row.load, id, start });
  } finally {
    await endGenerators();
    await Promise.all(started.map(stop));
  }
}
