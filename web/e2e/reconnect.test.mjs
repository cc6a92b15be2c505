// A connection that breaks: what the page says, and how it comes back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openWay } from '../../clients/js/test/lib/way.mjs';
import { quietPort, startServer } from './lib/server.mjs';
import { chip, greeting, launch, lines, logged, openConsole, openPage, publish, screenshot, subscribe } from './lib/browser.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

const status = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();

test('the server goes and comes back: so does the page, with its subscriptions', async () => {
  const first = await startServer({ port: await quietPort() });
  let second;
  try {
    const page = await openPage(browser);
    const before = await openConsole(page, first);
    await subscribe(page, 'news.*');
    await subscribe(page, 'chat.>');

    await first.stop();
    await status(page, /^Connection lost, reconnecting$/);
    await lines(page).getByText(/^Connection lost: .+ \(1001\)$/).waitFor();
    await page.locator('#status').getByText(/^(now|in \d+ s)$/).waitFor();
    await page.locator('.chip[aria-busy="true"]').nth(1).waitFor(); // both are marked as not live
    await screenshot(page, 'lost');

    second = await startServer({ port: first.port });
    const after = await greeting(page, 2);
    assert.notEqual(after, before, 'a new connection is a new client');
    await page.locator('.chip[aria-busy="false"]').nth(1).waitFor();
    // The new process has a new log: what was missed, if anything, nobody knows.
    await lines(page).getByText('may be missing here: the log does not reach back that far').nth(1).waitFor();
    assert.equal(await logged(page, 'Subscribed again: nothing was missed').count(), 0);
    await second.publish('news.eu', 'news again');
    await second.publish('chat.a.b', 'chat again');
    await logged(page, 'news again').waitFor();
    await logged(page, 'chat again').waitFor();

    // What was given up while there was no connection stays given up.
    await second.stop();
    await status(page, /^Connection lost, reconnecting$/);
    await chip(page, 'news.*').click();
    await chip(page, 'news.*').waitFor({ state: 'detached' });
    second = await startServer({ port: first.port });
    await page.locator('.chip[aria-busy="false"]').waitFor();
    assert.equal((await second.publish('news.eu', 'for nobody')).subscribers, 0);
    assert.equal((await second.publish('chat.a.b', 'for one')).subscribers, 1);
    await page.context().close();
  } finally {
    await first.stop();
    await second?.stop();
  }
});

