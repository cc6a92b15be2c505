// Topics, clients and how busy the server is: tables that keep themselves up to date, and what can be done to what is in them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from './lib/client.mjs';
import { quietPort, startServer } from './lib/server.mjs';
import { assertClean, chip, launch, logged, openConsole, openPage, row, view } from './lib/browser.mjs';

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('topics come and change while one looks, and one leads to its messages', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await view(page, 'Topics');
  await server.publish('watched.a', 'one');
  await row(page, 'watched.a').waitFor();
  const link = await page.getByRole('link', { name: 'watched.a' }).elementHandle();
  await server.publish('watched.a', 'two');
  await server.publish('watched.b', 'other');
  await row(page, 'watched.b').waitFor();
  const cells = row(page, 'watched.a').getByRole('cell');
  await cells.filter({ hasText: /^2$/ }).waitFor();
  assert.ok(await link.isVisible(), 'the row is the same, so that nobody loses their place in it');

  await page.getByLabel('Only topics that match the pattern').fill('watched.b');
  await row(page, 'watched.a').waitFor({ state: 'detached' });
  await page.getByLabel('Only topics that match the pattern').fill('no.such');
  await page.getByText('No topic matches the pattern.').waitFor();
  await page.getByLabel('Only topics that match the pattern').fill('a..b');
  await page.getByText(/^invalid_topic: /).waitFor();
  await page.getByLabel('Only topics that match the pattern').fill('');
  await page.getByRole('button', { name: 'Subscribe to watched.a' }).click();
  await chip(page, 'watched.a').waitFor();
  await server.publish('watched.a', 'three');
  await logged(page, 'three').waitFor();
  assertClean(page, server, 400);
  await page.context().close();
});

test('one topic: history and presence live, subscribe, purge', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  const name = 'room/42.a%b';
  await page.goto(`${server.url}/#/topics/${encodeURIComponent(name)}`);
  await page.getByRole('heading', { name }).waitFor();
  await page.getByText('No message is kept.').waitFor();
  await page.getByText('Nobody is subscribed to this very topic.').waitFor();

  await server.publish(name, { big: 1 });
  await row(page, '{ "big": 1 }').waitFor();
  const member = await connect(server.ws);
  await member.subscribe(name);
  await row(page, member.welcome.client_id).waitFor();
  await page.getByText('1 client', { exact: true }).waitFor();
  await page.getByText('1 subscriber, 1 message kept').waitFor();
  await member.close();
  await row(page, member.welcome.client_id).waitFor({ state: 'detached' });

  await page.getByRole('button', { name: 'Purge…' }).click();
  await page.getByRole('dialog', { name: `Purge ${name}?` }).getByRole('button', { name: 'Cancel' }).click();
  await row(page, '{ "big": 1 }').waitFor();
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await logged(page, '{ "big": 1 }').waitFor(); // it begins with what is kept
  await page.goBack();
  await page.getByRole('button', { name: 'Purge…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Purge', exact: true }).click();
  await page.getByText(`Purged ${name}`).waitFor();
  await page.getByText('No message is kept.').waitFor();
  const { messages } = await (await fetch(`${server.url}/topics/${encodeURIComponent(name)}/messages`)).json();
  assert.deepEqual(messages, []);

  await page.getByRole('button', { name: 'Publish…' }).click();
  assert.equal(await page.getByLabel('Topic', { exact: true }).inputValue(), name);
  assertClean(page, server);
  await page.context().close();
});

test('clients come, are found, and are disconnected', async () => {
  const page = await openPage(browser);
  const own = await openConsole(page, server);
  await view(page, 'Clients');
  await row(page, own).getByText('this page').waitFor();
  const client = await connect(server.ws);
  await client.subscribe('found.*');
  client.send({ action: 'subscribe', topics: ['a', 'b', 'c', 'd', 'e', 'f'], ref: 1 });
  const mine = row(page, client.welcome.client_id);
  await mine.getByText(/ {2}and 2 more$/).waitFor();
  await page.getByLabel('Only clients that a message to this topic reaches').fill('found.me');
  await row(page, own).waitFor({ state: 'detached' });
  await page.getByText('1 client', { exact: true }).waitFor();

  await mine.getByRole('button', { name: `Disconnect… ${client.welcome.client_id}` }).click();
  await page.getByRole('dialog', { name: 'Disconnect this client?' }).getByRole('button', { name: 'Disconnect', exact: true }).click();
  assert.equal((await client.closed).code, 4501);
  await page.getByText(`Disconnected ${client.welcome.client_id}`).waitFor();
  await mine.waitFor({ state: 'detached' });
  await page.getByText('No such client.').waitFor();

  // A row that goes takes no focus with it.
  await page.getByLabel('Only clients that a message to this topic reaches').fill('');
  const guest = await connect(server.ws);
  await page.getByRole('button', { name: `Disconnect… ${guest.welcome.client_id}` }).focus();
  await guest.close();
  await row(page, guest.welcome.client_id).waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-labelledby')), 'clients-title');
  assertClean(page, server);
  await page.context().close();
});

