// The servers of the field: how each is started, and how the load generator talks to it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { onFreePorts } from '../../tests/e2e/support/ports.mjs';
import { Process } from '../../tests/e2e/support/process.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));
/** What bench/field has made: keys and tokens, the generator, the floor. */
export const folder = path.join(root, 'build/bench');
export const programs = {
  gusher: path.join(root, 'build/gusher'),
  fanload: process.env.FANLOAD,
  limit: process.env.LIMIT,
  limitUring: process.env.LIMIT_URING === 'yes',
  nginx: fs.existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx',
  nchan: '/usr/lib/nginx/modules/ngx_nchan_module.so',
};
export const tokensFile = path.join(folder, 'tokens');

const FORM = 'Content-Type:application/x-www-form-urlencoded';
const JSON_TYPE = 'Content-Type:application/json';
const subscribe = (data, event = 'subscribe') => JSON.stringify({ event: `gusher.${event}`, data });

// A started server is { running, options, socket }: the process, the options of fanload (for a
// template of the channel), and what a socket of ours wants: { url, first }, the frame it begins
// with.

/** gusher, in one process; has the addresses `slave` and `master`, too. */
async function startGusher(flags) {
  const args = [
    'all',
    '--public-pem-file',
    path.join(folder, 'public.pem'),
    '--log-format',
    'json',
  ];
  args.push('--api-listen', '127.0.0.1:0', '--master-api-listen', '127.0.0.1:0', ...flags);
  const running = new Process(programs.gusher, args);
  const address = {};
  while (!address.slave || !address.master) {
    const line = JSON.parse(await running.line('stderr', /"event":"listening"/));
    address[line.role] = line.address;
  }
  const options = ({ channel = 'ch%c', json = false, tokens = tokensFile, channels } = {}) => [
    ...['--ws', address.slave, '--ws-path', '/gcs/ws/demo?token=%v', '--vars', tokens],
    ...[
      '--sub',
      channels ? subscribe({ multi_channel: channels }, 'multi_subscribe') : subscribe({ channel }),
    ],
    ...['--ack', 'subscribe_succeeded'],
    ...['--http', address.master, '--post', `/api/push/demo/${channel}/msg`],
    ...['--header', json ? JSON_TYPE : FORM, '--body', json ? '{"data":"%M"}' : 'data=%M'],
  ];
  const jwts = fs.readFileSync(tokensFile, 'utf8').split('\n');
  const socket = (channel, i) => ({
    url: `ws://${address.slave}/gcs/ws/demo?token=${jwts[i]}`,
    first: subscribe({ channel }),
  });
  return { running, options, socket, ...address };
}

/** Servers whose paths name the channel, and whose upgrade subscribes to it. */
function byPath(running, port) {
  const options = ({ channel = 'ch%c' } = {}) => [
    ...['--ws', `127.0.0.1:${port}`, '--ws-path', `/sub/${channel}`, '--post', `/pub/${channel}`],
  ];
  const socket = (channel) => ({ url: `ws://127.0.0.1:${port}/sub/${channel}` });
  return { running, options, socket };
}

/** In memory, nothing kept, nothing logged: as little work as it can be told to do. */
const nchanConfig = (home, port, workers) => `
load_module ${programs.nchan};
daemon off;
worker_processes ${workers};
worker_rlimit_nofile 20000;
pid ${home}/pid;
error_log stderr warn;
events { worker_connections 20000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path ${home}/body;
    proxy_temp_path ${home}/proxy;
    fastcgi_temp_path ${home}/fastcgi;
    uwsgi_temp_path ${home}/uwsgi;
    scgi_temp_path ${home}/scgi;
    server {
        listen 127.0.0.1:${port} backlog=4096;
        nchan_message_buffer_length 0;
        location ~ ^/sub/(.*)$ { nchan_subscriber websocket; nchan_channel_id $1; }
        location ~ ^/pub/(.*)$ { nchan_publisher; nchan_channel_id $1; }
    }
}
`;

async function startNchan(workers) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-nchan-'));
  return onFreePorts(1, async (port) => {
    fs.writeFileSync(path.join(home, 'nginx.conf'), nchanConfig(home, port, workers));
    const running = new Process(programs.nginx, [
      '-p',
      home,
      '-e',
      'stderr',
      '-c',
      `${home}/nginx.conf`,
    ]);
    running.exited.then(() => fs.rmSync(home, { recursive: true, force: true }));
    await answers(port, running);
    return byPath(running, port);
  });
}

/** Resolves as soon as somebody answers HTTP there. */
async function answers(port, running) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/`, { headers: { Connection: 'close' } });
      return;
    } catch (error) {
      if (!running.isRunning || Date.now() > deadline)
        throw new Error(running.stderr, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function startWs() {
  const running = new Process(process.execPath, [path.join(root, 'bench/lib/ws_server.mjs')]);
  const port = Number(await running.line('stdout', /^\d+$/));
  return byPath(running, port);
}

/** title: its name in words; family: its column and colour; workers: how many cores it may use. */
export const servers = {
  gusher: {
    title: 'gusher',
    family: 'gusher',
    workers: 1,
    start: (flags = []) => startGusher(['--workers', '1', '--io-uring', 'on', ...flags]),
  },
  'gusher-send': {
    title: 'gusher, plain sends',
    family: 'gusher',
    workers: 1,
    start: (flags = []) => startGusher(['--workers', '1', '--io-uring', 'off', ...flags]),
  },
  'gusher-2': {
    title: 'gusher, two workers',
    family: 'gusher',
    workers: 2,
    start: (flags = []) => startGusher(['--workers', '2', '--io-uring', 'on', ...flags]),
  },
  limit: { title: 'limit', family: 'limit', workers: 1, mode: ['--mode', 'send'] },
  'limit-uring': {
    title: 'limit, io_uring',
    family: 'limit',
    workers: 1,
    mode: ['--mode', 'uring-defer', '--fixed'],
  },
  nchan: { title: 'nchan', family: 'nchan', workers: 1, start: () => startNchan(1) },
  'nchan-2': {
    title: 'nchan, two workers',
    family: 'nchan',
    workers: 2,
    start: () => startNchan(2),
  },
  ws: { title: 'ws', family: 'ws', workers: 1, start: startWs },
};

/** Stops a process, without minding how it takes that: its figures have been taken. */
export async function stop({ running, release }) {
  if (running.isRunning) running.signal('SIGTERM');
  const late = setTimeout(() => running.kill(), 10_000);
  await running.exited;
  clearTimeout(late);
  release?.();
}
