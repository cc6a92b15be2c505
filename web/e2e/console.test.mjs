// The console as two people use it, in one browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import {
  assertClean, chip, launch, logged, openConsole, openPage, publish, screenshot, subscribe,
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
  const ids = (page) => page.getByRole('log').locator('.id').allTextContents();
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
  await page.getByRole('log').getByText('base64//4A').waitFor();
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
  await page.getByRole('log').getByText('"<img src=x onerror=').first().waitFor();
  await subscribe(page, '<b');
  await page.getByLabel('Topic or pattern').fill(evil); // no pattern at all; its error names it
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await page.getByRole('log').getByText(`(subscribe to ${evil})`).waitFor();

  assert.equal(await page.locator('img, b, #log script').count(), 0, 'nothing of it became an element');
  assert.equal(await page.title(), 'Fanfare');
  assertClean(page, server);
  await page.context().close();
});

test('an error of the server is readable, in the log and at the form', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);

  await page.getByLabel('Topic or pattern').fill('news..eu');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await page.getByRole('log').getByText(/^Error invalid_topic: .+ \(subscribe to news\.\.eu\)$/).waitFor();
  await page.getByRole('status').filter({ hasText: /^invalid_topic: .+/ }).waitFor();
  assert.equal(await page.getByLabel('Topic or pattern').getAttribute('aria-invalid'), 'true');
  assert.equal(await chip(page, 'news..eu').count(), 0);

  await page.getByLabel('Topic', { exact: true }).fill('news.*');
  await page.getByLabel('Data').fill('hello');
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByRole('log').getByText(/^Error invalid_topic: .+ \(publish to news\.\*\)$/).waitFor();
  assert.equal(await page.getByLabel('Topic', { exact: true }).getAttribute('aria-invalid'), 'true');

  // The connection is still good for what is right.
  await subscribe(page, 'news.*');
  await publish(page, 'news.eu', 'hello');
  await logged(page, 'hello').waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('the log is bounded and follows only a reader who is at its end', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'flood');
  const log = page.getByRole('log');
  const fromEnd = () => log.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);

  const flood = async (from, to) => {
    for (let n = from; n < to; n += 50) {
      await Promise.all(Array.from({ length: Math.min(50, to - n) }, (_, i) => server.publish('flood', `flood ${n + i}`)));
    }
    await server.publish('flood', `flooded to ${to}`);
    await logged(page, `flooded to ${to}`).waitFor({ state: 'attached' });
  };
  await flood(0, 1200);
  assert.equal(await log.locator('.line').count(), 1000, 'the last thousand lines stay');
  assert.equal(await page.getByText('1,201 messages', { exact: true }).count(), 1, 'and all are counted');
  assert.ok(await fromEnd() < 24, 'the log follows');

  await log.evaluate((e) => { e.scrollTop = e.scrollHeight / 2; });
  await page.getByRole('button', { name: 'Latest' }).waitFor();
  await flood(1200, 1210);
  assert.ok(await fromEnd() > 1000, 'who reads further up is left alone');
  await page.getByRole('button', { name: 'Latest' }).click();
  assert.ok(await fromEnd() < 24);
  await page.getByRole('button', { name: 'Latest' }).waitFor({ state: 'hidden' });

  await page.getByRole('button', { name: 'Clear' }).click();
  assert.equal(await log.locator('.line').count(), 0);
  assertClean(page, server);
  await page.context().close();
});

// What the pictures show: the common things, and one of each that strains the layout.
async function fill(page) {
  await openConsole(page, server);
  await subscribe(page, 'news.>');
  await subscribe(page, 'chat.room.*');
  await subscribe(page, 'sensors.berlin.temperature');
  await server.publish('news.eu.sport', 'Kick-off at eight. See you there!');
  await server.publish('sensors.berlin.temperature', { celsius: 21.4, at: '2026-11-23T17:00:00Z' });
  await server.publish('chat.room.42', { from: 'ann', text: 'Did everyone get this?' });
  await server.publish('chat.room.42', { from: 'bob', text: 'Loud and clear!' });
  await server.publish('news.science', {
    headline: 'A comet, seen with the naked eye', where: 'low in the west, an hour after sunset',
    tags: ['astronomy', 'tonight'], sources: 3,
  });
  await page.getByLabel('Topic or pattern').fill('news..eu');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await page.getByRole('log').getByText(/^Error invalid_topic/).waitFor();
  await page.getByLabel('Topic or pattern').fill('');
  await publish(page, 'news.eu', '{"breaking":true}');
  await logged(page, '{ "breaking": true }').waitFor();
}

for (const colorScheme of ['light', 'dark']) {
  for (const [name, options] of Object.entries({
    desktop: { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 2 },
    phone: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  })) {
    test(`picture: ${name}, ${colorScheme}`, async () => {
      const page = await openPage(browser, { ...options, colorScheme });
      await fill(page);
      const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
      assert.ok(await fits(), 'nothing sticks out at the side');
      await screenshot(page, `${name}-${colorScheme}`, { fullPage: true });

      // What nobody writes and somebody will send.
      const long = 'x'.repeat(200);
      await subscribe(page, `${long}.>`);
      await publish(page, `${long}.y`, JSON.stringify({ [long]: long }));
      assert.ok(await fits(), 'not even with very long words');
      assertClean(page, server);
      await page.context().close();
    });
  }
}

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
