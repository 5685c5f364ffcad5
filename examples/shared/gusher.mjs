// The backend's half of gusher: tokens that say who somebody is and what they may hear, and
// messages. Both want secrets, so none of this is ever in a page.
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const api = process.env.GUSHER_API; // the master: http://127.0.0.1:7777
const key = process.env.GUSHER_KEY; // what it is shown
const privateKey = createPrivateKey(readFileSync(process.env.PRIVATE_PEM_FILE));

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT: `user` may hear `channels` of `app`, for so many seconds. */
export function tokenFor({ app, user = '', channels, seconds }) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const header = part({ alg: 'EdDSA', typ: 'JWT' });
  const claims = part({
    gusher: { app_key: app, user_id: user, channels },
    exp,
    jti: randomUUID(),
  });
  const signature = sign(null, Buffer.from(`${header}.${claims}`), privateKey);
  return `${header}.${claims}.${signature.toString('base64url')}`;
}

/** Asks the master; gives its answer. */
export async function call(method, path, body, headers = {}) {
  const reply = await fetch(api + path, {
    method,
    headers: { Authorization: `Bearer ${key}`, ...headers },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  });
  if (reply.ok) return reply.json();
  const { code, detail } = await reply.json().catch(() => ({}));
  throw Object.assign(new Error(`gusher: ${reply.status} ${code}: ${detail}`), {
    status: reply.status,
  });
}

/** Publishes to a channel. Where it is unknown whether that worked it is tried again, with the same
 *  Idempotency-Key: so nobody hears it twice. */
export async function publish(app, channel, event, data) {
  const path = `/v1/apps/${app}/channels/${encodeURIComponent(channel)}/messages`;
  const once = { 'Idempotency-Key': randomUUID() };
  for (let tries = 1; ; tries++) {
    try {
      return await call('POST', path, { event, data }, once);
    } catch (error) {
      const isRefused = error.status < 500 && error.status !== 429;
      if (isRefused || tries === 4) throw error;
      await pause(100 * 2 ** tries);
    }
  }
}
