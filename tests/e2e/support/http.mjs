// HTTP requests as backends and pages make them, and the four ways to carry parameters.
import http from 'node:http';
import https from 'node:https';
import { within } from './wait.mjs';

const form = (params) => ({
  type: 'application/x-www-form-urlencoded',
  body: new URLSearchParams(params).toString(),
});

const multipart = (params) => {
  const boundary = 'a-boundary-of-our-own';
  const parts = Object.entries(params).map(
    ([name, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  return {
    type: `multipart/form-data; boundary=${boundary}`,
    body: `${parts.join('')}--${boundary}--\r\n`,
  };
};

const json = (params) => ({
  type: 'application/json',
  body: typeof params === 'string' ? params : JSON.stringify(params),
});

/** By the name of the option of `request`. */
export const encoders = { form, multipart, json };

const query = (path, params) =>
  params ? `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams(params)}` : path;

/**
 * One request to { host, port }, with `tls` (options of node's tls) by https. Parameters go as `form`, `multipart`, `json` (an object or the
 * text itself) or `query`, or the body is given as `body`.
 * Gives { status, headers, text, json() }.
 */
export function request(to, method, path, options = {}) {
  const encoding = Object.keys(encoders).find((name) => options[name] !== undefined);
  const encoded = encoding && encoders[encoding](options[encoding]);
  const body = encoded?.body ?? options.body ?? '';
  const headers = { 'Content-Length': Buffer.byteLength(body), ...options.headers };
  if (encoded) headers['Content-Type'] ??= encoded.type;
  const sent = new Promise((resolve, reject) => {
    const r = (to.tls ? https : http).request({
      ...to.tls,
      host: to.host,
      port: to.port,
      localAddress: to.localAddress,
      method,
      path: query(path, options.query),
      headers,
      agent: options.agent,
    });
    r.on('error', reject);
    r.on('response', (reply) => {
      const chunks = [];
      reply.on('error', reject);
      reply.on('data', (chunk) => chunks.push(chunk));
      reply.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: reply.statusCode,
          headers: reply.headers,
          text,
          json: () => JSON.parse(text),
        });
      });
    });
    r.end(body);
  });
  return within(sent, `the answer to ${method} ${path}`);
}
