// Compressed messages (permessage-deflate, RFC 7692), with the library `ws` and by hand.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import WebSocket from 'ws';
import { serverTest } from './support/gusher.mjs';
import * as keys from './support/keys.mjs';
import { BINARY, frame, PING, requestText, TEXT, upgradeHeaders } from './support/raw.mjs';
import { Inbox, within } from './support/wait.mjs';

const compressed = { rsv: 4 };
const offer = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' };
const long = { text: 'a long message that says the same again and again. '.repeat(40) };

/** A socket by `ws`, with or without compression; gives its messages and how many bytes came. */
async function open(server, perMessageDeflate) {
  const ticket = await server.auth(keys.sign(keys.claims({ channels: ['*'] })));
  const ws = new WebSocket(server.url('app', ticket), { perMessageDeflate });
  const inbox = new Inbox();
  ws.on('message', (data) => inbox.put(data.toString()));
  ws.on('close', (code, reason) => inbox.end(`closed: ${code} ${reason}`));
  await within(new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject)), 'open');
  server.clients.add(ws);
  return {
    ws,
    next: () => inbox.next('a message'),
    received: () => ws._socket.bytesRead,
    async subscribe(channel) {
      ws.send(JSON.stringify({ event: 'gusher.subscribe', data: { channel } }));
      assert.equal(JSON.parse(await inbox.next('the reply')).event, 'gusher.subscribe_succeeded');
      return this;
    },
  };
}

/** A bare socket that has agreed upon compression. */
async function rawSocket(server) {
  const raw = await server.raw();
  const target = server.wsTarget({ channels: ['*'] });
  raw.write(requestText('GET', target, { ...upgradeHeaders, ...offer }));
  const { status, head } = await raw.reply();
  assert.equal(status, 101);
  assert.match(
    head,
    /\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n/,
  );
  return raw;
}

const deflated = (text) =>
  zlib.deflateRawSync(text, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);
const compressedFrame = (text) => frame(TEXT, deflated(text), compressed);

serverTest('long messages are compressed once, for those who want it', {}, async (server) => {
  const small = await (await open(server, { threshold: 0 })).subscribe('news');
  const plain = await (await open(server, false)).subscribe('news');
  assert.equal(small.ws.extensions.split(';')[0], 'permessage-deflate');
  assert.equal(plain.ws.extensions, '');
  const before = [small.received(), plain.received()];
  await server.push('app', 'news', 'e', JSON.stringify(long));
  const expected = JSON.stringify({ channel: 'news', event: 'e', data: long });
  assert.equal(await small.next(), expected);
  assert.equal(await plain.next(), expected);
  assert.ok(small.received() - before[0] < expected.length / 5, 'few bytes');
  assert.ok(plain.received() - before[1] > expected.length, 'all bytes');
  // A second one stands alone: nothing is remembered.
  await server.push('app', 'news', 'e', JSON.stringify(long));
  assert.equal(await small.next(), expected);
  // A short one is not worth it.
  await server.push('app', 'news', 'e', '"short"');
  assert.equal(await small.next(), '{"channel":"news","event":"e","data":"short"}');
});

serverTest('many get what was compressed once, in order', {}, async (server) => {
  const sockets = await Promise.all(Array.from({ length: 40 }, (_, i) => open(server, i % 4 > 0)));
  await Promise.all(sockets.map((socket) => socket.subscribe('news')));
  for (let n = 0; n < 20; n++)
    await server.push('app', 'news', 'e', JSON.stringify(n % 3 ? { ...long, n } : n));
  for (const socket of sockets) {
    for (let n = 0; n < 20; n++)
      assert.deepEqual(JSON.parse(await socket.next()).data, n % 3 ? { ...long, n } : n);
  }
});

serverTest('what a message is compressed to may come in any pieces', {}, async (server) => {
  const raw = await rawSocket(server);
  const ping = JSON.stringify({ event: 'gusher.ping', data: 'x'.repeat(100) });
  const whole = compressedFrame(ping);
  for (const byte of whole) raw.write(Buffer.of(byte));
  assert.equal(JSON.parse(await raw.text()).event, 'gusher.pong_succeeded');
  const data = deflated(ping);
  const first = frame(TEXT, data.subarray(0, 7), { fin: false, ...compressed });
  raw.write(Buffer.concat([first, frame(0, data.subarray(7)), compressedFrame(ping)]));
  assert.equal(JSON.parse(await raw.text()).event, 'gusher.pong_succeeded');
  assert.equal(JSON.parse(await raw.text()).event, 'gusher.pong_succeeded');
  raw.write(frame(TEXT, ping)); // not compressed is fine, too
  assert.equal(JSON.parse(await raw.text()).event, 'gusher.pong_succeeded');
  raw.destroy();
});

serverTest('what is compressed wrongly, or to too much, is closed', {}, async (server) => {
  for (const [bytes, code, reason] of [
    [compressedFrame('x'.repeat(1 << 20)), 1009, /too big/],
    [frame(TEXT, Buffer.from('ffffff', 'hex'), compressed), 1007, /not compressed as agreed/],
    [compressedFrame(Buffer.from('ff', 'hex')), 1007, /UTF-8/],
    [frame(PING, '', compressed), 1002, /reserved/],
  ]) {
    const raw = await rawSocket(server);
    raw.write(bytes);
    const close = await raw.close();
    assert.equal(close.code, code);
    assert.match(close.reason, reason);
    raw.destroy();
  }
  const raw = await rawSocket(server);
  raw.write(frame(BINARY, deflated('ignored'), compressed));
  raw.write(compressedFrame(JSON.stringify({ event: 'gusher.ping', data: {} })));
  assert.equal(JSON.parse(await raw.text()).event, 'gusher.pong_succeeded');
  raw.destroy();
});

serverTest('--deflate-min 0 agrees to nothing', { 'deflate-min': 0 }, async (server) => {
  const socket = await (await open(server, true)).subscribe('news');
  assert.equal(socket.ws.extensions, '');
  await server.push('app', 'news', 'e', JSON.stringify(long));
  assert.deepEqual(JSON.parse(await socket.next()).data, long);
  const raw = await server.rawSocket();
  raw.write(compressedFrame('{}'));
  assert.equal((await raw.close()).code, 1002);
  raw.destroy();
});
