// Tokens as an application's own server would sign them: JSON Web Tokens, HS256.
import { createHmac } from 'node:crypto';

const key = 'a key for tests that is long enough for HS256';

/** authenticated is the environment of a server that knows these tokens. */
export const authenticated = {
  FANFARE_AUTH_JWT_ALGORITHMS: 'HS256',
  FANFARE_AUTH_JWT_KEY: key,
  FANFARE_AUTH_JWT_LEEWAY: '0s',
};

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** mint signs a token: `expires` is its life in seconds, `forged` has it signed with another key. */
export function mint({ user = 'ada', expires = 60, forged = false, ...scopes }) {
  const claims = { sub: user, exp: Math.floor(Date.now() / 1_000) + expires, fanfare: scopes };
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  const signature = createHmac('sha256', forged ? `not ${key}` : key).update(text).digest('base64url');
  return `${text}.${signature}`;
}
