// Swagger UI: "Try it out" really publishes, with a token if there is one, and nothing is loaded from elsewhere.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { connect } from './lib/client.mjs';
import { startServer } from './lib/server.mjs';
import { assertClean, launch, lines, openPage, screenshot } from './lib/browser.mjs';

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('"Try it out" publishes to a live subscriber', async () => {
  const subscriber = await connect(server.ws);
  await subscriber.subscribe('from.swagger');

  const page = await openPage(browser);
  await page.goto(server.url);
  await page.getByRole('link', { name: 'API reference' }).click();
  const operation = page.locator('.opblock', { has: page.locator('[data-path="/topics/{name}/publish"]') });
  await operation.locator('.opblock-summary-control').click();
  await operation.getByRole('button', { name: 'Try it out' }).click();
  await operation.getByPlaceholder('name', { exact: true }).fill('from.swagger');
  await operation.locator('textarea.body-param__text').fill('{"hello":"from Swagger UI"}');
  await operation.getByRole('button', { name: 'Execute' }).click();

  const message = await subscriber.next();
  assert.equal(message.type, 'message');
  assert.equal(message.topic, 'from.swagger');
  assert.deepEqual(message.data, { hello: 'from Swagger UI' });

  const live = operation.locator('.live-responses-table');
  await live.locator('.response-col_status', { hasText: /^200/ }).waitFor();
  await live.getByText(message.id).first().waitFor();
  await screenshot(page, 'swagger', { fullPage: true });
  await page.getByRole('link', { name: '← Console' }).click();
  await lines(page).waitFor();
  assertClean(page, server);
  await page.context().close();
  await subscriber.close();
});

test('Swagger UI\'s own start page, which would load a spec from elsewhere, is not served', async () => {
  for (const file of ['index.html', 'swagger-initializer.js']) {
    const response = await fetch(`${server.url}/swagger/${file}`);
    assert.doesNotMatch(await response.text(), /petstore|swagger-initializer/, `/swagger/${file}`);
  }
});

test('"Authorize" takes a token, which "Try it out" then sends', async () => {
  const env = { FANFARE_AUTH_JWT_ALGORITHMS: 'HS256', FANFARE_AUTH_JWT_KEY: '0123456789abcdef0123456789abcdef' };
  const guarded = await startServer({ env });
  try {
    const token = execFileSync(process.env.FANFARE_BIN, ['token', 'mint', '--user', 'ada', '--admin'],
      { cwd: '/', env, encoding: 'utf8' }).trim();
    const page = await openPage(browser);
    await page.goto(`${guarded.url}/swagger/`);
    const operation = page.locator('.opblock', { has: page.locator('[data-path="/clients"]') }).first();
    await page.getByRole('button', { name: 'Authorize' }).click();
    await page.getByLabel('auth-bearer-value').fill(token);
    await screenshot(page, 'swagger-authorize');
    const form = page.locator('form', { hasText: 'Bearer' });
    await form.getByRole('button', { name: 'Apply credentials' }).click();
    await form.getByRole('button', { name: 'Close' }).click();
    await operation.locator('.opblock-summary-control').click();
    await operation.getByRole('button', { name: 'Try it out' }).click();
    await operation.getByRole('button', { name: 'Execute' }).click();
    await operation.locator('.live-responses-table .response-col_status', { hasText: /^200/ }).waitFor();
    await page.context().close();
  } finally {
    await guarded.stop();
  }
});
