// The words for how a socket ends and for what is refused, explained (docs/PROTOCOL.md,
// docs/CONFIG.md).

export const reasons = {
  client: 'The client closed the socket itself: a page was left, or it signed out.',
  gone: 'The connection broke, or ended without a close frame: the network, or a process that ended.',
  no_pong: 'The client did not answer pings in time: mostly a network or a phone that went away.',
  idle: 'The socket had no subscription when its ping was due (--idle-rule).',
  slow: 'The client did not take its messages fast enough and its queue was full.',
  stuck: 'Nothing could be written to the client for --write-timeout.',
  bad_frame: 'The client broke the WebSocket protocol.',
  bad_text: 'The client sent text that is not UTF-8, or not compressed as agreed.',
  too_big: 'The client sent a message over --receive-max-message-size.',
  bad_command: 'The client sent something that is no command.',
  too_many: 'The client, or its address, sent commands faster than the limits allow.',
  expired: 'The token was over (--enforce-exp).',
  kicked: 'A backend or an operator closed the socket.',
  banned: 'The user or the token is banned.',
  lost: 'Messages for the socket were lost on the way: the client has to subscribe again.',
  shutdown: 'The server was stopping.',
};

/** What cost somebody messages, and what an operator may want to know of. */
const bad = new Set(['slow', 'stuck', 'lost']);
const warn = new Set(['no_pong', 'bad_frame', 'bad_text', 'too_many', 'kicked', 'banned']);

export const toneOf = (reason) => (bad.has(reason) ? 'bad' : warn.has(reason) ? 'warn' : 'calm');
