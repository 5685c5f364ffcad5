// The pictures of docs/CONSOLE.md: node console/screenshots.mjs [SECONDS]
// A small cluster under a believable load, looked at for SECONDS (75) so that the charts have something
// to show; then docs/img/console-*.png. Takes what script/setup --test installs, and a built gusher.
import fs from 'node:fs';
import path from 'node:path';
import { launch } from '../tests/e2e/support/browser.mjs';
import { Client } from '../tests/e2e/support/client.mjs';
import { Cluster } from '../tests/e2e/support/cluster.mjs';
import { root } from '../tests/e2e/support/gusher.mjs';
import { request } from '../tests/e2e/support/http.mjs';
import * as keys from '../tests/e2e/support/keys.mjs';
import { inParallel, pause } from '../tests/e2e/support/wait.mjs';

const seconds = Number(process.argv[2] ?? 75);
const folder = path.join(root, 'docs/img');
const size = { width: 1280, height: 800 };

const names = 'alice bruno chen dilara emeka freya goran hana ines jonas kofi lena'.split(' ');
const apps = [
  { app: 'shop', sockets: 180, channels: ['news', 'prices', 'stock', 'order-1042', 'order-1043'] },
  { app: 'chat', sockets: 90, channels: ['lobby', 'team/red', 'team/blue', 'typing'] },
  { app: 'dashboards', sockets: 40, channels: ['orders', 'visitors'] },
  { app: 'scores', sockets: 24, channels: ['match-7', 'match-8'] },
];

async function openSocket(cluster, { app, channels }, i) {
  const user = i % 6 ? `${names[i % names.length]}${i > 30 ? i : ''}` : '';
  const token = keys.sign(keys.claims({ app, user, channels: [...channels, `${app}-*`] }));
  const slave = cluster.slaves[i % 3 ? 0 : 1];
  const headers = { 'X-Forwarded-For': `203.0.113.${1 + (i % 250)}` };
  const client = await Client.open(slave.url(app, token), { headers });
  await client.subscribe(channels[0], channels[1 + (i % (channels.length - 1))]);
  return client;
}

const prices = (i) => ({
  symbol: ['EUR/USD', 'GBP/USD', 'USD/JPY'][i % 3],
  bid: Number((1.08 + Math.sin(i / 9) / 100).toFixed(4)),
  ask: Number((1.082 + Math.sin(i / 9) / 100).toFixed(4)),
});

const messages = [
  { app: 'shop', channel: 'prices', event: 'price', data: prices },
  {
    app: 'shop',
    channel: 'news',
    event: 'headline',
    data: (i) => ({ id: 4100 + i, title: 'Back in stock', sale: i % 2 === 0 }),
  },
  {
    app: 'chat',
    channel: 'lobby',
    event: 'message',
    data: (i) => ({ from: names[i % 12], text: 'Good morning!' }),
  },
  {
    app: 'dashboards',
    channel: 'visitors',
    event: 'count',
    data: (i) => ({ now: 1200 + ((i * 37) % 90) }),
  },
  {
    app: 'scores',
    channel: 'match-7',
    event: 'score',
    data: (i) => ({ home: i % 5, away: i % 3 }),
  },
];

/** Publishes until `isOver()`, now more, now less. */
async function publish(master, isOver) {
  for (let i = 0; !isOver(); i++) {
    const { app, channel, event, data } = messages[i % 3 ? 0 : i % messages.length];
    const body = JSON.stringify({ event, data: data(i) });
    const target = `/v1/apps/${app}/channels/${channel}/messages`;
    await request(master.master, 'POST', target, { agent: master.agent, body });
    await pause(15 + 5 * Math.sin(i / 700) + 4 * Math.random());
  }
}

/** Somebody with too many windows, who is asked to leave. */
async function stir(cluster, clients) {
  await pause((seconds * 1000) / 2);
  const greedy = { app: 'chat', channels: ['lobby', 'typing'] };
  for (let i = 0; i < 12; i++)
    await openSocket(cluster, greedy, 1).then(
      (client) => clients.push(client),
      () => {}, // over --max-connections-per-user
    );
  await cluster.masters[0].post('/kick/user/chat/bruno', { reason: 'enough' });
}

async function photograph(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: path.join(folder, `console-${name}-${colorScheme}.png`) });
  }
}

async function look(master) {
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: size, deviceScaleFactor: 1 });
    const at = `http://${master.master.host}:${master.master.port}/ui/`;
    await page.goto(`${at}#/`);
    await pause(seconds * 1000);
    await photograph(page, 'overview');
    await page.goto(`${at}#/apps/shop/channels/news`);
    await pause(9000);
    await photograph(page, 'channel');
  } finally {
    await browser.close();
  }
}

fs.mkdirSync(folder, { recursive: true });
const flags = { 'trusted-proxies': '127.0.0.0/8', 'max-connections-per-user': 8 };
const cluster = await Cluster.start({ slaves: 2, masters: 1, slaveFlags: flags });
const clients = [];
try {
  let isOver = false;
  const [master] = cluster.masters;
  for (const app of apps)
    await inParallel(app.sockets, 8, async (i) => clients.push(await openSocket(cluster, app, i)));
  const publishing = publish(master, () => isOver);
  for (const client of clients.slice(0, 14)) await client.close(1000);
  for (const client of clients.slice(14, 17)) await client.terminate();
  await Promise.all([look(master), stir(cluster, clients)]);
  isOver = true;
  await publishing;
} finally {
  for (const client of clients) client.terminate();
  cluster.kill();
}
