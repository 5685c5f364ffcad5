// How long others wait: node waits.mjs MASTER. Until it gets SIGTERM it pushes to a channel over one
// connection and asks for a short list over another, and then prints the longest wait of each and the
// median in milliseconds.
import http from 'node:http';

const [master] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });
const PAUSE_MS = 2;
let isOver = false;
process.on('SIGTERM', () => (isOver = true));

function request(method, path, body = '') {
  return new Promise((resolve, reject) => {
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': Buffer.byteLength(body),
    };
    const r = http.request(`http://${master}/api${path}`, { method, agent, headers }, (reply) => {
      reply.resume();
      reply.on('end', () => {
        if (reply.statusCode === 200 && !reply.headers['gusher-missing-nodes']) resolve();
        else reject(new Error(`${path}: ${reply.statusCode}`));
      });
    });
    r.on('error', reject);
    r.end(body);
  });
}

const kinds = [
  { name: 'push', ask: () => request('POST', '/push/demo/elsewhere/e', 'data=1'), times: [] },
  { name: 'short list', ask: () => request('GET', '/demo/online/bychannel/few'), times: [] },
];
for (const kind of kinds) await kind.ask(); // the first ones are slow for reasons of our own
console.log('under way');
async function goOn({ ask, times }) {
  while (!isOver) {
    const began = performance.now();
    await ask();
    times.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
await Promise.all(kinds.map(goOn));
const texts = kinds.map(({ name, times }) => {
  times.sort((a, b) => a - b);
  const [median, longest] = [times[times.length >> 1], times.at(-1)];
  return `${name} ${longest.toFixed(1)} ms (median ${median.toFixed(1)}, of ${times.length})`;
});
console.log(`  longest wait of others: ${texts.join(', ')}`);
agent.destroy();
