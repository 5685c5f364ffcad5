// /metrics: every number is what happened, Prometheus reads them, dashboard and alerts ask for them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { clusterTest } from './support/cluster.mjs';
import { freeAddress, Process, root, run, serverTest, withServer } from './support/gusher.mjs';
import { request } from './support/http.mjs';
import * as keys from './support/keys.mjs';
import { until } from './support/wait.mjs';

const packaging = path.join(root, 'packaging');

/** { 'name{labels}': value } of a text, each sample once. */
function samplesOf(text) {
  const samples = {};
  assert.match(text, /\n# EOF\n$/);
  for (const line of text.split('\n').filter((line) => line && !line.startsWith('#'))) {
    const [, name, value] = /^(\S+(?:\{[^}]*\})?) ([\d.]+)$/.exec(line);
    assert.ok(!(name in samples), `${name} twice`);
    samples[name] = Number(value);
  }
  return samples;
}

async function scrape(server, to = server.master) {
  const reply = await request(to, 'GET', '/metrics');
  assert.equal(reply.status, 200, reply.text);
  assert.equal(
    reply.headers['content-type'],
    'application/openmetrics-text; version=1.0.0; charset=utf-8',
  );
  return samplesOf(reply.text);
}

/** Waits until these have grown by just so much: what is counted at a turn's end may come a moment later. */
async function grown(server, before, by) {
  let last;
  await until(async () => {
    const now = await scrape(server);
    last = Object.fromEntries(Object.keys(by).map((name) => [name, now[name] - before[name]]));
    return Object.entries(by).every(([name, n]) => last[name] === n);
  }, JSON.stringify(by)).catch((error) => {
    assert.deepEqual(last, by, error.message);
  });
}

serverTest('counts what happens', {}, async (server) => {
  const before = await scrape(server);
  const clients = [];
  for (let i = 0; i < 3; i++) clients.push(await server.login({ user: 'ann' }));
  for (const client of clients) await client.subscribe('c', 'd');
  await server.push('app', 'c', 'e', '"x"');
  await server.post('/push_batch/app', {
    batch_data: JSON.stringify([{ channel: 'c', event: 'e', data: 1 }, { channel: 'nobody', event: 'e', data: 1 }]),
  });
  await server.post('/push/app', { channel_pattern: '^[cd]$', event: 'e', data: '1' });
  await server.post('/push/user/app/ann', { data: '1' });
  await server.post(`/push/socket/app/${await clients[0].socketId()}`, { data: '1' });
  await server.post('/add/channel/user/app/ann', { data: 'more' });
  await server.post('/reload/channel/user/app/ann', { data: '["*"]' });
  await grown(server, before, {
    gusher_websockets: 3,
    gusher_subscriptions: 6,
    'gusher_publishes_total{kind="channel"}': 5,
    'gusher_publishes_total{kind="user"}': 1,
    'gusher_publishes_total{kind="socket"}': 1,
    'gusher_publishes_total{kind="add"}': 1,
    'gusher_publishes_total{kind="reload"}': 1,
    gusher_publishes_refused_total: 0,
    // c twice and once by pattern, d by pattern, the user, add and reload: three each; the socket.
    gusher_deliveries_total: 3 * 7 + 1,
  });
  // Each at least once: all three sockets may be of one worker.
  const written = (samples) => samples.gusher_publish_to_write_seconds_count;
  const now = await until(async () => {
    const samples = await scrape(server);
    return written(samples) - written(before) >= 8 && samples;
  }, 'all are written');
  assert.equal(now['gusher_publish_to_write_seconds_bucket{le="+Inf"}'], written(now));
  assert.ok(now.gusher_sent_bytes_total > before.gusher_sent_bytes_total + 500);
  assert.ok(now.gusher_received_bytes_total > before.gusher_received_bytes_total + 500);
  assert.ok(now.process_resident_memory_bytes > 1 << 20 && now.process_open_fds > 5);
  assert.ok(Math.abs(now.process_start_time_seconds - Date.now() / 1000) < 600);
});

serverTest('what waits to be sent is nothing when all is sent', { workers: 1 }, async (server) => {
  const clients = [];
  for (let i = 0; i < 40; i++) clients.push(await server.login({ user: `user ${i}` }));
  for (const client of clients) await client.subscribe('large');
  const waits = async () => (await scrape(server)).gusher_send_queue_bytes;
  await until(async () => (await waits()) < 4096, 'nothing waits');
  const before = await waits();
  for (let i = 0; i < 300; i++) await server.push('app', 'large', 'e', JSON.stringify('x'.repeat(i)));
  for (const client of clients) for (let i = 0; i < 300; i++) await client.next();
  await until(async () => (await waits()) === before, `${before} bytes again`);
});

serverTest('counts ends by their reason', { 'max-connections-per-user': 2 }, async (server) => {
  const before = await scrape(server);
  const closes = (reason) => `gusher_closes_total{reason="${reason}"}`;
  await (await server.login({ user: 'ann' })).close();
  await (await server.login({ user: 'ann' })).terminate();
  const bad = await server.login({ user: 'bob' });
  bad.send('nonsense');
  await bad.closed();
  const kicked = await server.login({ user: 'cyd' });
  await server.post('/kick/user/app/cyd');
  await kicked.closed();
  for (let i = 0; i < 2; i++) await server.login({ user: 'dan' });
  await assert.rejects(server.login({ user: 'dan' }), /429/);
  await server.call('GET', '/nothing/here/at/all');
  await grown(server, before, {
    gusher_websockets: 2,
    [closes('client')]: 1,
    [closes('gone')]: 1,
    [closes('bad_command')]: 1,
    [closes('kicked')]: 1,
    'gusher_refusals_total{limit="max-connections-per-user"}': 1,
    'gusher_http_replies_total{status="404"}': 1,
    'gusher_http_replies_total{status="429"}': 1,
  });
});

