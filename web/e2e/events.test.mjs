// A browser's own EventSource: it listens, comes back by itself and goes on where it was.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { quietPort, startServer } from './lib/server.mjs';
import { launch, openPage } from './lib/browser.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** listen opens an EventSource in the page. What it gets is in window.got, in order. */
async function listen(page, server, query) {
  await page.goto(`${server.url}/livez`); // a page of the server's origin that does nothing by itself
  await page.evaluate((url) => {
    window.got = [];
    const events = new EventSource(url);
    const keep = (event) => window.got.push({ ...JSON.parse(event.data), event: event.type, lastEventId: event.lastEventId });
    events.onmessage = keep;
    for (const type of ['ack', 'caught_up', 'notice', 'close']) events.addEventListener(type, keep);
  }, `/events?${query}`);
}

/** until waits for the nth event that is like that, and answers it. */
async function until(page, like, nth = 1) {
  const found = await page.waitForFunction(([want, n]) => window.got
    .filter((event) => Object.entries(want).every(([k, v]) => event[k] === v))[n - 1], [like, nth]);
  return found.jsonValue();
}

const messages = (page) => page.evaluate(() => window.got.filter((event) => event.event === 'message').map((event) => event.data));

test('an EventSource that is cut off comes back and has everything once', async () => {
  const server = await startServer();
  try {
    await server.publish('news.eu', 'before');
    const page = await openPage(browser);
    await listen(page, server, 'topic=news.*&topic=chat&since=all');
    const ack = await until(page, { event: 'ack' });
    assert.equal(ack.recovered, true);
    assert.deepEqual(ack.topics, ['news.*', 'chat']);
    const first = await until(page, { data: 'before' });
    assert.equal(first.lastEventId, first.id, 'the id of the event is that of the message');
    await until(page, { event: 'caught_up' });

    const { clients } = await (await fetch(`${server.url}/clients`)).json();
    assert.deepEqual(clients.map((client) => client.transport), ['sse']);
    await fetch(`${server.url}/clients/${clients[0].id}`, { method: 'DELETE' });
    assert.equal((await until(page, { event: 'close' })).code, 4501);
    for (const data of ['while', 'it', 'was']) await server.publish('chat', data);

    assert.equal((await until(page, { event: 'ack' }, 2)).recovered, true);
    await until(page, { event: 'caught_up' }, 2);
    await server.publish('news.us', 'after\n\ndata: {"forged":true}\r\n\r\n');
    await until(page, { topic: 'news.us' });
    assert.deepEqual(await messages(page), ['before', 'while', 'it', 'was', 'after\n\ndata: {"forged":true}\r\n\r\n']);
    await page.context().close();
  } finally {
    await server.stop();
  }
});

test('an EventSource survives a restart of the server, and is told that the past is gone', async () => {
  const first = await startServer({ port: await quietPort() });
  let second;
  try {
    const page = await openPage(browser);
    await listen(page, first, 'topic=news');
    await until(page, { event: 'ack' });
    await first.publish('news', 'old');
    await until(page, { data: 'old' });

    await first.stop();
    assert.equal((await until(page, { event: 'close' })).code, 1001);
    second = await startServer({ port: first.port });
    const ack = await until(page, { event: 'ack' }, 2);
    assert.equal(ack.recovered, false, 'the log of the new process does not have what the old one had');
    await second.publish('news', 'new');
    await until(page, { data: 'new' });
    assert.deepEqual(await messages(page), ['old', 'new']);
    await page.context().close();
  } finally {
    await first.stop();
    await second?.stop();
  }
});
