// What the pages tell people to type is typed here, and what they quote is compared.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Client } from './support/client.mjs';
import { Process, root, Server } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import {
  blocksOf,
  hasTool,
  judge,
  judges,
  parsers,
  quotes,
  Workshop,
} from './support/snippets.mjs';
import { until } from './support/wait.mjs';

/** How many blocks nobody runs. Each says why; one more wants a reason, and this number. */
const NOT_RUN = 6;

/** Programs that the tests do not install: what needs them is run where they are. */
const OPTIONAL = ['php', 'ruby', 'go'];

const PORTS = [80, 443, 8080, 8443, 3000, 3001, 4222, 6222, 7777, 8222, 8888];

/** Pages for which a server runs from the beginning, and what it is started with. */
const servers = {
  'docs/METRICS.md': 'build/gusher all --dev',
  'docs/REASONS.md': 'build/gusher all --dev',
};

const folders = [
  'docs/how-to',
  ...fs.readdirSync(path.join(root, 'examples')).map((name) => `examples/${name}`),
];
const pages = [
  ...[
    'README.md',
    'docs/API.md',
    'docs/BENCH.md',
    'docs/CONSOLE.md',
    'docs/METRICS.md',
    'docs/OPERATIONS.md',
    'docs/PROTOCOL.md',
    'docs/REASONS.md',
  ],
  ...['docs/SECURITY.md', 'docs/TUTORIAL.md'],
  ...folders.flatMap((folder) =>
    fs
      .readdirSync(path.join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  ),
].filter((name) => fs.existsSync(path.join(root, name)));

// Once, with the program that users run.
const skip = process.env.SANITIZED ? 'takes long' : false;

const read = (page) => blocksOf(fs.readFileSync(path.join(root, page), 'utf8'));

async function walk(block, workshop, t) {
  const { lang, text, notes } = block;
  if (notes['not run']) return;
  if (notes.needs && !hasTool(notes.needs)) {
    assert.ok(
      OPTIONAL.includes(notes.needs),
      `${notes.needs} is not here: script/setup --test installs it`,
    );
    t.diagnostic(`line ${block.line}: there is no ${notes.needs} here`);
    return;
  }
  if (notes.from)
    assert.ok(quotes(text, path.join(root, notes.from)), `not to be found in ${notes.from}`);
  else if (lang === 'sh') await workshop.run(block);
  else if (lang === 'text') await workshop.compare(block);
  else if (lang === 'json') JSON.parse(text);
  else if (judges[lang]) judge(judges[lang](text, workshop), workshop);
  else if (parsers[lang]) {
    const [tool, ...args] = parsers[lang];
    if (hasTool(tool))
      judge(
        [tool, ...args, workshop.write(`snippet.${lang === 'js' ? 'mjs' : lang}`, text)],
        workshop,
      );
    else t.diagnostic(`line ${block.line}: there is no ${tool} here`);
  } else assert.ok(notes.file, `nobody runs what is "${lang}", and it is not marked so`);
  if (notes.file) workshop.write(notes.file, text);
}

for (const page of pages) {
  test(page, { skip }, async (t) => {
    const workshop = await Workshop.open(PORTS);
    try {
      if (servers[page])
        await workshop.run({ text: servers[page], notes: { stays: 'server until listening' } });
      for (const block of read(page)) {
        await walk(block, workshop, t).catch((error) => {
          const said = error.stderr?.toString() ?? '';
          error.message = `${page}, line ${block.line}: ${error.message}\n${said}`;
          throw error;
        });
      }
    } finally {
      await workshop.close();
    }
  });
}

// ---- the proxies of docs/how-to/proxies.md, with a client before and gusher behind

const proxies = read('docs/how-to/proxies.md');
const configuration = (lang, name) =>
  proxies.find((block) => block.lang === lang && block.notes.file === name).text;
const certFile = '/etc/letsencrypt/live/push.example/fullchain.pem';

/** Runs `command(workshop)` before gusher; a message must come through to clients whose addresses gusher can tell apart. */
function proxyTest(name, port, flags, command) {
  test(`${name} in front`, { skip }, async () => {
    const workshop = await Workshop.open(PORTS);
    const cert = fs.readFileSync(workshop.localised(certFile));
    const server = await Server.start(
      {
        'api-listen': `127.0.0.1:${workshop.port(8888)}`,
        'limits-exempt': 'none',
        'max-connections-per-address': 1,
        'ping-interval': 1,
        ...flags(workshop),
      },
      { tls: { ca: cert } },
    );
    const [program, ...args] = command(workshop);
    const proxy = new Process(program, args, { cwd: workshop.folder, env: workshop.environment() });
    const clients = [];
    const open = async (localAddress) => {
      const token = keys.sign(keys.claims({ user: 'ann' }));
      const tls = {
        ca: cert,
        servername: 'push.example',
        headers: { Host: 'push.example' },
        localAddress,
      };
      const client = await Client.open(
        `wss://127.0.0.1:${workshop.port(port)}/gcs/ws/app?token=${token}`,
        tls,
      );
      clients.push(client);
      return client;
    };
    try {
      // Once it listens; a try that fails leaves nothing behind at gusher.
      let why;
      const tried = () => open('127.0.0.2').catch((error) => void (why = error));
      const first = await until(tried, `${name} listens`).catch(({ message }) =>
        assert.fail(`${message}: ${why}\n${proxy.stdout}${proxy.stderr}`),
      );
      await first.subscribe('c');
      await assert.rejects(
        open('127.0.0.2'),
        /429 too many connections from your address|socket hang up|ECONNRESET/,
      );
      const second = await open('127.0.0.3');
      await second.subscribe('c');
      let pings = 0;
      first.ws.on('ping', () => pings++);
      await server.push('app', 'c', 'e', '{"through":"the proxy"}');
      for (const client of [first, second])
        assert.deepEqual((await client.nextJson()).data, { through: 'the proxy' });
      await until(() => pings > 0, 'a ping');
      for (const client of clients) await client.close();
      proxy.signal('SIGTERM');
      await proxy.exit();
      await server.stop();
    } finally {
      proxy.kill();
      server.kill();
      await workshop.close();
    }
  });
}

const trusted = () => ({ 'trusted-proxies': '127.0.0.1' });

proxyTest('nginx', 443, trusted, (workshop) => {
  const site = configuration('nginx', 'nginx-push.conf');
  const whole = `daemon off; master_process off; pid nginx.pid; error_log stderr; events {}\nhttp { access_log off; ${site} }\n`;
  return [
    'nginx',
    '-p',
    workshop.folder,
    '-e',
    'stderr',
    '-c',
    workshop.write('nginx.conf', whole),
  ];
});

proxyTest('HAProxy', 443, trusted, (workshop) => [
  'haproxy',
  '-db',
  '-f',
  workshop.write('haproxy.cfg', configuration('haproxy')),
]);

const ownTls = (workshop) => ({
  'proxy-protocol': '127.0.0.2',
  'tls-on': 'slave',
  'tls-cert-file': workshop.localised(certFile),
  'tls-key-file': workshop.localised(certFile.replace('fullchain', 'privkey')),
});
proxyTest('HAProxy, by the PROXY protocol,', 8443, ownTls, (workshop) => {
  return [
    'haproxy',
    '-db',
    '-f',
    workshop.write('haproxy.cfg', configuration('haproxy', 'haproxy-tcp.cfg')),
  ];
});

proxyTest('Caddy', 443, trusted, (workshop) => {
  // No authority knows this name here.
  const files = `tls ${certFile} ${certFile.replace('fullchain', 'privkey')}`;
  const site = configuration('caddy').replace('{', `{\n\t${files}`);
  const ours = `{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port ${workshop.port(443)}\n}\n`;
  return [
    'caddy',
    'run',
    '--adapter',
    'caddyfile',
    '--config',
    workshop.write('Caddyfile', ours + site),
  ];
});

const noSystemd = skip || (!hasTool('systemd-analyze') && 'there is no systemd here');
test(
  'the unit for systemd, and the drop-in of docs/how-to/service.md',
  { skip: noSystemd },
  async () => {
    const workshop = await Workshop.open(PORTS);
    const local = (text) => text.replaceAll('/usr/bin/gusher', `${workshop.folder}/build/gusher`);
    const unit = workshop.write(
      'gusher.service',
      local(fs.readFileSync(path.join(root, 'packaging/gusher.service'), 'utf8')),
    );
    const role = read('docs/how-to/service.md').find(({ notes }) => notes.file === 'role.conf');
    judge(['systemd-analyze', 'verify', unit], workshop);
    workshop.write('gusher.service.d/role.conf', local(role.text));
    judge(['systemd-analyze', 'verify', unit], workshop);
  },
);

test('every reason has its part of docs/REASONS.md, and no other', () => {
  const source = fs.readFileSync(path.join(root, 'src/edge/reason.c'), 'utf8');
  const words = [...source.matchAll(/\[REASON_\w+\] = \{"(\w+)"/g)].map(([, word]) => word);
  assert.equal(words.length, 16);
  const page = fs.readFileSync(path.join(root, 'docs/REASONS.md'), 'utf8');
  const told = [...page.matchAll(/^### (.*)$/gm)].map(([, word]) => word);
  assert.deepEqual(told.sort(), words.sort());
});

test('links between pages lead somewhere', () => {
  const text = (file) => fs.readFileSync(file, 'utf8').replaceAll(/^( *)```[^]*?^\1```/gm, '');
  const anchor = (heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  const lost = [];
  for (const page of pages) {
    for (const [, target] of text(path.join(root, page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [name, fragment] = target.split('#');
      const file = name ? path.join(root, path.dirname(page), name) : path.join(root, page);
      const isThere = fs.existsSync(file);
      const has = () =>
        [...text(file).matchAll(/^#+ (.*)$/gm)].some(([, heading]) => anchor(heading) === fragment);
      if (!isThere || (fragment && !has())) lost.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(lost, []);
});

test('not more is left out than was', () => {
  const left = pages.flatMap((page) => read(page).filter(({ notes }) => notes['not run']));
  assert.equal(left.length, NOT_RUN);
  for (const { notes } of left) assert.ok(notes['not run'].length > 5);
});
