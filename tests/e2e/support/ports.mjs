// Ports for servers that are started again on the same one.
import net from 'node:net';

/** Below the range from which the kernel serves port 0 and outgoing connections: a port stays
 *  free while its server is down. */
const FIRST = 12_000;
const LAST = 30_000;
const given = new Set();

async function isFree(port) {
  const listener = net.createServer();
  const listening = new Promise((resolve) => {
    listener.on('error', () => resolve(false));
    listener.listen(port, '127.0.0.1', () => resolve(true));
  });
  const free = await listening;
  if (free) await new Promise((resolve) => listener.close(resolve));
  return free;
}

/** A loopback port on which nobody listens. Another test process may choose the same one at the
 *  same moment: who starts a server tries again (see `onFreePorts`). */
export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

/** The first of `n` such ports in a row. */
export async function freeRange(n) {
  for (;;) {
    const first = await freePort();
    const rest = Array.from({ length: n - 1 }, (_, i) => first + 1 + i);
    if (rest.some((port) => given.has(port))) continue;
    if (!(await Promise.all(rest.map(isFree))).every(Boolean)) continue;
    for (const port of rest) given.add(port);
    return first;
  }
}

/** start(port, port, ..), again with others while a port turns out to be taken. */
export async function onFreePorts(n, start) {
  for (let tries = 1; ; tries++) {
    const ports = [];
    while (ports.length < n) ports.push(await freePort());
    try {
      return await start(...ports);
    } catch (error) {
      if (tries === 5 || !/address already in use/i.test(error.message)) throw error;
    }
  }
}
