// Credentials for NATS as operators make them: an operator, an account, and users of it.
import { createAccount, createOperator, createUser, encodeAccount, encodeOperator, encodeUser, fmtCreds } from '@nats-io/jwt';
import { writeFile } from './keys.mjs';

const limits = { subs: -1, data: -1, payload: -1, conn: -1, leaf: -1, imports: -1, exports: -1 };

/** { config, creds, otherCreds }: lines for a server, the file of a user, and of one it refuses. */
export async function natsAuth() {
  const [operator, account, user] = [createOperator(), createAccount(), createUser()];
  const operatorJwt = await encodeOperator('tests', operator);
  const accountJwt = await encodeAccount('gusher', account, { limits }, { signer: operator });
  const config = [
    `operator: ${operatorJwt}`,
    'resolver: MEMORY',
    `resolver_preload: { ${account.getPublicKey()}: ${accountJwt} }`,
  ].join('\n');
  const file = async (name, signer) => {
    const jwt = await encodeUser(name, user, signer, {});
    return writeFile(`${name}.creds`, new TextDecoder().decode(fmtCreds(jwt, user)));
  };
  return {
    config,
    creds: await file('user', account),
    otherCreds: await file('stranger', createAccount()),
  };
}
