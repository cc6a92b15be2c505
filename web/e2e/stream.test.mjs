// The stream of messages: much of it, a part of it, one of it, and none of it for a while.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import {
  assertClean, chip, launch, lines, logged, openConsole, openPage, publish, subscribe, view,
} from './lib/browser.mjs';

let server, browser;
before(async () => {
  server = await startServer({ env: { FANFARE_HISTORY_MAX_MESSAGES_PER_TOPIC: '20000' } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** flood publishes { n } from one number to another, as fast as it goes. */
async function flood(topic, from, to) {
  for (let n = from; n <= to; n += 1000) {
    const messages = Array.from({ length: Math.min(1000, to - n + 1) }, (_, i) => ({ topic, data: { n: n + i } }));
    const response = await fetch(`${server.url}/publish`, { method: 'POST', body: JSON.stringify({ messages }) });
    assert.equal(response.status, 200);
  }
}

const number = (page, n) => logged(page, `{ "n": ${n} }`);

test('12,000 messages: the last 10,000 lines are kept, and few are elements', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'flood');
  await flood('flood', 1, 12_000);
  await number(page, 12_000).waitFor();
  await page.getByText('12,000 messages, the last 10,000 lines are kept', { exact: true }).waitFor();
  assert.ok(await page.locator('.line').count() < 100, 'only those that can be seen are there');
  assert.equal(await lines(page).getByRole('option').last().getAttribute('aria-setsize'), '10000');
  await page.getByText('12,000', { exact: true }).waitFor(); // of the subscription

  await lines(page).evaluate((e) => { e.scrollTop = 0; });
  await number(page, 2001).waitFor(); // the oldest that is kept
  await lines(page).evaluate((e) => { e.scrollTop = e.scrollHeight / 2; });
  await number(page, 7001).waitFor();

  // Who reads further up is left alone, though the oldest lines go.
  const top = () => lines(page).evaluate((e) => {
    const { top } = e.getBoundingClientRect();
    return [...e.querySelectorAll('.line')].find((line) => line.getBoundingClientRect().bottom > top + 1).textContent;
  });
  const seen = await top();
  await page.getByRole('button', { name: 'Latest' }).waitFor();
  await flood('flood', 12_001, 12_500);
  await page.getByText('12,500 messages').waitFor();
  assert.equal(await top(), seen);
  await page.getByRole('button', { name: 'Latest' }).click();
  await number(page, 12_500).waitFor();
  await page.getByRole('button', { name: 'Latest' }).waitFor({ state: 'hidden' });
  await flood('flood', 12_501, 12_501);
  await number(page, 12_501).waitFor(); // it follows again

  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByText('Cleared.').waitFor();
  assert.equal(await page.locator('.line').count(), 0);
  assertClean(page, server);
  await page.context().close();
});

test('what came while one looked elsewhere is there, and who read further up still reads there', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'elsewhere');
  await view(page, 'Topics');
  await flood('elsewhere', 1, 500);
  await page.getByRole('link', { name: 'elsewhere' }).waitFor();
  await view(page, 'Stream');
  await number(page, 500).waitFor(); // it follows
  await lines(page).evaluate((e) => { e.scrollTop = 3000; });
  await number(page, 100).waitFor();
  await view(page, 'Topics');
  await flood('elsewhere', 501, 600);
  await page.getByRole('row').filter({ hasText: 'elsewhere' }).getByRole('cell', { name: '600', exact: true }).waitFor();
  await view(page, 'Stream');
  await number(page, 100).waitFor();
  assert.equal(await lines(page).evaluate((e) => e.scrollTop), 3000);
  await page.getByRole('button', { name: 'Latest' }).click();
  await number(page, 600).waitFor();
  await page.context().close();
});

test('a filter shows a part, by topic and text, also of what is still to come', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'part.>');
  await publish(page, 'part.red', 'Apples');
  await publish(page, 'part.green', 'Pears');
  await publish(page, 'part.green', '{"fruit":"apples"}');
  await page.getByLabel('Filter by topic or text').fill('apples');
  await logged(page, 'Apples').waitFor();
  await logged(page, '{ "fruit": "apples" }').waitFor();
  await page.getByText('3 messages, 2 lines shown').waitFor();
  assert.equal(await logged(page, 'Pears').count(), 0);
  await page.getByLabel('Filter by topic or text').fill('GREEN apples');
  await page.getByText('3 messages, 1 line shown').waitFor();
  await server.publish('part.green', 'more Apples');
  await server.publish('part.red', 'even more Apples');
  await page.getByText('5 messages, 2 lines shown').waitFor();
  await page.getByLabel('Filter by topic or text').fill('no such thing');
  await page.getByText('Nothing matches the filter.').waitFor();
  await page.getByLabel('Filter by topic or text').fill('');
  await logged(page, 'even more Apples').waitFor();
  await logged(page, 'Pears').waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('a message shows the event that it is, and its trace', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'event');
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const response = await fetch(`${server.url}/topics/event/publish`, {
    method: 'POST', headers: { 'Content-Type': 'application/cloudevents+json', traceparent },
    body: JSON.stringify({ specversion: '1.0', id: 'A-1', source: '/shop', type: 'order.placed', data: 'a <b>parcel</b>' }),
  });
  assert.equal(response.status, 200);
  await logged(page, 'a <b>parcel</b>').click();
  const message = page.getByRole('region', { name: 'Message', exact: true });
  await message.getByText(traceparent, { exact: true }).waitFor();
  await message.getByText('{ "specversion": "1.0", "id": "A-1", "source": "/shop", "type": "order.placed" }', { exact: true }).waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('a pause hides what comes, counts it, and brings it in the end', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'pause');
  await publish(page, 'pause', 'before');
  await logged(page, 'before').waitFor();
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await flood('pause', 1, 1234);
  const resume = page.getByRole('button', { name: 'Resume (1,234 new)' });
  await resume.waitFor();
  assert.equal(await number(page, 1).count(), 0);
  await resume.click();
  await number(page, 1234).waitFor();
  await page.getByText('1,235 messages', { exact: true }).waitFor();
  await lines(page).evaluate((e) => { e.scrollTop = 0; });
  await number(page, 1).waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('of very long messages fewer are kept', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'long');
  const long = 'x'.repeat(1_000_000);
  for (let n = 1; n <= 40; n++) await server.publish('long', `${n} ${long}`);
  await page.getByText(/^40 messages, the last 3\d lines are kept$/).waitFor(); // and a word or two, if the page was too slow
  await lines(page).getByText('40 xxx').waitFor();
  assert.ok(await lines(page).evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight < 2), 'the newest is in view');
  assertClean(page, server);
  await page.context().close();
});

