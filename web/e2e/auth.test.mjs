// The console of a server that knows its callers: it asks for a token, and renews it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import {
  assertClean, chip, launch, logged, openConsole, openPage, publish, screenshot, subscribe,
} from './lib/browser.mjs';

const env = {
  FANFARE_AUTH_JWT_ALGORITHMS: 'HS256',
  FANFARE_AUTH_JWT_KEY: '0123456789abcdef0123456789abcdef',
};

let server, browser;
before(async () => {
  server = await startServer({ env });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const mint = (...scopes) => execFileSync(process.env.FANFARE_BIN, ['token', 'mint', '--user', 'ada', ...scopes],
  { cwd: '/', env, encoding: 'utf8' }).trim();

const signIn = async (page, token) => {
  await page.getByLabel('Token or API key').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
};

test('who has a token signs in, and loses what a new one does not cover', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  assert.equal(await page.getByLabel('Token or API key').isVisible(), false, 'nothing is asked before it is needed');
  await page.getByLabel('Topic or pattern').fill('news.*');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await logged(page, 'Error unauthorized: a valid token or API key is needed (subscribe to news.*)').waitFor();
  await screenshot(page, 'sign-in');

  await signIn(page, 'not a token');
  await logged(page, 'Error unauthorized: a valid token or API key is needed').waitFor();
  await signIn(page, mint('--subscribe', '>', '--publish', 'news.>'));
  await logged(page, 'Signed in').waitFor();
  assert.equal(await page.getByLabel('Token or API key').isVisible(), false);
  await subscribe(page, 'news.*');
  await publish(page, 'news.eu', 'hello from ada');
  await logged(page, 'hello from ada').waitFor();

  // Less than before: the subscription ends, and the page says so.
  await page.evaluate(() => { document.getElementById('auth').hidden = false; });
  await signIn(page, mint('--subscribe', 'other', '--publish', 'news.>'));
  await logged(page, 'Notice forbidden news.*').waitFor();
  await chip(page, 'news.*').waitFor({ state: 'detached' });
  assertClean(page, server);
  await page.context().close();
});
