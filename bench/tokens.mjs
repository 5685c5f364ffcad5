// Makes a key pair and N JWTs, each for a user of its own: node tokens.mjs FOLDER N
// Writes FOLDER/public.pem and FOLDER/tokens (a line each).
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const [folder, n] = [process.argv[2], Number(process.argv[3])];
const { privateKey, publicKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const base64url = (text) => Buffer.from(text).toString('base64url');
const header = base64url('{"alg":"RS256","typ":"JWT"}');

const tokens = Array.from({ length: n }, (_, i) => {
  const claims = { gusher: { user_id: `u${i}`, channels: ['*'], app_key: 'demo', remotes: {} } };
  const input = `${header}.${base64url(JSON.stringify(claims))}`;
  return `${input}.${crypto.sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`;
});

fs.writeFileSync(path.join(folder, 'public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
fs.writeFileSync(path.join(folder, 'tokens'), tokens.join('\n') + '\n');
