// What is measured, as data. A row is one piece of work that is put to several servers in turn;
// its lines are what the report shows of it. All messages carry 128 bytes.
//
//   kind     how it is measured: a function of measure.mjs
//   load     the work in numbers; `fan` and `floor` in the terms of fanload and limit
//   servers  who does it, in this order (servers.mjs)
//   lines    figure: what of the result, of `server` (gusher); beside it stand `floor` and `peers`
//   aim      { min, max }: the bounds of the figure itself, or of its ratio to another one, `of`
//            ({ server, figure }, each the line's own unless given)

/** What the figures are; times "a …" are CPU of the server. `more`: a higher one is better. */
export const figures = {
  us: { unit: 'µs a delivery', digits: 2 },
  perSecond: { unit: 'deliveries/s', digits: 0, more: true },
  p50: { unit: 'ms', digits: 2 },
  p90: { unit: 'ms', digits: 2 },
  p99: { unit: 'ms', digits: 2 },
  quietP99: { unit: 'ms', digits: 2 },
  elsewhereP99: { unit: 'ms', digits: 2 },
  kib: { unit: 'KiB a connection', digits: 2 },
  connectUs: { unit: 'µs a connection', digits: 1 },
  authUs: { unit: 'µs a ticket', digits: 1 },
  socketFewUs: { unit: 'µs a push', digits: 1 },
  socketManyUs: { unit: 'µs a push', digits: 1 },
  userFewUs: { unit: 'µs a push', digits: 1 },
  userManyUs: { unit: 'µs a push', digits: 1 },
  patternMs: { unit: 'ms a push', digits: 2 },
};

export const groups = [
  {
    id: 'fixed',
    title: 'Fan-out at a fixed rate: 50,000 deliveries a second',
    text: '`limit` is paced alike: it sends as often as messages come, to as many sockets.',
  },
  {
    id: 'saturated',
    title: 'Fan-out, as fast as it goes',
    text:
      'Publishers are held back while more than 64 messages for every subscriber are under way ' +
      '(256 with 64 publishers). `limit` joins as many frames in a send as there are publishers.',
  },
  {
    id: 'workers',
    title: 'Two workers',
    text:
      'As fast as it goes, on slow cores: a control group gives each worker 15 % of one, so that ' +
      'the servers are the limit and not the load generator (two receivers) beside them.',
  },
  {
    id: 'single',
    title: 'One to one',
    text: '1,000 channels of one subscriber, 16 publishers; the cost of the POST is in the figure.',
  },
  {
    id: 'connections',
    title: 'Connections',
    text:
      'Growth of RSS with every socket subscribed and idle, and the CPU of a storm of connects. ' +
      'gusher verifies who comes, the others let everybody in.',
  },
  {
    id: 'reach',
    title: 'A push to one socket, to one user',
    text:
      '1,000 pushes a second to 100 sockets in turn, on two servers side by side: one has only ' +
      'these 100 sockets, the other 18,000.',
  },
  {
    id: 'pattern',
    title: 'A push by pattern',
    text:
      '100,000 live channels (10,000 sockets with ten each), ten of them match. A quiet channel ' +
      'with ten sockets gets 50 messages a second: alone, beside one pattern push after the other ' +
      'to another server that holds as much (so that the machine is as busy), and to its own.',
  },
  {
    id: 'latency',
    title: 'Latency under load',
    text:
      'From the moment a message was due to its arrival. At half of the rate that saturates the ' +
      'same server with 1,000 subscribers; and on a quiet channel (ten sockets, 50 messages a ' +
      'second) beside a channel of 10,000 subscribers that 16 publishers saturate (– where nothing ' +
      'came in the time of the run).',
  },
];

const peers = ['nchan', 'ws'];
const thousands = (n) => n.toLocaleString('en-US');

