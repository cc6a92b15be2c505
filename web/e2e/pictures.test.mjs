// How every view looks, in light and dark, on a desk and on a phone; and that nobody is kept out by that.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import { publishes, scene } from './lib/scene.mjs';
import {
  assertClean, check, launch, lines, logged, openConsole, openPage, publish, row, screenshot, subscribe, view,
} from './lib/browser.mjs';

let server, browser, filled;
before(async () => {
  server = await startServer();
  browser = await launch();
  filled = await scene(server);
});
after(async () => {
  await filled?.close();
  await browser?.close();
  await server?.stop();
});

/** small lists what is too small to be hit with a finger. */
const small = (page) => page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, nav a, .chip button, td a')]
  .filter((e) => e.checkVisibility() && !e.closest('.choice'))
  .map((e) => ({ name: e.getAttribute('aria-label') ?? e.textContent.trim() ?? e.id, box: e.getBoundingClientRect() }))
  .filter(({ box }) => box.width < 24 || box.height < 24).map(({ name, box }) => `${name} ${box.width}x${box.height}`));

for (const colorScheme of ['light', 'dark']) {
  for (const [name, options] of Object.entries({
    desktop: { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 2 },
    phone: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  })) {
    test(`picture: ${name}, ${colorScheme}`, async () => {
      const page = await openPage(browser, { ...options, colorScheme, reducedMotion: 'reduce' });
      const picture = async (what) => {
        await check(page, what);
        assert.deepEqual(await small(page), [], `${what}: everything is large enough`);
        await screenshot(page, `${what}-${name}-${colorScheme}`, { fullPage: true });
      };
      await openConsole(page, server);
      await picture('empty');

      await subscribe(page, 'news.>');
      await subscribe(page, 'chat.room.* orders.*');
      await subscribe(page, 'sensors.berlin.temperature');
      await publishes(server);
      await page.getByLabel('Topics or patterns').fill('news..eu');
      await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
      await lines(page).getByText(/^Error invalid_topic/).waitFor();
      await page.getByLabel('Topics or patterns').fill('');
      await publish(page, 'news.eu', '{"breaking":true}');
      await logged(page, '{ "breaking": true }').waitFor();
      await page.getByLabel('Data', { exact: true }).fill('{\n  "breaking": true,\n  sources: 3\n}');
      await page.getByText(/^Not JSON, so it goes as text: line 3, column 3/).waitFor();
      await lines(page).getByText('A comet, seen with').click();
      await page.getByRole('region', { name: 'Message', exact: true }).waitFor();
      await picture('stream');
      await page.getByRole('button', { name: 'Close the message' }).click();

      await page.getByRole('button', { name: 'Copy as… (subscribe to news.>)' }).click();
      await picture('copy');
      await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
      await page.getByRole('button', { name: 'Recent' }).click();
      await picture('recent');
      await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();

      await view(page, 'Topics');
      await row(page, 'chat.room.42').waitFor();
      await picture('topics');
      await page.getByRole('link', { name: 'chat.room.42' }).click();
      await page.getByText('3 clients', { exact: true }).waitFor();
      await row(page, 'Loud and clear!').first().waitFor();
      await picture('topic');
      await page.getByRole('button', { name: 'Purge…' }).click();
      await picture('confirm');
      await page.getByRole('button', { name: 'Cancel' }).click();

      await view(page, 'Clients');
      await page.getByText('this page', { exact: true }).waitFor();
      await picture('clients');

      await view(page, 'Activity');
      for (let n = 0; n < 3; n++) {
        const answered = page.waitForResponse((response) => response.url().endsWith('/metrics'));
        for (let i = 0; i <= 20 * n; i++) await server.publish('sensors.berlin.load', { n: i });
        await answered;
      }
      await page.getByRole('img', { name: /Published now \d/ }).waitFor();
      await picture('activity');
      assertClean(page, server);
      await page.context().close();
    });
  }
}

test('what nobody writes and somebody will send fits, too', async () => {
  const page = await openPage(browser, { viewport: { width: 360, height: 740 } });
  await openConsole(page, server);
  const long = 'x'.repeat(200);
  await subscribe(page, `${long}.>`);
  await publish(page, `${long}.y`, JSON.stringify({ [long]: long }));
  await lines(page).getByText('{ "xxx').click();
  await check(page, 'long words in the stream');
  await view(page, 'Topics');
  await page.getByRole('link', { name: `${long}.y` }).click();
  await row(page, '{ "xxx').waitFor();
  await check(page, 'long words of a topic');
  await view(page, 'Clients');
  await row(page, `${long}.>`).waitFor();
  await check(page, 'long words of a client');
  await page.context().close();
});
