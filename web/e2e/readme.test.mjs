// The README's five minutes, as a newcomer does them: its commands are run as they stand there, but for the port.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { chip, greeting, launch, logged, openConsole, openPage, subscribe } from './lib/browser.mjs';
import { readPage, root } from './lib/page.mjs';
import { quietPort, startServer } from './lib/server.mjs';

test('the five minutes of the README', async (t) => {
  const began = performance.now();
  const port = await quietPort();
  const readme = await readPage('README.md', { 8080: port });
  const directory = await mkdtemp(join(tmpdir(), 'fanfare-readme-')); // or it would be the data of whoever works here
  const start = (command) => startServer({ port, command, cwd: root, env: { FANFARE_NATS_STORE_DIR: directory } });

  let server = await start(readme.block('sh', 'make run\n'));
  const browser = await launch();
  try {
    const page = await openPage(browser);
    await openConsole(page, server);
    await subscribe(page, 'news');

    const receipts = (await readme.shell(readme.block('sh', "curl -d 'hello'"))).match(/\{.*?\}/g).map((line) => JSON.parse(line));
    const promised = JSON.parse(readme.block('json', '{"id"'));
    assert.equal(receipts.length, 4);
    for (const receipt of receipts) {
      assert.deepEqual(Object.keys(receipt), Object.keys(promised), 'a receipt is what the README says');
      await logged(page, receipt.id).waitFor();
    }
    for (const data of ['hello', '{ "n": 1 }', 'a', 'b']) await logged(page, data).waitFor();

    assert.equal(await readme.shell(readme.block('sh', 'bin/fanfare sub news --last 2')), '"a"\n"b"\n');

    const printed = [];
    page.on('console', (message) => printed.push(message.text()));
    await page.evaluate(`(async () => { ${readme.block('js', "const { connect } = await import('/client.js')")} })()`);
    await logged(page, 'from the browser').waitFor();
    while (printed.length < 3) await page.waitForEvent('console');
    assert.deepEqual(printed, ['a', 'b', 'from the browser']);

    await server.stop();
    await page.getByRole('status').filter({ hasText: 'Connection lost' }).waitFor();
    server = await start(readme.block('sh', 'FANFARE_ENGINE=nats FANFARE_NATS_EMBEDDED=true make run'));
    await greeting(page, 2);
    await chip(page, 'news').waitFor();
    await server.publish('news', 'again');
    await logged(page, 'again').waitFor();
    t.diagnostic(`it took ${((performance.now() - began) / 1000).toFixed(1)} s`);
  } finally {
    await browser.close();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