/** Below the plain sends of the same run, and a tenth below with io_uring. */
function fixed(conns) {
  const rate = 50_000 / conns;
  const plain = { server: 'limit' };
  return {
    id: `fixed-${conns}`,
    group: 'fixed',
    kind: 'fan',
    load: { fan: { conns, rate, pubs: 4, duration: 8 }, floor: { conns, rate, duration: 8 } },
    servers: ['gusher', 'limit', 'nchan', 'gusher-send', 'limit-uring', 'ws'],
    lines: [
      {
        title: `${thousands(conns)} subscribers, io_uring`,
        figure: 'us',
        floor: 'limit-uring',
        peers,
        aim: { max: 0.9, of: plain },
      },
      {
        title: `${thousands(conns)} subscribers, plain sends`,
        figure: 'us',
        server: 'gusher-send',
        floor: 'limit',
        peers,
        aim: { max: 1, of: plain },
      },
      { title: `${thousands(conns)} subscribers, p50`, figure: 'p50', peers },
      { title: `${thousands(conns)} subscribers, p99`, figure: 'p99', peers },
    ],
  };
}

function saturated(id, title, fan, aim) {
  return {
    id,
    group: 'saturated',
    kind: 'fan',
    load: {
      fan: { 'max-lag': 64, duration: 6, ...fan },
      floor: { conns: fan.conns, batch: fan.pubs },
    },
    servers: ['gusher', 'limit', ...peers],
    lines: [
      { title, figure: 'us', floor: 'limit', peers, aim: { max: aim } },
      { title: `${title}, deliveries`, figure: 'perSecond', peers },
    ],
  };
}

function workers(conns) {
  const title = `${thousands(conns)} subscribers`;
  return {
    id: `workers-${conns}`,
    group: 'workers',
    kind: 'fan',
    load: { fan: { conns, pubs: 16, 'max-lag': 64, workers: 2, duration: 6 }, share: 0.15 },
    servers: ['gusher-2', 'nchan-2', 'gusher', ...peers],
    lines: [
      { title: `${title}, one worker`, figure: 'perSecond', peers },
      {
        title: `${title}, two workers`,
        figure: 'perSecond',
        server: 'gusher-2',
        peers: ['nchan-2'],
        aim: { min: 1.7, of: { server: 'gusher' } },
      },
    ],
  };
}

function single(id, title, servers, more) {
  const fan = { conns: 1000, channels: 1000, pubs: 16, 'max-lag': 64, duration: 6 };
  const others = servers.filter((server) => server !== 'gusher');
  return {
    id,
    group: 'single',
    kind: 'fan',
    load: { fan, ...more },
    servers,
    lines: [
      { title, figure: 'us', peers: others, aim: { max: 11.5 } },
      { title: `${title}, deliveries`, figure: 'perSecond', peers: others },
    ],
  };
}

function idle(conns, lines) {
  return {
    id: `idle-${conns}`,
    group: 'connections',
    kind: 'fan',
    load: { fan: { conns, settle: 3 }, idle: true },
    servers: ['gusher', ...peers],
    lines: [
      { title: `${thousands(conns)} idle`, figure: 'kib', peers, aim: { max: 0.45 } },
      ...lines,
    ],
  };
}

const reachLine = (title, figure, base) => ({
  title,
  figure,
  aim: base && { min: 0.9, max: 1.1, of: { figure: base } },
});

