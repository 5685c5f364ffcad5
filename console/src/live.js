// The one stream of events: opened while somebody looks and is signed in, opened again when it
// breaks, closed when the tab is hidden.
import { ApiError, open } from './api.js';
import { History } from './history.js';
import { key } from './settings.js';
import { readEvents } from './sse.js';
import { Store } from './store.js';

const WAITS_S = [1, 2, 3, 5, 8];
/** Comments come while nothing happens; nothing at all for this long is a dead connection. */
const SILENCE_MS = 40_000;

/** state: 'off', 'opening', 'open', 'waiting' (again at `retryAt`) or 'forbidden' (`sentence`). */
export const connection = new Store({ state: 'off' });
/** { nodes, missing, time }, or null before the first event or where the key has no such right. */
export const cluster = new Store(null);
/** What the server said first: { version, node, nodes }. */
export const hello = new Store(null);
export const history = new History();

let tail = null; // { app, channel, onMessage, onDropped }
let running = null; // an AbortController
let timer = 0;
let failures = 0;
let signedIn = false;
let skewMs = 0;

/** Its clock and ours may differ; ages are by its own. */
export const serverNow = () => Date.now() + skewMs;

function target() {
  if (!tail) return 'events';
  return `events?${new URLSearchParams({ app: tail.app, channel: tail.channel })}`;
}

const take = {
  hello: (data) => {
    failures = 0;
    hello.set(data);
    connection.set({ state: 'open' });
  },
  nodes: (data) => {
    // Answers come in any order; rows are to stay where they are.
    data.nodes.sort((a, b) => (a.node < b.node ? -1 : 1));
    skewMs = data.time - Date.now();
    history.add(data);
    cluster.set(data);
  },
  message: (data, text) => tail?.onMessage(data, text),
  dropped: (data) => tail?.onDropped(data.messages),
};

/** Ends a stream that has become silent. */
function watchSilence(controller) {
  let watchdog;
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(
      () => controller.abort(new ApiError(0, 'silent', 'Silence.')),
      SILENCE_MS,
    );
  };
  heard();
  return { heard, end: () => clearTimeout(watchdog) };
}

/** Tells of every piece of a body, whatever it holds. */
const noticing = (heard) =>
  new TransformStream({
    transform(piece, controller) {
      heard();
      controller.enqueue(piece);
    },
  });

async function run(controller) {
  const silence = watchSilence(controller);
  try {
    const reply = await open(target(), { signal: controller.signal, accept: 'text/event-stream' });
    await readEvents(reply.body.pipeThrough(noticing(silence.heard)), (name, data) => {
      if (controller === running) take[name]?.(JSON.parse(data), data);
    });
    throw new ApiError(0, 'ended', 'The stream of events ended.');
  } catch (error) {
    if (controller === running) onBroken(error);
  } finally {
    silence.end();
  }
}

function onBroken(error) {
  running = null;
  if (error.status === 401) return; // the sign-in page is next
  if (error.status === 403 || error.status === 404) {
    connection.set({ state: 'forbidden', sentence: error.message });
    return;
  }
  const seconds = WAITS_S[Math.min(failures++, WAITS_S.length - 1)];
  const sentence = error.isAway ? undefined : error.message;
  connection.set({ state: 'waiting', retryAt: Date.now() + seconds * 1000, sentence });
  timer = setTimeout(start, seconds * 1000);
}

function stop() {
  clearTimeout(timer);
  const before = running;
  running = null;
  before?.abort();
  connection.set({ state: 'off' });
}

function start() {
  stop();
  if (!signedIn || document.visibilityState === 'hidden') return;
  running = new AbortController();
  connection.set({ state: 'opening', again: failures > 0 });
  run(running);
}

/** Tries now what would be tried later. */
export const retry = start;

/** Whether somebody is signed in: without that there is no stream. */
export function setSignedIn(on) {
  if (on === signedIn) return;
  signedIn = on;
  failures = 0;
  cluster.set(null);
  hello.set(null);
  history.points = [];
  if (on) start();
  else stop();
}

/** The messages of a channel come with the stream while this is set. Gives what ends that. */
export function follow(wanted) {
  tail = wanted;
  start();
  return () => {
    if (tail !== wanted) return;
    tail = null;
    start();
  };
}

document.addEventListener('visibilitychange', () => {
  failures = 0;
  start();
});
addEventListener('online', start);
key.watch(() => signedIn && start());
