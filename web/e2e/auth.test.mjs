// The console of a server that knows its callers: it asks for a token, and renews it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import {
  assertClean, check, chip, launch, lines, logged, openConsole, openPage, publish, row, screenshot, subscribe, view,
} from './lib/browser.mjs';

const env = {
  FANFARE_AUTH_JWT_ALGORITHMS: 'HS256',
  FANFARE_AUTH_JWT_KEY: '0123456789abcdef0123456789abcdef',
  FANFARE_AUTH_JWT_LEEWAY: '0s',
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
  await page.locator('#auth').getByRole('button', { name: 'Sign in' }).click();
};

test('who has a token signs in, and loses what a new one does not cover', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  assert.equal(await page.getByLabel('Token or API key').isVisible(), false, 'nothing is asked before it is needed');
  await page.getByLabel('Topics or patterns').fill('news.*');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await logged(page, 'Error unauthorized: a valid token or API key is needed (subscribe to news.*)').waitFor();
  await screenshot(page, 'sign-in');

  await signIn(page, 'not a token');
  await page.getByText('The server refuses this token, or it has expired.', { exact: true }).waitFor();
  await check(page, 'a token that is refused');
  assert.equal(await page.getByRole('button', { name: 'Sign out' }).isVisible(), false);
  await signIn(page, mint('--subscribe', '>', '--publish', 'news.>'));
  await logged(page, 'Signed in').waitFor();
  assert.equal(await page.getByLabel('Token or API key').isVisible(), false);
  assert.equal(await page.getByLabel('Token or API key').inputValue(), '', 'the page does not hold it');
  await subscribe(page, 'news.*');
  await publish(page, 'news.eu', 'hello from ada');
  await logged(page, 'hello from ada').waitFor();

  // A reload asks for nothing; another tab does.
  await page.reload();
  await subscribe(page, 'news.*');

  // Less than before: the subscription ends, and the page says so.
  await page.getByRole('button', { name: 'Change token' }).click();
  await signIn(page, mint('--subscribe', 'other', '--publish', 'news.>'));
  await logged(page, 'Signed in').waitFor();
  await lines(page).getByText(/^Error forbidden: .+ \(subscribe to news\.\*\)$/).first().waitFor();
  await chip(page, 'news.*').waitFor({ state: 'detached' });
  assertClean(page, server);
  await page.context().close();
});

test('who is no administrator is told so, and still sees what is theirs', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  for (const name of ['Topics', 'Clients', 'Activity']) {
    await view(page, name);
    await page.getByText('This is for administrators, and you are not signed in.').locator('visible=true').waitFor();
  }
  await signIn(page, mint('--subscribe', 'news.>', '--publish', 'news.>'));
  await page.getByText('This is for administrators, and your token does not say that you are one.').locator('visible=true').waitFor();
  await check(page, 'a view for others');
  await screenshot(page, 'no-administrator');

  await view(page, 'Stream');
  await publish(page, 'news.eu', 'for whoever may listen');
  await page.goto(`${server.url}/#/topics/news.eu`);
  await row(page, 'for whoever may listen').first().waitFor();
  await page.getByText('0 clients', { exact: true }).waitFor();
  assert.equal(await page.locator('#topic-count').textContent(), '', 'how many there are is for administrators');
  await page.getByRole('button', { name: 'Purge…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Purge', exact: true }).click();
  await page.getByText(/^forbidden: /).waitFor();
  assertClean(page, server, 401, 403);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.goto(`${server.url}/#/clients`);
  await page.getByText('This is for administrators, and you are not signed in.').locator('visible=true').waitFor();
  await signIn(page, mint('--admin', '--subscribe', '>'));
  await page.getByText('this page', { exact: true }).waitFor();
  await row(page, 'this page').getByText('ada').waitFor();
  await page.goto(`${server.url}/#/topics/news.eu`);
  await page.getByText(/^0 subscribers, \d+ messages? kept$/).waitFor();

  // What was there is not theirs any more, and is not asked for in vain again and again.
  await view(page, 'Clients');
  await page.getByText('this page', { exact: true }).waitFor();
  await page.clock.install();
  await page.getByRole('button', { name: 'Change token' }).click();
  await signIn(page, mint('--subscribe', 'news.>'));
  await page.getByText('This is for administrators, and your token').locator('visible=true').waitFor();
  assert.equal(await page.getByText('this page', { exact: true }).isVisible(), false);
  const asked = () => page.seen.urls.filter((url) => url.includes('/clients?')).length;
  const before = asked();
  await page.clock.runFor('01:00');
  assert.equal(asked(), before);
  await page.context().close();
});

test('the token stays in this tab, and gets into no snippet', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await view(page, 'Clients');
  const token = mint('--admin', '--subscribe', '>', '--publish', '>');
  await signIn(page, token);
  await page.getByText('this page', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Copy as… (list clients)' }).click();
  for (const language of ['curl', 'JavaScript', 'Go']) {
    await page.getByText(language, { exact: true }).click();
    const code = await page.getByLabel('Code').textContent();
    assert.match(code, /TOKEN/, language);
    assert.ok(!code.includes(token), `${language} has no token`);
  }
  const stored = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie, location.href].join());
  assert.ok(!stored.includes(token));
  const other = await page.context().newPage();
  await other.goto(`${server.url}/#/clients`);
  await other.getByText('This is for administrators, and you are not signed in.').locator('visible=true').waitFor();
  await page.context().close();
});

test('when a token has expired, the page asks for another, and goes on where it was', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await page.getByLabel('Topics or patterns').fill('goes.on');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  const scopes = ['--subscribe', 'goes.on', '--publish', 'goes.on'];
  await signIn(page, mint(...scopes, '--expires', '4s'));
  await logged(page, 'Signed in').waitFor();
  await subscribe(page, 'goes.on');
  await logged(page, 'Connection lost: the token has expired (4003)').waitFor();
  await page.getByText('The server refuses this token, or it has expired.').waitFor();
  await page.getByRole('status').filter({ hasText: /^Not authorized$/ }).waitFor();
  const token = mint(...scopes);
  await fetch(`${server.url}/topics/goes.on/publish`, { method: 'POST', body: 'missed', headers: { Authorization: `Bearer ${token}` } });
  await signIn(page, token);
  await logged(page, 'missed').waitFor();
  assertClean(page, server);
  await page.context().close();
});
