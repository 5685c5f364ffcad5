// Requests to the master: the public API below /v1, and the console's own config.json.
import { Elements } from './jsontext.js';
import { key, setKey } from './settings.js';
import { Store } from './store.js';

/** Why the sign-in page is shown again, or ''. */
export const signInReason = new Store('');

/** What the API refused, in its own sentence; status 0: it was not reached. */
export class ApiError extends Error {
  constructor(status, code, sentence) {
    super(sentence);
    this.status = status;
    this.code = code;
  }

  get isForbidden() {
    return this.status === 403;
  }

  get isAway() {
    return this.status === 0;
  }
}

/** A path below /v1 of names that are any text: path`apps/${app}/channels`. */
export function path(literals, ...names) {
  for (const name of names) {
    // A browser resolves such a segment, however it is written, and none is empty in the API.
    if (name === '' || name === '.' || name === '..')
      throw new ApiError(400, 'unnameable', `No path of the API can hold the name "${name}".`);
  }
  return String.raw({ raw: literals }, ...names.map(encodeURIComponent));
}

const headersWith = (secret, more) => ({
  ...more,
  ...(secret && { Authorization: `Bearer ${secret}` }),
});

async function problemOf(reply) {
  let problem = {};
  try {
    problem = await reply.json();
  } catch {
    // Something between us and the master answered.
  }
  const sentence =
    problem.detail || problem.title || `The server answered ${reply.status} ${reply.statusText}.`;
  return new ApiError(reply.status, problem.code, sentence);
}

/** The key was taken away, or never was one: back to the sign-in. */
function leave(sentence) {
  signInReason.set(sentence);
  setKey(null);
}

/** The answer, if it is a good one; otherwise throws an ApiError, or an AbortError. `body` is sent as
 *  JSON; `json` is JSON already, as it was typed: its numbers stay what they are. `secret`: a key that
 *  is only tried. */
export async function open(target, { method = 'GET', body, json, signal, accept, secret } = {}) {
  const used = secret ?? key.get();
  const text = json ?? (body === undefined ? undefined : JSON.stringify(body));
  let reply;
  try {
    reply = await fetch(`../v1/${target}`, {
      method,
      signal,
      body: text,
      headers: headersWith(used, {
        ...(accept && { Accept: accept }),
        ...(text !== undefined && { 'Content-Type': 'application/json' }),
      }),
      cache: 'no-store',
      credentials: 'omit',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'away', 'The server cannot be reached.');
  }
  if (reply.ok) return reply;
  const problem = await problemOf(reply);
  if (reply.status === 401 && !secret && used === key.get()) leave(problem.message);
  throw problem;
}

function brokenOff(error) {
  if (error.name === 'AbortError') throw error;
  throw new ApiError(0, 'away', 'The answer broke off.');
}

/** The JSON of an answer. */
export async function ask(target, options) {
  const reply = await open(target, options);
  return reply.json().catch(brokenOff);
}

/** The first elements of a list that may be very long: { items, isWhole }. */
export async function askSome(target, most, { signal } = {}) {
  const reply = await open(target, { signal });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  const elements = new Elements();
  for (;;) {
    const { done, value } = await reader.read().catch(brokenOff);
    if (done) break;
    elements.add(value);
    // The server stops where its reader does.
    if (elements.items.length > most) {
      reader.cancel().catch(() => {});
      break;
    }
  }
  return { items: elements.items.slice(0, most), isWhole: elements.items.length <= most };
}

/** What has to be known before anybody has signed in. */
export async function config() {
  const reply = await fetch('config.json', { cache: 'no-store', credentials: 'omit' });
  if (!reply.ok) throw new Error(`config.json: ${reply.status}`);
  return reply.json();
}