test('an administrator disconnects: the page says so and stays away until it is told to come back', async () => {
  const server = await startServer();
  try {
    const page = await openPage(browser, { viewport: { width: 360, height: 740 } });
    let connections = 0;
    page.on('websocket', () => connections++);
    await page.clock.install();
    const id = await openConsole(page, server);
    await subscribe(page, 'news');

    const response = await fetch(`${server.url}/clients/${id}`, { method: 'DELETE' });
    assert.ok(response.ok, `DELETE /clients/{id} answers ${response.status}`);
    await status(page, /^Disconnected by an administrator$/);
    await lines(page).getByText(/^Disconnected by an administrator \(4501/).waitFor();
    await page.clock.fastForward('01:00:00');
    assert.equal(connections, 1, 'an hour passes, and no retry comes of it');
    assert.equal((await server.publish('news', 'missed')).subscribers, 0);
    await screenshot(page, 'disconnected');

    await page.getByRole('button', { name: 'Connect now' }).click();
    assert.notEqual(await greeting(page, 2), id);
    await page.locator('.chip[aria-busy="false"]').waitFor();
    await server.publish('news', 'back again');
    await logged(page, 'back again').waitFor();
    assert.deepEqual(await page.locator('.line.message .data').allTextContents(), ['missed', 'back again']);
    assert.equal(await lines(page).getByText('may be missing').count(), 0, 'and nothing is said to be lost');
    assert.equal(await logged(page, 'Subscribed again: nothing was missed').count(), 1);
    await screenshot(page, 'resumed');
    await page.context().close();
  } finally {
    await server.stop();
  }
});

test('the connection dies without a word: the page notices by itself', async (t) => {
  const server = await startServer();
  t.after(server.stop);
  t.after(server.thaw);
  const page = await openPage(browser);
  await page.clock.install(); // before the page sets its timers
  await openConsole(page, server);
  await subscribe(page, 'news');

  server.freeze();
  await page.clock.fastForward('00:26'); // nothing was heard for so long, or nearly
  await page.clock.fastForward('00:11'); // time for a ping
  await page.clock.fastForward('00:11'); // no answer
  await status(page, /^Connection lost, reconnecting$/);
  await lines(page).getByText('Connection lost: it broke off (1006)').waitFor();

  server.thaw();
  await page.locator('.chip[aria-busy="false"]').waitFor();
  await server.publish('news', 'awake again');
  await logged(page, 'awake again').waitFor();
  await page.context().close();
});

test('after a short break of the network it says that nothing was missed, once for all subscriptions', async (t) => {
  const server = await startServer();
  t.after(server.stop);
  const way = await openWay(server.port);
  t.after(way.close);
  const page = await openPage(browser);
  await openConsole(page, way);
  await subscribe(page, 'news.* chat.>');
  await subscribe(page, 'news.eu');
  for (const times of [1, 2]) {
    way.block();
    await status(page, /^Connection lost, reconnecting$/);
    await server.publish('news.eu', `missed ${times}`);
    way.unblock();
    await logged(page, 'Subscribed again: nothing was missed').nth(times - 1).waitFor();
    assert.equal(await page.locator('.chip[aria-busy="false"]').count(), 2);
    await logged(page, `missed ${times}`).waitFor();
  }
  assert.equal(await logged(page, 'Subscribed again: nothing was missed').count(), 2);
  await page.context().close();
});

test('who subscribes without a connection, and changes their mind, is subscribed to the last that they wanted', async (t) => {
  const server = await startServer();
  t.after(server.stop);
  const way = await openWay(server.port);
  t.after(way.close);
  const page = await openPage(browser);
  await openConsole(page, way);
  way.block();
  await status(page, /^Connection lost, reconnecting$/);
  for (const pattern of ['wanted', 'given.up', 'wanted']) {
    await subscribe(page, pattern); // a chip is there at once
    await page.getByText('Waits for the connection').waitFor();
  }
  assert.equal(await page.locator('.chip[aria-busy="true"]').count(), 2);
  await chip(page, 'given.up').click();
  way.unblock();
  await page.locator('.chip[aria-busy="false"]').waitFor();
  await logged(page, 'Subscribed to wanted').waitFor();
  await page.getByText('Waits for the connection').waitFor({ state: 'detached' });
  assert.equal((await server.publish('wanted', 'this')).subscribers, 1);
  assert.equal((await server.publish('given.up', 'that')).subscribers, 0);
  await logged(page, 'this').waitFor();
  assert.equal(await logged(page, 'Subscribed to given.up').count(), 0);
  await page.context().close();
});

test('what is published while there is no connection is sent when there is one again, once', async () => {
  const port = await quietPort();
  const first = await startServer({ port });
  let second;
  try {
    const page = await openPage(browser);
    await page.clock.install();
    await openConsole(page, first);
    await first.stop();
    await status(page, /^Connection lost, reconnecting$/);
    await page.clock.pauseAt(Date.now() + 5000); // it does not come back by itself
    await page.getByLabel('Topic', { exact: true }).fill('news');
    await page.getByLabel('Data', { exact: true }).fill('written in a tunnel');
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
    await page.getByText('Waits for the connection').waitFor();
    second = await startServer({ port });
    await page.getByRole('button', { name: 'Connect now' }).click();
    await page.getByText('Published to news as ').waitFor();
    const { messages } = await (await fetch(`${second.url}/topics/news/messages`)).json();
    assert.deepEqual(messages.map(({ data }) => data), ['written in a tunnel']);
    await page.context().close();
  } finally {
    await first.stop();
    await second?.stop();
  }
});
