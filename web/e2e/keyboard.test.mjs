// The console without a mouse.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import { assertClean, chip, launch, logged, openConsole, openPage } from './lib/browser.mjs';

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

// focused answers the accessible name of what has the focus, and whether one can see it there.
const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  const name = e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent
    ?? document.getElementById(e.getAttribute('aria-labelledby'))?.textContent ?? e.textContent;
  const style = getComputedStyle(e);
  return { name: name.trim(), visible: e.matches(':focus-visible') && style.outlineStyle !== 'none' };
});

test('subscribe, publish and unsubscribe by keyboard', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  const key = (name) => page.keyboard.press(name);
  const type = (text) => page.keyboard.type(text);
  const tabTo = async (name) => {
    const passed = [];
    for (let n = 0; n < 20; n++) {
      await key('Tab');
      const at = await focused(page);
      assert.ok(at.visible, `the focus on ${at.name} can be seen`);
      if (at.name === name) return;
      passed.push(at.name);
    }
    assert.fail(`Tab does not reach ${name}, only ${passed.join(', ')}`);
  };

  await tabTo('Topic or pattern');
  await type('news.*');
  await key('Enter');
  await chip(page, 'news.*').waitFor();
  await type('chat.>'); // the field is selected, ready for the next one
  await key('Tab');
  assert.equal((await focused(page)).name, 'Subscribe');
  await key('Space');
  await chip(page, 'chat.>').waitFor();

  await tabTo('Log'); // can be scrolled with the arrow keys
  await tabTo('Topic');
  await type('news.eu');
  await key('Tab');
  assert.equal((await focused(page)).name, 'Data');
  await type('first line');
  await key('Shift+Enter');
  await type('second line');
  await key('Enter');
  await page.getByRole('log').locator('.data').filter({ hasText: 'first line\nsecond line' }).waitFor();
  await type('[1,2]'); // replaces what was sent
  await key('Enter');
  await logged(page, '[ 1, 2 ]').waitFor();
  await key('Tab');
  assert.equal((await focused(page)).name, 'Publish');
  await key('Enter');
  await page.getByText('3 messages', { exact: true }).waitFor();

  // Unsubscribing takes the button away; the focus goes to its neighbour, and from the last to the field.
  await chip(page, 'news.*').focus();
  await key('Enter');
  await chip(page, 'news.*').waitFor({ state: 'detached' });
  assert.equal((await focused(page)).name, 'Unsubscribe from chat.>');
  await key('Enter');
  await chip(page, 'chat.>').waitFor({ state: 'detached' });
  assert.equal((await focused(page)).name, 'Topic or pattern');

  assertClean(page, server);
  await page.context().close();
});
