// What somebody managed to put into one of our pages could do nothing there.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openPage } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

// inject runs in the page. It answers which directives of the policy stopped what it put there, until all have.
const inject = (directives) => new Promise((resolve) => {
  const stopped = new Set();
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
    stopped.add(effectiveDirective);
    if (directives.every((directive) => stopped.has(directive))) resolve([...stopped].sort());
  });
  const script = document.createElement('script');
  script.textContent = 'window.injected = true';
  const markup = document.createElement('div');
  markup.innerHTML = `<img src="http://elsewhere.test/" onerror="window.injected = true"><p style="color: red">
    <style>p { color: red }</style><iframe src="/livez"></iframe><object data="/livez"></object>
    <form method="post" action="/topics/injected/publish"><input name="a"></form><base href="http://elsewhere.test/">`;
  document.head.append(markup.querySelector('base'));
  document.body.append(script, markup);
  markup.querySelector('form').submit();
  fetch('http://elsewhere.test/').catch(() => {});
});

for (const path of ['/', '/swagger/']) {
  test(`the policy of ${path} stops it`, async () => {
    const page = await openPage(browser);
    await page.goto(`${server.url}${path}`);
    const directives = [
      'base-uri', 'connect-src', 'form-action', 'frame-src', 'img-src', 'object-src', 'script-src-attr', 'script-src-elem',
      'style-src-attr', 'style-src-elem',
    ];
    assert.deepEqual(await page.evaluate(inject, directives), directives);
    assert.equal(await page.evaluate('window.injected'), undefined);
    await page.context().close();
  });
}

test('a page that opens the console has no hold on its window', async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/livez`);
  const opened = page.waitForEvent('popup');
  await page.evaluate('window.opened = open("/livez"), opened.name');
  const popup = await opened;
  assert.equal(await page.evaluate('opened.closed'), false, 'of another page it has one');
  await popup.goto(server.url);
  await page.waitForFunction('opened.closed');
  await page.context().close();
});
