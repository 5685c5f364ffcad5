// The dashboard's backend: measures this machine and gusher once a second and publishes the figures.
// Pages hear them from gusher; the backend is asked only for what was before they came.
import os from 'node:os';
import { call, publish, tokenFor } from '../shared/gusher.mjs';
import { serve } from '../shared/web.mjs';

const APP = 'dashboard';
const CHANNEL = 'figures';
const EACH_MS = 1000;
const KEPT = 120; // figures, for those who come later

// ---- measuring

let cpuBefore = { busy: 0, all: 0 };

/** How busy the processors were since the last look, in percent. */
function cpuPercent() {
  const now = { busy: 0, all: 0 };
  for (const { times } of os.cpus()) {
    const all = Object.values(times).reduce((sum, time) => sum + time, 0);
    now.all += all;
    now.busy += all - times.idle;
  }
  const { busy, all } = cpuBefore;
  cpuBefore = now;
  return now.all > all ? (100 * (now.busy - busy)) / (now.all - all) : 0;
}

const memoryPercent = () => 100 * (1 - os.freemem() / os.totalmem());

async function measure() {
  const { connections } = await call('GET', '/v1/stats');
  return {
    at: Date.now(),
    cpu: Number(cpuPercent().toFixed(1)),
    memory: Number(memoryPercent().toFixed(1)),
    load: Number(os.loadavg()[0].toFixed(2)),
    viewers: connections,
  };
}

// ---- telling

const kept = [];

async function tell() {
  try {
    const figures = await measure();
    kept.push(figures);
    if (kept.length > KEPT) kept.shift();
    await publish(APP, CHANNEL, 'figures', figures);
  } catch (error) {
    console.error(error.message); // the next second tries again
  }
  setTimeout(tell, EACH_MS);
}

const routes = {
  /** Anybody may look, so the token names nobody; it permits this one channel. */
  'POST /token': async () => ({
    jwt: tokenFor({ app: APP, channels: [CHANNEL], seconds: Number(process.env.TOKEN_SECONDS) }),
    app: APP,
    channels: [CHANNEL],
    sockets: process.env.GUSHER_SOCKETS,
  }),
  'GET /figures': async () => kept,
};

const file = (name) => new URL(name, import.meta.url);
const files = {
  '/': file('page.html'),
  '/page.js': file('page.js'),
  '/page.css': file('page.css'),
  '/look.css': file('../shared/look.css'),
  '/socket.js': file('../shared/socket.js'),
};

cpuPercent();
setTimeout(tell, EACH_MS);
serve({ port: Number(process.env.PORT), files, routes, sockets: process.env.GUSHER_SOCKETS });