test('who pauses a busy stream still reads what was there, and gets the newest in the end', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'rush');
  await flood('rush', 1, 100);
  await number(page, 100).waitFor();
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await flood('rush', 101, 12_000);
  await page.getByText('12,000 messages, ').waitFor();
  await number(page, 100).waitFor();
  await page.getByRole('button', { name: 'Resume (10,000 new)' }).click();
  await number(page, 12_000).waitFor();
  await page.getByText('12,000 messages, the last 10,000 lines are kept', { exact: true }).waitFor();
  await lines(page).evaluate((e) => { e.scrollTop = 0; });
  await number(page, 2001).waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('one message, closely: all of its data, to copy, to follow and to publish again', async () => {
  const page = await openPage(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
  await openConsole(page, server);
  await subscribe(page, 'close.*');
  const long = { text: 'a long text '.repeat(200), n: 1 };
  await server.publish('close.up', long);
  await lines(page).getByText('{ "text": "a long text').click();
  const data = page.getByLabel('Data of the message');
  assert.deepEqual(JSON.parse(await data.textContent()), long);
  await page.getByRole('button', { name: 'Copy data' }).click();
  await page.getByText('Copied', { exact: true }).waitFor();
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), long);

  await page.getByRole('button', { name: 'Publish again…' }).click();
  assert.equal(await page.getByLabel('Topic', { exact: true }).inputValue(), 'close.up');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('2 messages', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'close.up' }).click();
  await page.getByRole('heading', { name: 'close.up' }).waitFor();
  await page.getByText('0 subscribers, 2 messages kept').waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('subscriptions begin where one wants: with all, with the last, after an id', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  const ids = [];
  for (const n of [1, 2, 3, 4]) ids.push((await server.publish('past', { n })).id);
  const begin = async (how, fill) => {
    await page.getByRole('button', { name: 'Clear' }).click();
    await page.getByLabel('Begin').selectOption(how);
    await fill?.();
    await subscribe(page, 'past');
    await number(page, 4).waitFor();
    const got = await page.locator('.line.message .data').allTextContents();
    await chip(page, 'past').click();
    await chip(page, 'past').waitFor({ state: 'detached' });
    return got;
  };
  const data = (...numbers) => numbers.map((n) => `{ "n": ${n} }`);
  assert.deepEqual(await begin('with all that is kept'), data(1, 2, 3, 4));
  assert.deepEqual(await begin('with the last …', () => page.getByLabel('How many messages').fill('2')), data(3, 4));
  assert.deepEqual(await begin('after an id …', () => page.getByLabel('Message id').fill(ids[0])), data(2, 3, 4));

  await page.getByLabel('Begin').selectOption('after an id …');
  await page.getByLabel('Message id').fill('nonsense');
  await page.getByLabel('Topics or patterns').fill('past');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await page.getByRole('status').filter({ hasText: /^invalid_cursor: / }).waitFor();
  await page.context().close();
});

test('a subscription may have several patterns, and a link may have them, too', async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/?topic=link.*&topic=other.%3E&topic=link.*`);
  await page.locator('.chip[aria-busy="false"]').and(page.locator('.chip', { has: chip(page, 'link.* other.>') })).waitFor();
  await server.publish('link.a', 'by the first');
  await server.publish('other.b.c', 'by the second');
  await logged(page, 'by the first').waitFor();
  await logged(page, 'by the second').waitFor();

  // What matches twice is shown once.
  await subscribe(page, 'link.a');
  await publish(page, 'link.a', 'by both');
  await publish(page, 'link.b', 'the end');
  await logged(page, 'the end').waitFor();
  assert.equal(await logged(page, 'by both').count(), 1);
  await page.getByLabel('Topics or patterns').fill('new link.*');
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await page.getByRole('status').filter({ hasText: /^conflict: / }).waitFor();

  await page.goto(`${server.url}/?topic=link.*&last=1`);
  await logged(page, 'the end').waitFor();
  await page.goto(`${server.url}/?topic=link.*&last=many`);
  await lines(page).getByText(/^Error invalid_request: .*"last"/).waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('who cannot see hears what is new: a message, or how many', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'heard');
  const news = page.getByRole('log', { name: 'News' });
  await publish(page, 'heard', 'one of it');
  await news.getByText('heard: one of it').waitFor();
  await flood('heard', 1, 300);
  await news.getByText(/new messages; the last: heard: \{ "n": 300 \}$/).waitFor();
  await page.context().close();
});
