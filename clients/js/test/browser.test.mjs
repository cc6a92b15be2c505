// In a browser: with its own WebSocket, its own fetch, and the client that the server hands out.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch, openPage } from '../../../web/e2e/lib/browser.mjs';
import { startServer } from '../../../web/e2e/lib/server.mjs';
import { openWay } from './lib/way.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** listen has a page import the client and keep what it is given in window.got. */
const listen = (page, module, options) => page.evaluate(async ([from, more]) => {
  const { connect } = await import(from);
  window.got = [];
  window.connections = 0;
  window.client = connect(...more);
  window.client.addEventListener('connected', ({ detail }) => { window.connections++; window.transport = detail.transport; });
  const { ready } = window.client.subscribe('news.*', {
    onMessage: ({ data }) => window.got.push(data),
    onLost: () => window.got.push('lost'),
  });
  await ready;
}, [module, options]);

const until = (page, count) => page.waitForFunction((n) => window.got.length >= n, count);

for (const transport of ['websocket', 'sse']) {
  test(`a page gets everything once, however often it is cut off, over ${transport}`, async (t) => {
    const server = await startServer();
    t.after(server.stop);
    const way = await openWay(server.port);
    t.after(way.close);
    const page = await openPage(browser);
    t.after(() => page.context().close());
    await page.goto(`${way.url}/livez`); // a page of the server's origin that does nothing by itself
    await listen(page, '/client.js', [{ transports: [transport] }]);
    for (let round = 1; round <= 5; round++) {
      for (let n = 1; n <= 20; n++) await server.publish('news.eu', 20 * (round - 1) + n);
      await until(page, 20 * (round - 1) + 10 * (round % 3));
      way.cut();
      await page.waitForFunction((times) => window.connections > times, round);
    }
    await page.evaluate(() => window.client.publish('news.eu', 101));
    await until(page, 101);
    assert.deepEqual(await page.evaluate(() => window.got), Array.from({ length: 101 }, (_, n) => n + 1));
  });

  test(`a page of an allowed origin imports the client, and uses it over ${transport}`, async (t) => {
    const elsewhere = createServer((request, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html>'));
    elsewhere.listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    t.after(() => elsewhere.close());
    const origin = `http://localhost:${elsewhere.address().port}`;
    const server = await startServer({ env: { FANFARE_SERVER_ALLOWED_ORIGINS: origin } });
    t.after(server.stop);
    const page = await openPage(browser);
    t.after(() => page.context().close());
    await page.goto(origin);
    await listen(page, `${server.url}/client.js`, [server.url, { transports: [transport], token: 'needs a preflight' }]);
    await page.evaluate(() => window.client.publish('news.eu', { from: 'elsewhere' }));
    await until(page, 1);
    assert.deepEqual(await page.evaluate(() => [window.got, window.transport]), [[{ from: 'elsewhere' }], transport]);
  });
}

test('where no WebSocket gets through, the page falls back to HTTP', async (t) => {
  const server = await startServer();
  t.after(server.stop);
  const page = await openPage(browser);
  t.after(() => page.context().close());
  await page.addInitScript(() => {
    const { WebSocket } = window;
    window.WebSocket = class extends WebSocket {
      constructor(url) { super(url.replace('/ws', '/livez')); } // what answers, but is no WebSocket
    };
  });
  await page.goto(`${server.url}/livez`);
  await listen(page, '/client.js', []);
  await server.publish('news.eu', 'over HTTP');
  await until(page, 1);
  assert.equal(await page.evaluate(() => window.transport), 'sse');
});