clusterTest('the bus of a cluster is up, or is not', {}, async (cluster) => {
  const members = [...cluster.slaves, ...cluster.masters];
  const up = (n) =>
    until(async () => {
      const all = await Promise.all(members.map((one) => scrape(one, one.slave ?? one.master)));
      return all.every((samples) => samples.gusher_bus_up === n);
    }, `gusher_bus_up ${n}`);
  await up(1);
  await cluster.nats.kill();
  await up(0);
});

// ---- who may ask

test('who may ask for them', async () => {
  const file = path.join(keys.folder, 'metrics-keys');
  const key = async (name, right) => {
    const made = await run(['key', '--name', name, '--right', right, '--keys-file', file]);
    return { Authorization: `Bearer ${made.stdout.trim()}` };
  };
  const query = await key('prometheus', 'query');
  const publish = await key('publisher', 'publish');
  const get = (to, headers) => request(to, 'GET', '/metrics', { headers });
  await withServer({ 'master-keys-file': file }, async (server) => {
    for (const to of [server.slave, server.master]) {
      assert.equal((await get(to)).status, 401);
      assert.equal((await get(to, publish)).status, 403);
      assert.equal((await get(to, query)).status, 200);
    }
  });
  await withServer({}, async (server) => {
    assert.equal((await get(server.master)).status, 200);
    assert.equal((await get(server.slave)).status, 200);
    const refused = await get(server.slave, { 'X-Forwarded-For': '1.2.3.4' });
    assert.equal(refused.status, 403);
    assert.match(refused.text, /^metrics are for this machine/);
  });
});

// ---- the page and the files beside it

serverTest('docs/METRICS.md has them all, and no others', {}, async (server) => {
  const page = fs.readFileSync(path.join(root, 'docs/METRICS.md'), 'utf8');
  const told = new Set(page.match(/`(gusher|process)_\w+/g).map((name) => name.slice(1)));
  const there = Object.keys(await scrape(server)).map((name) =>
    name.replace(/\{.*/, '').replace(/_seconds_(bucket|count|sum)$/, '_seconds'),
  );
  assert.deepEqual([...told].sort(), [...new Set(there)].sort());
  const reasons = /\| code \| word \|[^]*?\n\n/.exec(fs.readFileSync(path.join(root, 'docs/PROTOCOL.md'), 'utf8'))[0];
  const words = new Set([...reasons.matchAll(/^\| [^|]* \| `(\w+)`/gm)].map(([, word]) => word));
  const counted = Object.keys(await scrape(server)).flatMap((name) => /closes_total\{reason="(\w+)"/.exec(name)?.[1] ?? []);
  assert.deepEqual(counted.sort(), [...words].sort());
});

const promtool = (...args) => execFileSync('promtool', args, { encoding: 'utf8', stdio: 'pipe' });

test('the alerts are rules, and fire when they should', () => {
  const folder = path.join(packaging, 'prometheus');
  promtool('check', 'config', path.join(folder, 'prometheus.yml'));
  promtool('test', 'rules', path.join(folder, 'alerts_test.yml'));
});

serverTest('Prometheus reads them; alerts and dashboard ask for what is there', {}, async (server) => {
  const folder = keys.freshFolder('prometheus');
  const { host, port } = server.master;
  const web = await freeAddress();
  const [, webPort] = /:(\d+)$/.exec(web);
  const prometheus = { host: '127.0.0.1', port: Number(webPort) };
  fs.copyFileSync(path.join(packaging, 'prometheus/alerts.yml'), path.join(folder, 'alerts.yml'));
  fs.writeFileSync(
    path.join(folder, 'prometheus.yml'),
    fs
      .readFileSync(path.join(packaging, 'prometheus/prometheus.yml'), 'utf8')
      .replace('127.0.0.1:8888', `${host}:${port}`)
      .replace('scrape_interval: 5s', 'scrape_interval: 1s'),
  );
  const process = new Process('prometheus', [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=${web}`,
  ]);
  try {
    const client = await server.login({ user: 'ann' });
    await client.subscribe('c');
    await server.push('app', 'c', 'e', '1');
    const query = async (expr) => {
      const reply = await request(prometheus, 'GET', `/api/v1/query?query=${encodeURIComponent(expr)}`);
      const { status, data, error } = reply.json();
      assert.equal(status, 'success', `${expr}: ${error}`);
      return data.result;
    };
    const valueOf = async (expr) => Number((await query(expr).catch(() => []))[0]?.value[1]);
    await until(async () => (await valueOf('gusher_deliveries_total')) === 1, 'a scrape');
    assert.equal(await valueOf('gusher_websockets'), 1);
    await until(async () => (await query('rate(gusher_deliveries_total[1m])')).length, 'two scrapes');
    const rules = await request(prometheus, 'GET', '/api/v1/rules');
    const names = rules.json().data.groups.flatMap((group) => group.rules);
    assert.ok(names.length >= 10 && names.every((rule) => rule.health !== 'err'));
    const dashboard = JSON.parse(fs.readFileSync(path.join(packaging, 'grafana/gusher.json'), 'utf8'));
    const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);
    assert.ok(targets.length > 20);
    for (const { expr } of targets) {
      const plain = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m');
      const result = await query(plain.replace(/ > 0$/, ''));
      assert.ok(result.length > 0, `nothing for ${expr}`);
    }
  } finally {
    process.kill();
  }
});
