// The console as two people use it, in one browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import {
  assertClean, chip, launch, lines, logged, openConsole, openPage, publish, subscribe,
} from './lib/browser.mjs';

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('two pages talk to each other', async () => {
  const ann = await openPage(browser);
  const bob = await openPage(browser);
  const annId = await openConsole(ann, server);
  const bobId = await openConsole(bob, server);
  assert.notEqual(annId, bobId, 'each page is a client of its own');

  await subscribe(ann, 'news.*');
  await subscribe(bob, 'news.eu');
  await publish(bob, 'news.eu', 'Good morning, Ann');
  await publish(ann, 'news.eu', '{"text":"Good morning, Bob","n":12345678901234567890}');

  for (const page of [ann, bob]) {
    await logged(page, 'Good morning, Ann').waitFor();
    // JSON stays JSON, and no digit is lost on the way.
    await logged(page, '{ "text": "Good morning, Bob", "n": 12345678901234567890 }').waitFor();
  }
  const ids = (page) => lines(page).locator('.id').allTextContents();
  assert.deepEqual(await ids(ann), await ids(bob), 'both see the same messages, in the same order');
  assert.equal(await ann.getByText('2 messages', { exact: true }).count(), 1);

  // After the acknowledged unsubscribe nothing arrives; what still arrives at Ann proves that it was sent.
  await chip(bob, 'news.eu').click();
  await logged(bob, 'Unsubscribed from news.eu').waitFor();
  await chip(bob, 'news.eu').waitFor({ state: 'detached' });
  await publish(ann, 'news.eu', 'Bob has left');
  await logged(ann, 'Bob has left').waitFor();
  await subscribe(bob, 'end');
  await publish(ann, 'end', 'of the story');
  await logged(bob, 'of the story').waitFor();
  assert.equal(await logged(bob, 'Bob has left').count(), 0);

  for (const page of [ann, bob]) {
    assertClean(page, server);
    await page.context().close();
  }
});

test('what curl publishes arrives', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, '>');

  const receipt = await server.publish('a/b%?#+.Grüße', 'héllo 🎺');
  await logged(page, 'héllo 🎺').waitFor();
  await logged(page, 'a/b%?#+.Grüße').waitFor();
  await logged(page, receipt.id).waitFor();

  const binary = await fetch(`${server.url}/topics/raw/publish`, {
    method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: new Uint8Array([0xff, 0xfe, 0x00]),
  });
  assert.equal(binary.status, 200);
  await lines(page).getByText('base64 //4A').click();
  await page.getByLabel('Data of the message').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Publish again…' }).isVisible(), false, 'it would be text');
  assertClean(page, server);
  await page.context().close();
});

test('data that looks like a page is shown as text', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

  await subscribe(page, 'evil.>');
  await publish(page, 'evil.data', evil);
  await logged(page, evil).waitFor();
  await publish(page, 'evil.json', JSON.stringify({ [evil]: [evil] }));
  await lines(page).getByText('"<img src=x onerror=').first().waitFor();
  await subscribe(page, '<b');
  await page.getByLabel('Topics or patterns').fill(evil); // no pattern at all; its error names it
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await lines(page).getByText(`(subscribe to ${evil})`).waitFor();

  assert.equal(await page.locator('img, b, #lines script').count(), 0, 'nothing of it became an element');
  assert.equal(await page.title(), 'Fanfare');
  assertClean(page, server);
  await page.context().close();
});

test('an error of the server is readable, in the log and at the form', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);

  await page.getByLabel('Topics or patterns').fill('news..eu');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await lines(page).getByText(/^Error invalid_topic: .+ \(subscribe to news\.\.eu\)$/).waitFor();
  await page.getByRole('status').filter({ hasText: /^invalid_topic: .+/ }).waitFor();
  assert.equal(await page.getByLabel('Topics or patterns').getAttribute('aria-invalid'), 'true');
  assert.equal(await chip(page, 'news..eu').count(), 0);

  await page.getByLabel('Topic', { exact: true }).fill('news.*');
  await page.getByLabel('Data', { exact: true }).fill('hello');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await lines(page).getByText(/^Error invalid_topic: .+ \(publish to news\.\*\)$/).waitFor();
  assert.equal(await page.getByLabel('Topic', { exact: true }).getAttribute('aria-invalid'), 'true');

  // The connection is still good for what is right.
  await subscribe(page, 'news.*');
  await publish(page, 'news.eu', 'hello');
  await logged(page, 'hello').waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('nothing jumps while the page loads and messages come', async () => {
  const page = await openPage(browser);
  await page.addInitScript(() => {
    globalThis.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await openConsole(page, server);
  await subscribe(page, 'steady');
  for (let n = 0; n < 5; n++) {
    await server.publish('steady', `line ${n}`);
    await logged(page, `line ${n}`).waitFor();
  }
  assert.ok(await page.evaluate(() => globalThis.shift) < 0.01);
  await page.context().close();
});
