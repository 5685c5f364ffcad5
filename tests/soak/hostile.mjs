// Clients that mean harm. What each gets is asserted by tests/e2e/hostile.test.mjs; here they come
// for hours, and each must come to an end.
import { frame, Raw, requestText, TEXT, upgradeHeaders } from '../e2e/support/raw.mjs';
import { pause, within } from '../e2e/support/wait.mjs';
import { noise } from './site.mjs';

const LIFE_MS = 60_000;

async function socket(site, random) {
  const raw = await Raw.connect(site.slave.slave);
  const jwt = site.jwt(random, { app: 'hostile', user: `h${random.below(1000)}` });
  raw.write(requestText('GET', `/gcs/ws/hostile?token=${jwt}`, upgradeHeaders));
  const { status } = await raw.reply();
  if (status !== 101) throw new Error(`a handshake: ${status}`);
  return raw;
}

const deeds = {
  async noise(site, random) {
    const raw = await Raw.connect(random.of([site.slave.slave, site.master.master]));
    raw.write(random.bytes(1 + random.below(1500))).halfClose();
    return raw;
  },
  async frameNoise(site, random) {
    const raw = await socket(site, random);
    raw.write(random.bytes(1 + random.below(500))).halfClose();
    return raw;
  },
  async tooLong(site, random) {
    const raw = await socket(site, random);
    return raw.write(frame(TEXT, 'x'.repeat(100), { length: 1 << 30 }));
  },
  async unmasked(site, random) {
    const raw = await socket(site, random);
    return raw.write(frame(TEXT, '{}', { masked: false }));
  },
  async brokenDeflate(site, random) {
    const raw = await Raw.connect(site.slave.slave);
    const jwt = site.jwt(random, { app: 'hostile' });
    const offer = { ...upgradeHeaders, 'Sec-WebSocket-Extensions': 'permessage-deflate' };
    raw.write(requestText('GET', `/gcs/ws/hostile?token=${jwt}`, offer));
    await raw.reply();
    return raw.write(frame(TEXT, random.bytes(200), { rsv: 4 })).halfClose();
  },
  async nonsense(site, random) {
    const raw = await socket(site, random);
    const texts = ['[', '{"event":1}', '{"event":"gusher.what","data":1}', '\0', '{"event":'];
    const text = random.of(texts);
    return raw.write(frame(TEXT, text));
  },
  async halfMessage(site, random) {
    const raw = await socket(site, random);
    raw.write(frame(TEXT, '{"event":"gusher.ping",', { fin: false }));
    await pause(random.below(3000));
    raw.socket.resetAndDestroy();
  },
  async halfHandshake(site, random) {
    const raw = await Raw.connect(site.slave.slave);
    const text = requestText('GET', '/gcs/ws/hostile?token=x', upgradeHeaders);
    raw.write(text.slice(0, random.below(text.length)));
    if (random.below(2)) return raw; // the server's time limit ends it
    await pause(random.below(1000));
    raw.socket.resetAndDestroy();
  },
  async slowly(site) {
    const raw = await Raw.connect(site.slave.slave);
    for (const letter of requestText('GET', '/gcs/ping')) {
      if (raw.isEnded) break;
      raw.write(letter);
      await pause(300);
    }
    return raw;
  },
  async largeHead(site, random) {
    const raw = await Raw.connect(random.of([site.slave.slave, site.master.master]));
    const large = { 'X-Large': 'x'.repeat(40_000) };
    return raw.write(requestText('GET', '/gcs/ping', large)).halfClose();
  },
  async largeBody(site) {
    const raw = await Raw.connect(site.master.master);
    const type = 'application/x-www-form-urlencoded';
    const headers = { 'Content-Type': type, 'Content-Length': 64 << 20 };
    raw.write(requestText('POST', '/api/push/one/c/e', headers));
    return raw.write(Buffer.alloc(2 << 20, 'x')).halfClose();
  },
  async cutBody(site, random) {
    const raw = await Raw.connect(site.master.master);
    raw.write(requestText('POST', '/api/push_batch/one', { 'Content-Length': 100_000 }));
    raw.write(noise(random.below(90_000)));
    await pause(random.below(500));
    raw.socket.resetAndDestroy();
  },
  async pipeline(site) {
    const raw = await Raw.connect(site.slave.slave);
    return raw.write(requestText('GET', '/gcs/ping').repeat(100)).halfClose();
  },
  async manyNames(site, random) {
    const raw = await socket(site, random);
    for (let list = 0; list < 5; list++) {
      const names = Array.from({ length: 200 }, () => noise(12));
      const data = JSON.stringify({ multi_channel: names });
      raw.write(frame(TEXT, `{"event":"gusher.multi_subscribe","data":${data}}`));
    }
    await pause(random.below(2000));
    raw.socket.resetAndDestroy();
  },
  async deaf(site, random) {
    const raw = await socket(site, random);
    raw.socket.pause();
    const ping = frame(TEXT, `{"event":"gusher.ping","data":"${noise(4000)}"}`);
    for (let i = 0; i < 100; i++) raw.write(ping);
    await pause(random.below(4000));
    raw.socket.resetAndDestroy();
  },
};

/** One deed; whatever it leaves open must be ended by the server, unless the soak ends before. */
export async function attack(site, random, signal) {
  const name = random.of(Object.keys(deeds));
  let end, raw;
  const over = new Promise((resolve) => (end = resolve));
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  try {
    raw = await deeds[name](site, random);
    if (!raw) return;
    const rest = within(raw.rest(LIFE_MS).catch(() => {}), `the end of ${name}`, LIFE_MS);
    rest.catch(() => {});
    await Promise.race([rest, over]);
  } finally {
    signal.removeEventListener('abort', end);
    raw?.destroy();
  }
}
