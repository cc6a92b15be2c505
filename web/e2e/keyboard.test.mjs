// The console without a mouse.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import { assertClean, chip, launch, lines, logged, openConsole, openPage, row } from './lib/browser.mjs';

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

/** keyboard is what a person has who has no mouse. */
function keyboard(page) {
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
  return { key, type, tabTo };
}

test('subscribe, publish and unsubscribe by keyboard', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  const { key, type, tabTo } = keyboard(page);
  await tabTo('Topics or patterns');
  await type('news.*');
  await key('Enter');
  await chip(page, 'news.*').waitFor();
  await type('chat.>'); // the field is selected, ready for the next one
  await tabTo('Subscribe');
  await key('Space');
  await chip(page, 'chat.>').waitFor();

  await tabTo('Topic');
  await type('news.eu');
  await tabTo('Data');
  await type('first line');
  await key('Shift+Enter');
  await type('second line');
  await key('Enter');
  await lines(page).locator('.data').filter({ hasText: 'first line\nsecond line' }).waitFor();
  await type('[1,2]'); // replaces what was sent
  await key('Enter');
  await logged(page, '[ 1, 2 ]').waitFor();
  await tabTo('Publish');
  await key('Enter');
  await page.getByText('3 messages', { exact: true }).waitFor();

  // Unsubscribing takes the button away; the focus goes to its neighbour, and from the last to the field.
  await chip(page, 'news.*').focus();
  await key('Enter');
  await chip(page, 'news.*').waitFor({ state: 'detached' });
  assert.equal((await focused(page)).name, 'Unsubscribe from chat.>');
  await key('Enter');
  await chip(page, 'chat.>').waitFor({ state: 'detached' });
  assert.equal((await focused(page)).name, 'Topics or patterns');

  assertClean(page, server);
  await page.context().close();
});

test('read, look closely, and go elsewhere by keyboard', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  const { key, tabTo } = keyboard(page);
  await page.getByLabel('Topics or patterns').fill('read.*');
  await page.getByLabel('Topics or patterns').press('Enter');
  await chip(page, 'read.*').waitFor();
  for (const n of [1, 2, 3]) await server.publish('read.me', { n });
  await logged(page, '{ "n": 3 }').waitFor();

  // The lines are one stop for the tab key; arrows choose among them.
  await tabTo('Messages');
  await key('End');
  const chosen = () => lines(page).getByRole('option', { selected: true }).textContent();
  assert.match(await chosen(), /"n": 3/);
  await key('ArrowUp');
  assert.match(await chosen(), /"n": 2/);
  const active = await lines(page).getAttribute('aria-activedescendant');
  assert.match(await page.locator(`[id="${active}"]`).textContent(), /"n": 2/, 'a screen reader is told which one');
  await page.getByLabel('Data of the message').getByText('{ "n": 2 }').waitFor();
  await key('Escape');
  await page.getByLabel('Data of the message').waitFor({ state: 'hidden' });
  await key('ArrowUp');
  await tabTo('Close the message');
  await key('Enter');
  assert.equal((await focused(page)).name, 'Messages', 'the focus goes back to the lines');

  // The link to the content is the first thing of the page, and a view that comes has the focus.
  await page.reload();
  await tabTo('Skip to the content');
  await key('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.getByRole('link', { name: 'Topics' }).focus();
  await key('Enter');
  await row(page, 'read.me').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await tabTo('read.me');
  await key('Enter');
  await page.getByRole('heading', { name: 'read.me' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');

  // A dialog keeps the focus, and gives it back.
  await tabTo('Purge…');
  await key('Enter');
  await page.getByRole('dialog', { name: 'Purge read.me?' }).waitFor();
  await key('Escape');
  assert.equal((await focused(page)).name, 'Purge…');
  await row(page, '{ "n": 3 }').waitFor();
  await key('Enter');
  await tabTo('Purge');
  await key('Enter');
  await page.getByText('No message is kept.').waitFor();

  // A question that was answered with yes is open again the next time.
  await server.publish('read.me', { n: 4 });
  await row(page, '{ "n": 4 }').waitFor();
  await page.getByRole('button', { name: 'Purge…' }).click();
  await key('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await server.publish('read.me', { n: 5 });
  await row(page, '{ "n": 5 }').waitFor();
  assert.equal(await row(page, '{ "n": 4 }').count(), 1);
  assertClean(page, server);
  await page.context().close();
});
