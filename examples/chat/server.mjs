// The chat's backend: it knows who is signed in, decides what each may hear, checks what is said and
// publishes it. Everything else (sockets, channels, who is there) is gusher's.
import { randomBytes, randomUUID } from 'node:crypto';
import { call, publish, tokenFor } from '../shared/gusher.mjs';
import { cookie, Refusal, serve } from '../shared/web.mjs';

const APP = 'chat';
const ROOMS = ['lobby', 'garden', 'workshop'];
const TOKEN_SECONDS = Number(process.env.TOKEN_SECONDS);
const LOG_MESSAGES = 50; // what a newcomer is told of a channel
const TEXT_CHARACTERS = 500;
const BURST = 8; // messages at once, then
const EACH_MS = 1000; // one a second
const USERS_MAX = 1000;

// ---- who is signed in (a real chat has its users in a database, and passwords)

const users = new Map(); // id → { id, name, secret, until, calmAt }
const bySecret = new Map(); // what the cookie says → user

function signIn(text) {
  const name = typeof text === 'string' ? text.normalize('NFKC').trim() : '';
  if (!/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,19}$/u.test(name))
    throw new Refusal(400, 'A name has 1 to 20 letters, digits, blanks, dots, lines.');
  const same = (user) => user.name.toLowerCase() === name.toLowerCase();
  if ([...users.values()].some(same)) throw new Refusal(409, 'Somebody has this name already.');
  if (users.size >= USERS_MAX) throw new Refusal(503, 'The chat is full.');
  const secret = randomBytes(24).toString('base64url');
  const user = { id: randomUUID(), name, secret, until: 0, calmAt: 0 };
  stay(user);
  users.set(user.id, user);
  bySecret.set(secret, user);
  return user;
}

/** Whoever asks for no token for as long as two of them are good is gone. */
function stay(user) {
  user.until = Date.now() + 2 * TOKEN_SECONDS * 1000;
}

function signOut(user) {
  users.delete(user.id);
  bySecret.delete(user.secret);
  logs.delete(inbox(user)); // nobody else shall read their letters
}

function signedIn(request) {
  const user = bySecret.get(cookie(request, 'chat'));
  if (!user) throw new Refusal(401, 'Please sign in.');
  return user;
}

// ---- who may hear what

const room = (name) => `room:${name}`;
const inbox = (user) => `inbox:${user.id}`;

/** The channels of a user. Ids are ours; a name that users choose must never come into a grant: `*`
 *  would be everything. */
const grants = (user) => [...ROOMS.map(room), 'people', inbox(user)];

// ---- what was said: gusher keeps nothing, so the backend does

const logs = new Map(); // channel → the last messages
let lastId = 0;

function note(channel, message) {
  const log = logs.get(channel) ?? [];
  logs.set(channel, [...log, message].slice(-LOG_MESSAGES));
}

function forget(channel, message) {
  logs.set(
    channel,
    (logs.get(channel) ?? []).filter(({ id }) => id !== message.id),
  );
}

/** A message of `user` to channels that the caller has judged. */
async function say(user, text, channels, more) {
  if (typeof text !== 'string' || !text.trim() || text.length > TEXT_CHARACTERS)
    throw new Refusal(400, `A message has 1 to ${TEXT_CHARACTERS} characters.`);
  user.calmAt = Math.max(user.calmAt, Date.now()) + EACH_MS;
  if (user.calmAt > Date.now() + BURST * EACH_MS) {
    user.calmAt -= EACH_MS;
    throw new Refusal(429, 'Not so fast, please.');
  }
  const from = { id: user.id, name: user.name };
  const message = { id: ++lastId, at: Date.now(), from, text: text.trim(), ...more };
  // Noted first: who comes in between finds it in the log, who was there hears it, and a page that
  // has both knows it by its id.
  for (const channel of channels) note(channel, message);
  try {
    await Promise.all(channels.map((channel) => publish(APP, channel, 'message', message)));
  } catch (error) {
    for (const channel of channels) forget(channel, message);
    throw error;
  }
  return {};
}

// ---- who is there

let people = []; // [{ id, name }], as all were told

/** Asks gusher who has a socket, and tells all when that is something new. */
async function lookAround() {
  const now = Date.now();
  for (const user of users.values()) if (user.until < now) signOut(user);
  try {
    const online = new Set(await call('GET', `/v1/apps/${APP}/users`));
    const there = [...users.values()].filter(({ id }) => online.has(id));
    const list = there.map(({ id, name }) => ({ id, name }));
    if (JSON.stringify(list) !== JSON.stringify(people)) {
      await publish(APP, 'people', 'people', list);
      people = list;
    }
  } catch (error) {
    console.error(error.message); // the next look tries again
  }
  setTimeout(lookAround, 500);
}

// ---- what the page asks

const routes = {
  'POST /sign-in': async ({ response, body }) => {
    const user = signIn(body.name);
    const rules = 'HttpOnly; SameSite=Strict; Path=/'; // and Secure, where there is https
    response.setHeader('Set-Cookie', `chat=${user.secret}; ${rules}`);
    return {};
  },
  'POST /sign-out': async ({ request }) => {
    signOut(signedIn(request));
    return {};
  },
  /** Who it is that asks, null for a stranger; with a new token. */
  'POST /token': async ({ request }) => {
    const user = bySecret.get(cookie(request, 'chat'));
    if (!user) return null;
    stay(user);
    const channels = grants(user);
    const jwt = tokenFor({ app: APP, user: user.id, channels, seconds: TOKEN_SECONDS });
    const { id, name } = user;
    return {
      me: { id, name },
      rooms: ROOMS,
      jwt,
      app: APP,
      channels,
      sockets: process.env.GUSHER_SOCKETS,
    };
  },
  /** What somebody who has just come may know: by the same grants as what comes over the socket. */
  'GET /state': async ({ request }) => {
    const channels = grants(signedIn(request));
    return {
      people,
      logs: Object.fromEntries(channels.map((name) => [name, logs.get(name) ?? []])),
    };
  },
  'POST /say': async ({ request, body }) => {
    const user = signedIn(request);
    if (!ROOMS.includes(body.room)) throw new Refusal(404, 'There is no such room.');
    return say(user, body.text, [room(body.room)]);
  },
  'POST /whisper': async ({ request, body }) => {
    const user = signedIn(request);
    const to = users.get(body.to);
    if (!to || to === user) throw new Refusal(404, 'They are not here any more.');
    // To the sender, too: there may be a second window.
    return say(user, body.text, [inbox(to), inbox(user)], { to: { id: to.id, name: to.name } });
  },
};

const file = (name) => new URL(name, import.meta.url);
const files = {
  '/': file('page.html'),
  '/page.js': file('page.js'),
  '/page.css': file('page.css'),
  '/look.css': file('../shared/look.css'),
  '/socket.js': file('../shared/socket.js'),
};

lookAround();
serve({ port: Number(process.env.PORT), files, routes, sockets: process.env.GUSHER_SOCKETS });