test('of many there is a part, and it is said so', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  const messages = (from, to) => Array.from({ length: to - from }, (_, i) => ({ topic: `many.${String(from + i).padStart(4, '0')}`, data: 1 }));
  for (const [from, to] of [[0, 1000], [1000, 1100]]) {
    await fetch(`${server.url}/publish`, { method: 'POST', body: JSON.stringify({ messages: messages(from, to) }) });
  }
  await view(page, 'Topics');
  await page.getByLabel('Only topics that match the pattern').fill('many.*');
  await page.getByText('100 topics of more').waitFor();
  await page.getByText('These are the first 100.').waitFor();
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByText('500 topics of more').waitFor();
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByText('These are the first 1,000. Narrow them with the filter.').waitFor();
  assert.equal(await row(page, 'many.').count(), 1000);
  await page.getByLabel('Only topics that match the pattern').fill('many.1042');
  await page.getByText('1 topic', { exact: true }).waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('activity: what the server says of itself, and how it changes', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await view(page, 'Activity');
  const tile = (name) => page.locator('.tile', { hasText: name }).locator('dd');
  await tile('Published').waitFor();
  const before = Number((await tile('Published').textContent()).replaceAll(',', ''));
  for (let n = 0; n < 20; n++) await server.publish('busy', n);
  await tile('Published').and(page.getByText((before + 20).toLocaleString('en'), { exact: true })).waitFor();
  // The text for who does not see the chart.
  await page.getByRole('img', { name: /^Messages per second over the last minutes\. Published now .+, at most [1-9].*\. Delivered now / }).waitFor();
  await page.getByRole('img', { name: /^Clients over the last minutes\. WebSocket now 1, at most 1\. SSE now 0/ }).waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('a tab that nobody sees asks for nothing, and is up to date when somebody does', async () => {
  const page = await openPage(browser);
  await page.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, 'hidden', { get: () => hidden });
    globalThis.hide = (is) => {
      hidden = is;
      document.dispatchEvent(new Event('visibilitychange'));
    };
  });
  await page.clock.install();
  await openConsole(page, server);
  await view(page, 'Topics');
  await row(page, 'a.unseen').waitFor({ state: 'detached' });
  await page.evaluate('hide(true)');
  const asked = () => page.seen.urls.filter((url) => url.includes('/topics?')).length;
  await page.clock.runFor('00:10'); // the question that was under way, if there was one, is answered
  const before = asked();
  await server.publish('a.unseen', 'one');
  await page.clock.runFor('01:00');
  assert.equal(asked(), before);
  await page.evaluate('hide(false)');
  await row(page, 'a.unseen').waitFor();
  await page.context().close();
});

test('another process counts anew, and nothing is below zero', async () => {
  const first = await startServer({ port: await quietPort() });
  let second;
  const page = await openPage(browser);
  try {
    await first.publish('counted', 'one');
    await openConsole(page, first);
    await view(page, 'Activity');
    const published = page.locator('.tile', { hasText: 'Published' }).locator('dd');
    await published.and(page.getByText('1', { exact: true })).waitFor();
    await first.stop();
    second = await startServer({ port: first.port });
    await published.and(page.getByText('0', { exact: true })).waitFor();
    await second.publish('counted', 'again');
    await published.and(page.getByText('1', { exact: true })).waitFor();
    const drawn = await page.locator('#chart-rates .plot .series-1').getAttribute('d');
    const heights = [...drawn.matchAll(/[ML]\S+ ([\d.]+)/g)].map(([, y]) => Number(y));
    assert.ok(heights.length > 0 && Math.max(...heights) <= 200, drawn); // 200 is the ground
  } finally {
    await first.stop();
    await second?.stop();
    await page.context().close();
  }
});

test('the tables say so when the server is away, and go on when it is back', async () => {
  const own = await startServer();
  const page = await openPage(browser);
  try {
    await openConsole(page, own);
    await view(page, 'Topics');
    await page.getByText('No topic has a subscriber or a message yet.').waitFor();
  } finally {
    await own.stop();
  }
  await page.getByText('The server does not answer. What is here is not up to date.').waitFor();
  const again = await startServer({ port: own.port });
  try {
    await again.publish('back', 'again');
    await row(page, 'back').waitFor();
    await page.getByText('The server does not answer.').waitFor({ state: 'hidden' });
  } finally {
    await again.stop();
    await page.context().close();
  }
});

test('the colours are the system\'s, or those that somebody chose', async () => {
  const page = await openPage(browser, { colorScheme: 'dark' });
  await openConsole(page, server);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByRole('button', { name: 'Colours: system' }).click();
  await page.getByRole('button', { name: 'Colours: light' }).waitFor();
  const light = await ground();
  assert.notEqual(light, dark);
  await page.reload();
  assert.equal(await ground(), light, 'it is remembered');
  await page.getByRole('button', { name: 'Colours: light' }).click();
  assert.equal(await ground(), dark);
  await page.getByRole('button', { name: 'Colours: dark' }).click();
  await page.getByRole('button', { name: 'Colours: system' }).waitFor();
  assertClean(page, server);
  await page.context().close();
});
