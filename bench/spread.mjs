// Channels spread over slaves, one subscriber each: where does a push go, and what does a count cost?
// node spread.mjs MASTER MONITOR TOKENS SLAVE…  (addresses; the monitor is NATS's)
import { createRequire } from 'node:module';
import fs from 'node:fs';
import http from 'node:http';

const WebSocket = createRequire(new URL('../tests/e2e/', import.meta.url))('ws');
const [master, monitor, tokensFile, ...slaves] = process.argv.slice(2);
const CHANNELS = 10_000;
const SOCKETS = 400; // of all slaves together, so each has 25 channels
const PUSHES = 1000;
const COUNTS = 200;

const tokens = fs.readFileSync(tokensFile, 'utf8').split('\n');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function request(method, url, body = '') {
  return new Promise((resolve, reject) => {
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': Buffer.byteLength(body),
    };
    const r = http.request(url, { method, agent, headers }, (reply) => {
      let text = '';
      reply.on('data', (chunk) => (text += chunk));
      reply.on('end', () => (reply.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    r.on('error', reject);
    r.end(body);
  });
}

let delivered = 0;
let arrived = () => {};

function open(i) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://${slaves[i % slaves.length]}/gcs/ws/demo?token=${tokens[i]}`);
    const per = CHANNELS / SOCKETS;
    const names = Array.from({ length: per }, (_, k) => `ch${i * per + k}`);
    const lists = [];
    while (names.length) lists.push(names.splice(0, 10));
    let left = lists.length;
    ws.on('error', reject);
    ws.on('open', () => {
      for (const multi_channel of lists)
        ws.send(JSON.stringify({ event: 'gusher.multi_subscribe', data: { multi_channel } }));
    });
    ws.on('message', (data) => {
      if (left && data.toString().includes('multi_subscribe_succeeded')) {
        if (--left === 0) resolve(ws);
        return;
      }
      delivered++;
      arrived();
    });
  });
}

/** Messages that NATS has sent to each of its clients, by their id. */
async function outMessages() {
  const { connections } = JSON.parse(await request('GET', `${monitor}/connz?limit=100`));
  return new Map(connections.map((c) => [c.cid, c.out_msgs]));
}

const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
const sockets = await Promise.all(Array.from({ length: SOCKETS }, (_, i) => open(i)));

// Beats go to everybody: what they cost is measured beside, over the same time.
async function crossings(work) {
  const before = await outMessages();
  const began = performance.now();
  await work();
  const ms = performance.now() - began;
  const after = await outMessages();
  let total = 0;
  for (const [cid, n] of after) total += n - before.get(cid);
  return { total, ms };
}

const idle = await crossings(() => new Promise((resolve) => setTimeout(resolve, 2000)));
const pushed = await crossings(async () => {
  for (let i = 0; i < PUSHES; i++) {
    const channel = `ch${(i * 7919) % CHANNELS}`;
    const came = new Promise((resolve) => (arrived = resolve));
    await request('POST', `http://${master}/api/push/demo/${channel}/e`, 'data=1');
    await came;
  }
});
const perPush = (pushed.total - (idle.total * pushed.ms) / idle.ms) / PUSHES;
console.log(
  `${PUSHES} pushes to channels of one subscriber: ${delivered} deliveries, ` +
    `${perPush.toFixed(2)} messages out of NATS for each (of ${slaves.length} slaves)`,
);

const times = [];
for (let i = 0; i < COUNTS; i++) {
  const began = performance.now();
  const { count } = JSON.parse(await request('GET', `http://${master}/api/demo/online/count`));
  times.push(performance.now() - began);
  if (count !== SOCKETS) throw new Error(`${count} of ${SOCKETS} users online`);
}
console.log(`online/count of ${slaves.length} slaves: ${median(times).toFixed(2)} ms at the median`);
for (const ws of sockets) ws.terminate();
agent.destroy();
