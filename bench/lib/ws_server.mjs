// The peer in Node: the `ws` package as its own documentation broadcasts with it. GET /sub/CHANNEL
// upgrades and subscribes, POST /pub/CHANNEL sends the body to all. Prints its port.
import http from 'node:http';
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(new URL('../../tests/e2e/', import.meta.url))('ws');
const channels = new Map();

function subscribe(socket, name) {
  if (!channels.has(name)) channels.set(name, new Set());
  const sockets = channels.get(name);
  sockets.add(socket);
  socket.on('error', () => {}); // 'close' follows
  socket.on('close', () => {
    sockets.delete(socket);
    if (sockets.size === 0) channels.delete(name);
  });
}

function publish(name, text) {
  for (const socket of channels.get(name) ?? []) socket.send(text);
}

function channelOf({ url }, prefix) {
  return url.startsWith(prefix) ? url.slice(prefix.length) : undefined;
}

const server = http.createServer({ keepAliveTimeout: 600_000 }, (request, reply) => {
  const channel = channelOf(request, '/pub/');
  if (request.method !== 'POST' || channel === undefined) {
    reply.writeHead(404).end();
    return;
  }
  let text = '';
  request.setEncoding('utf8');
  request.on('data', (chunk) => (text += chunk));
  request.on('end', () => {
    publish(channel, text);
    reply.writeHead(200, { 'Content-Length': 2 }).end('ok');
  });
});

const upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false });
server.on('upgrade', (request, socket, head) => {
  const channel = channelOf(request, '/sub/');
  if (channel === undefined) socket.destroy();
  else upgrades.handleUpgrade(request, socket, head, (ws) => subscribe(ws, channel));
});

server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () =>
  console.log(server.address().port),
);
process.on('SIGTERM', () => process.exit());