export const rows = [
  fixed(1000),
  fixed(5000),
  fixed(10_000),
  saturated('sat-1000', '1,000 subscribers, 16 publishers', { conns: 1000, pubs: 16 }, 0.3),
  saturated('sat-5000', '5,000 subscribers, 16 publishers', { conns: 5000, pubs: 16 }, 0.35),
  saturated('sat-10000', '10,000 subscribers, 16 publishers', { conns: 10_000, pubs: 16 }, 0.4),
  saturated('sat1-1000', '1,000 subscribers, one that waits', { conns: 1000, pubs: 1 }, 1),
  saturated(
    'burst-1000',
    '1,000 subscribers, 64 publishers',
    { conns: 1000, pubs: 64, 'max-lag': 256, workers: 2, duration: 5 },
    0.2,
  ),
  saturated('small-100', '100 subscribers, 16 publishers', { conns: 100, pubs: 16 }, 0.3),
  workers(1000),
  workers(10_000),
  single('single', 'form body', ['gusher', ...peers]),
  single('single-json', 'JSON body', ['gusher'], { json: true }),
  idle(10_000, [
    { title: '10,000 connect, with a JWT', figure: 'connectUs', peers, aim: { max: 48 } },
  ]),
  idle(18_000, []),
  {
    id: 'tickets',
    group: 'connections',
    kind: 'tickets',
    load: { fan: { conns: 10_000, settle: 0.5 }, idle: true },
    servers: ['gusher', ...peers],
    lines: [
      { title: '10,000 connect, with a ticket', figure: 'connectUs', peers, aim: { max: 27 } },
      { title: 'the tickets of these (POST /gcs/auth)', figure: 'authUs' },
    ],
  },
  {
    id: 'reach',
    group: 'reach',
    kind: 'reach',
    load: { few: 100, many: 18_000, rate: 1000, pushes: 1500, blocks: 4 },
    servers: ['gusher'],
    lines: [
      reachLine('a socket, 100 connected', 'socketFewUs'),
      reachLine('a socket, 18,000 connected', 'socketManyUs', 'socketFewUs'),
      reachLine('a user, 100 connected', 'userFewUs'),
      reachLine('a user, 18,000 connected', 'userManyUs', 'userFewUs'),
    ],
  },
  {
    id: 'pattern',
    group: 'pattern',
    kind: 'pattern',
    load: { conns: 10_000, each: 10, pushes: 30, quiet: { conns: 10, rate: 50, duration: 8 } },
    servers: ['gusher'],
    lines: [
      { title: 'a push', figure: 'patternMs', aim: { max: 20 } },
      { title: 'p99 of the quiet channel, alone', figure: 'quietP99' },
      { title: 'p99 of the quiet channel, pushes to another server', figure: 'elsewhereP99' },
      {
        title: 'p99 of the quiet channel, meanwhile',
        figure: 'p99',
        aim: { max: 2, of: { figure: 'elsewhereP99' } },
      },
    ],
  },
  {
    id: 'half',
    group: 'latency',
    kind: 'half',
    load: { fan: { conns: 1000, pubs: 16, duration: 6 }, probe: { 'max-lag': 64, duration: 2 } },
    servers: ['gusher', ...peers],
    lines: [
      { title: 'half of the saturating rate, p50', figure: 'p50', peers },
      {
        title: 'half of the saturating rate, p99',
        figure: 'p99',
        peers,
        aim: { max: 3, of: { figure: 'p50' } },
      },
      { title: 'the deliveries meanwhile', figure: 'perSecond', peers },
    ],
  },
  {
    id: 'quiet',
    group: 'latency',
    kind: 'quiet',
    load: {
      fire: { conns: 10_000, pubs: 16, 'max-lag': 64, warmup: 0.5, duration: 300 },
      quiet: { conns: 10, rate: 50, pubs: 4, settle: 0.2, warmup: 0.5, duration: 8 },
    },
    servers: ['gusher', ...peers],
    lines: [
      { title: 'quiet beside 10,000 under fire, p50', figure: 'p50', peers },
      { title: 'quiet beside 10,000 under fire, p99', figure: 'p99', peers, aim: { max: 10 } },
    ],
  },
];

/** The same work for a quarter of the time: to see that all is in order, not to measure. */
export function shortened(row) {
  const load = structuredClone(row.load);
  for (const part of [load, ...Object.values(load)]) {
    if (part.duration) part.duration = Math.max(1, part.duration / 4);
    if (part.settle) part.settle = Math.min(1, part.settle);
    if (part.pushes) part.pushes = Math.ceil(part.pushes / 3);
  }
  return { ...row, load };
}
