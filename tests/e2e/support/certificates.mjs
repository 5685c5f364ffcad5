// Certificates for servers that speak TLS: made by openssl, signed by themselves.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { freshFolder } from './keys.mjs';

const kindOf = (name) => (net.isIP(name) ? 'IP' : 'DNS');

/**
 * A certificate for these names: { certFile, keyFile, cert }. `key` is a curve or "rsa:2048".
 * The files may be written to again, by `certificate(.., { folder })`.
 */
export function certificate(names, { key = 'prime256v1', folder = freshFolder('tls'), days = 30 } = {}) {
  const certFile = path.join(folder, 'cert.pem');
  const keyFile = path.join(folder, 'key.pem');
  const newKey = /^rsa:/.test(key)
    ? ['-newkey', key]
    : ['-newkey', 'ec', '-pkeyopt', `ec_paramgen_curve:${key}`];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-nodes', ...newKey, '-keyout', keyFile, '-out', certFile],
      ...['-days', String(days), '-subj', `/CN=${names[0]}`],
      ...['-addext', `subjectAltName=${names.map((name) => `${kindOf(name)}:${name}`)}`],
    ],
    { stdio: 'pipe' },
  );
  return { folder, certFile, keyFile, cert: fs.readFileSync(certFile, 'utf8') };
}

