// A small web server by node alone: files of a list, and routes that take and give JSON.
import { readFileSync } from 'node:fs';
import http from 'node:http';

const BODY_BYTES_MAX = 4096;
const types = { html: 'text/html', js: 'text/javascript', css: 'text/css' };

/** What a route throws to answer something else than 200. */
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function readJson(request) {
  // A form of another site can send no JSON without asking first.
  if (request.headers['content-type'] !== 'application/json')
    throw new Refusal(415, 'Please send JSON.');
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) throw new Refusal(413, 'That is too long.');
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Refusal(400, 'That is not JSON.');
  }
}

/** The value of a cookie. */
export function cookie(request, name) {
  const pairs = (request.headers.cookie ?? '').split('; ').map((pair) => pair.split('='));
  return pairs.find(([key]) => key === name)?.[1];
}

/**
 * Serves on 127.0.0.1:
 * - files: { '/': file URL, .. }
 * - routes: { 'POST /path': async ({ request, response, body }) => the answer, .. }
 * - sockets: http://HOST:PORT, the only other place that pages may speak to
 */
export function serve({ port, files, routes, sockets }) {
  const policy = [
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    `connect-src 'self' ${sockets} ${sockets.replace(/^http/, 'ws')}`,
  ].join('; ');

  async function answer(request, response) {
    const path = request.url.split('?')[0];
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Cache-Control', 'no-store');
    if (request.method === 'GET' && Object.hasOwn(files, path)) {
      const file = files[path];
      response.setHeader('Content-Type', `${types[file.pathname.split('.').pop()]}; charset=utf-8`);
      response.setHeader('Content-Security-Policy', policy);
      return readFileSync(file);
    }
    const name = `${request.method} ${path}`;
    if (!Object.hasOwn(routes, name)) throw new Refusal(404, 'There is nothing here.');
    const body = request.method === 'POST' ? await readJson(request) : {};
    const value = await routes[name]({ request, response, body });
    response.setHeader('Content-Type', 'application/json');
    return JSON.stringify(value);
  }

  const server = http.createServer((request, response) =>
    answer(request, response)
      .catch((error) => {
        if (!(error instanceof Refusal)) console.error(error);
        response.statusCode = error.status >= 400 && error instanceof Refusal ? error.status : 502;
        response.setHeader('Content-Type', 'application/json');
        const text =
          error instanceof Refusal ? error.message : 'That did not work. Please try again.';
        return JSON.stringify({ error: text });
      })
      .then((text) => response.end(text)),
  );
  server.on('error', ({ code }) => {
    console.error(`Port ${port} cannot be listened on (${code}). PORT=4000 takes another one.`);
    process.exit(1);
  });
  server.listen(port, '127.0.0.1', () => console.log(`Open http://127.0.0.1:${port}`));
}
