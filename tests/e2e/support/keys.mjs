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

/** A new key pair for an algorithm: { alg, kid, privateKey, publicKey }. */
export function pairOf(alg, kid) {
  const curves = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };
  const made = curves[alg]
    ? crypto.generateKeyPairSync('ec', { namedCurve: curves[alg] })
    : alg === 'EdDSA'
      ? crypto.generateKeyPairSync('ed25519')
      : crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { alg, kid, ...made };
}

export const pemOf = ({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' });

/** The JSON Web Key of a pair's public half. */
export const jwkOf = ({ publicKey, kid }, more) => ({
  ...publicKey.export({ format: 'jwk' }),
  ...(kid === undefined ? {} : { kid }),
  ...more,
});

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function signature(alg, text, key) {
  const hash = alg === 'EdDSA' ? null : `sha${alg.slice(2)}`;
  const pss = {
    padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
    saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST,
  };
  const how = { key, dsaEncoding: 'ieee-p1363', ...(alg.startsWith('PS') ? pss : {}) };
  return crypto.sign(hash, Buffer.from(text), how).toString('base64url');
}

export function sign(claims, { alg = 'RS256', key = pair.privateKey, kid } = {}) {
  const signed = `${part({ alg, typ: 'JWT', kid })}.${part(claims)}`;
  return `${signed}.${signature(alg, signed, key)}`;
}

/** Signed by such a pair, under its kid. */
export const signBy = ({ alg, kid, privateKey }, claims, more) =>
  sign(claims, { alg, kid, key: privateKey, ...more });

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
