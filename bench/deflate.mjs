// What compression saves and costs: node bench/deflate.mjs [SUBSCRIBERS] [MESSAGES A SECOND].
// Starts build/gusher with one worker; the same pushes go to sockets without and with
// permessage-deflate. Payloads are JSON like that of a price list. Wants tests/e2e's node_modules.
import { spawn } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const require = createRequire(new URL('../tests/e2e/package.json', import.meta.url));
const WebSocket = require('ws');
const [subscribers = 200, rate = 50] = process.argv.slice(2).map(Number);
const SECONDS = 4;
const slave = '127.0.0.1:18981';
const master = '127.0.0.1:18982';
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gusher-deflate-'));
execFileSync('node', ['bench/tokens.mjs', folder, '1']);
const token = fs.readFileSync(path.join(folder, 'tokens'), 'utf8').trim();

const prices = (bytes) => {
  const list = [];
  for (let i = 0; JSON.stringify(list).length < bytes; i++)
    list.push({ symbol: `ACME${i}`, price: (100 + Math.random() * 900).toFixed(2), volume: Math.floor(Math.random() * 1e5) });
  return JSON.stringify(list);
};

/** CPU of a process in microseconds, all its threads. */
const cpu = (pid) =>
  fs
    .readdirSync(`/proc/${pid}/task`)
    .reduce((sum, id) => sum + Number(fs.readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]) / 1000, 0);

function subscribe(perMessageDeflate) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://${slave}/gcs/ws/demo?token=${token}`, { perMessageDeflate });
    ws.got = -1; // the reply to the subscription
    ws.on('message', () => ++ws.got === 0 && resolve(ws));
    ws.on('error', reject);
    ws.on('open', () => ws.send('{"event":"gusher.subscribe","data":{"channel":"prices"}}'));
  });
}

async function measure(bytes, perMessageDeflate) {
  const server = spawn('build/gusher', ['all', '--workers', '1', '--public-pem-file', `${folder}/public.pem`, '--api-listen', slave, '--master-api-listen', master, '--log-level', 'warn'], { stdio: 'inherit' });
  for (;;) {
    try {
      await fetch(`http://${master}/healthz`);
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  const sockets = [];
  while (sockets.length < subscribers) sockets.push(await subscribe(perMessageDeflate));
  const received = () => sockets.reduce((sum, ws) => sum + ws._socket.bytesRead, 0);
  const [cpuBefore, bytesBefore] = [cpu(server.pid), received()];
  for (let n = 0; n < SECONDS * rate; n++) {
    const due = new Promise((resolve) => setTimeout(resolve, 1000 / rate));
    await fetch(`http://${master}/api/push/demo/prices/tick`, { method: 'POST', body: new URLSearchParams({ data: prices(bytes) }) });
    await due;
  }
  while (sockets.some((ws) => ws.got < SECONDS * rate)) await new Promise((resolve) => setTimeout(resolve, 20));
  const deliveries = SECONDS * rate * subscribers;
  const result = { cpu: (cpu(server.pid) - cpuBefore) / deliveries, bytes: (received() - bytesBefore) / deliveries };
  for (const ws of sockets) ws.terminate();
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill();
  await ended;
  return result;
}

for (const bytes of [600, 2000, 8000]) {
  const plain = await measure(bytes, false);
  const small = await measure(bytes, { threshold: 1 << 30 });
  console.log(
    `${bytes} bytes of JSON to ${subscribers}: ${plain.bytes.toFixed(0)} bytes and ${plain.cpu.toFixed(2)} us CPU a delivery plain, ` +
      `${small.bytes.toFixed(0)} bytes and ${small.cpu.toFixed(2)} us compressed`,
  );
}
fs.rmSync(folder, { recursive: true });
