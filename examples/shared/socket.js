// The page's half of gusher: a WebSocket that is opened again whenever it ends. There is no key here:
// the page's own backend says by a token who somebody is and what they may hear.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20_000;
const PING_MS = 25_000; // what is silent for longer is asked,
const PONG_MS = 10_000; // and given up when no answer comes: of a dead network nobody is told
const BANNED = 4003; // the code of a close for good

/**
 * Listens until close() is called.
 * - token(): a promise of { jwt, sockets, app, channels } from the backend, null when it knows us no more
 * - onMessage({ channel, event, data })
 * - onState(state): 'live' when every channel is, each time; 'waiting' for the next try; 'ended'
 */
export function listen({ token, onMessage, onState }) {
  let socket;
  let timer; // of the next try, or of the next ping
  let failures = 0;
  let isOver = false;

  function end() {
    isOver = true;
    clearTimeout(timer);
    drop();
    onState('ended');
  }

  /** Forgets the socket, whatever becomes of it. */
  function drop() {
    if (socket) socket.onmessage = socket.onclose = null;
    socket?.close();
    socket = undefined;
  }

  function tryAgain() {
    drop();
    if (isOver) return;
    onState('waiting');
    // Each time twice as long, and never all pages at once.
    const wait = Math.min(FIRST_WAIT_MS * 2 ** failures++, LONGEST_WAIT_MS);
    clearTimeout(timer);
    timer = setTimeout(open, wait * (0.5 + Math.random() / 2));
  }

  async function open() {
    try {
      const access = await token();
      if (!access) return end();
      const { sockets, app, channels } = access;
      // Addresses get logged, so the JWT stays out of them: it is traded for a ticket, which is
      // good for a minute.
      const reply = await fetch(`${sockets}/v1/auth`, {
        method: 'POST',
        body: JSON.stringify({ jwt: access.jwt }),
        signal: AbortSignal.timeout(PONG_MS),
      });
      if (!reply.ok) throw new Error(`no ticket: ${reply.status}`);
      const { token: ticket } = await reply.json();
      if (isOver) return undefined;
      const address = `${sockets.replace(/^http/, 'ws')}/v1/apps/${app}/ws`;
      socket = new WebSocket(`${address}?token=${encodeURIComponent(ticket)}`);
      socket.onopen = () => {
        stayAwake();
        send('gusher.multi_subscribe', { multi_channel: channels });
      };
      socket.onmessage = ({ data }) => hear(JSON.parse(data));
      socket.onclose = ({ code }) => (code === BANNED ? end() : tryAgain());
    } catch {
      tryAgain();
    }
    return undefined;
  }

  function send(event, data) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ event, data }));
  }

  function hear(message) {
    stayAwake();
    if (message.channel !== undefined) {
      onMessage(message);
    } else if (message.event === 'gusher.multi_subscribe_succeeded') {
      // From here on every message comes. What was before is the backend's to tell.
      failures = 0;
      onState('live');
    } else if (message.event === 'gusher.multi_subscribe_error') {
      tryAgain(); // the backend grants something else by now
    } else if (message.event === 'gusher.token_expires') {
      // A new token in the place of the old one, on the same socket; not all pages at once.
      setTimeout(refresh, message.data.expires_in * 1000 * (0.2 + Math.random() / 2), socket);
    }
  }

  async function refresh(ours) {
    const access = await token().catch(() => undefined);
    if (ours !== socket) return; // it is another one by now, with a newer token
    if (access === null) end();
    else if (access) send('gusher.refresh', { token: access.jwt });
    else setTimeout(refresh, 2000, ours); // the backend is away
  }

  function stayAwake() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      send('gusher.ping', {});
      timer = setTimeout(tryAgain, PONG_MS);
    }, PING_MS);
  }

  open();
  return { close: end };
}
