// One RSA key pair a test process, and JWTs signed with it.
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A folder of this test process; it goes when the process ends. */
export const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gusher-e2e-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

export function freshFolder(name) {
  return fs.mkdtempSync(path.join(folder, `${name}-`));
}

export function writeFile(name, text) {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
}

const pair = crypto.generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
export const publicFile = writeFile('public.pem', pair.publicKey);
export const privateFile = writeFile('private.pem', pair.privateKey);

const hashes = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' };
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function sign(claims, { alg = 'RS256', key = pair.privateKey } = {}) {
  const signed = `${part({ alg, typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${crypto.sign(hashes[alg], Buffer.from(signed), key).toString('base64url')}`;
}

/** The claims of one identity. Without `user` it is anonymous. */
export function claims({ app = 'app', user = '', channels = ['*'], remotes = {} } = {}) {
  return { gusher: { user_id: user, channels, app_key: app, remotes } };
}

/** Checks an RS256 signature by other means than the server's; gives header and claims. */
export function verify(jwt, publicPem) {
  const [header, payload, signature] = jwt.split('.');
  const good = crypto.verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    publicPem,
    Buffer.from(signature, 'base64url'),
  );
  if (!good) throw new Error('the signature is not good');
  const read = (text) => JSON.parse(Buffer.from(text, 'base64url'));
  return { header: read(header), claims: read(payload) };
}
