// The form that publishes: it knows JSON, and what was published before.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './lib/server.mjs';
import { assertClean, launch, logged, openConsole, openPage, publish, subscribe } from './lib/browser.mjs';
import { isJSON, locate, parse, pretty } from '../console/json.js';

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('it says what will be sent, where JSON is wrong, and formats it', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'kinds');
  const data = page.getByLabel('Data', { exact: true });
  const kind = page.locator('#kind');
  await data.fill('just words');
  assert.equal(await kind.textContent(), 'text');
  await data.fill('{"a": 1,\n "b": }');
  await page.getByText('Not JSON, so it goes as text: line 2, column 7 should be a value.').waitFor();
  await data.fill('{"id":12345678901234567890,"list":["a text that is quite long","and another one"],"price":1.10}');
  assert.equal(await kind.textContent(), 'JSON');
  await page.getByRole('button', { name: 'Format' }).click();
  assert.equal(await data.inputValue(),
    '{\n  "id": 12345678901234567890,\n  "list": [\n    "a text that is quite long",\n    "and another one"\n  ],\n  "price": 1.10\n}');
  await page.getByRole('button', { name: 'Format' }).waitFor({ state: 'hidden' });

  await page.getByLabel('Topic', { exact: true }).fill('kinds');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText('Published to kinds as ').waitFor();
  const text = await (await fetch(`${server.url}/topics/kinds/messages`)).text();
  assert.ok(text.includes('"data":{"id":12345678901234567890,"list":["a text that is quite long","and another one"],"price":1.10}'), text);
  assertClean(page, server);
  await page.context().close();
});

test('what was published comes back with arrow up, and from a list, after a reload too', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await publish(page, 'first', 'one');
  await publish(page, 'second', '{"n":2}');
  await page.reload();
  const data = page.getByLabel('Data', { exact: true });
  const topic = page.getByLabel('Topic', { exact: true });
  const form = async () => [await topic.inputValue(), await data.inputValue()];
  await data.fill('');
  await data.press('ArrowUp');
  assert.deepEqual(await form(), ['second', '{"n":2}']);
  await data.press('ArrowUp');
  assert.deepEqual(await form(), ['first', 'one']);
  await data.press('ArrowUp');
  assert.deepEqual(await form(), ['first', 'one'], 'there is nothing before it');
  await data.press('ArrowDown');
  await data.press('ArrowDown');
  assert.equal(await data.inputValue(), '', 'and behind the newest is what was there');

  await page.getByRole('button', { name: 'Recent' }).click();
  const dialog = page.getByRole('dialog', { name: 'Recent publishes' });
  await dialog.getByRole('button', { name: /^first/ }).click();
  assert.deepEqual(await form(), ['first', 'one']);
  await page.getByRole('button', { name: 'Recent' }).click();
  await dialog.getByRole('button', { name: 'Forget all' }).click();
  await dialog.getByText('Nothing yet.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await page.reload();
  await page.getByRole('button', { name: 'Recent' }).click();
  await dialog.getByText('Nothing yet.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await publish(page, 'long', 'x'.repeat(30_000));
  await page.getByRole('button', { name: 'Recent' }).click();
  await dialog.getByText('Nothing yet.').waitFor(); // what is as long as that is not kept
  assertClean(page, server);
  await page.context().close();
});

test('a browser that keeps nothing for pages shows all the same', async () => {
  const page = await openPage(browser);
  await page.addInitScript(() => {
    for (const name of ['localStorage', 'sessionStorage']) {
      Object.defineProperty(globalThis, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
    }
  });
  await openConsole(page, server);
  await subscribe(page, 'unkept');
  await publish(page, 'unkept', 'hello');
  await logged(page, 'hello').waitFor();
  await page.getByRole('button', { name: 'Colours: system' }).click();
  await page.getByRole('button', { name: 'Colours: light' }).waitFor();
  assertClean(page, server);
  await page.context().close();
});

test('who writes by an input method publishes nothing by choosing a word', async () => {
  const page = await openPage(browser);
  await openConsole(page, server);
  await subscribe(page, 'words');
  await page.getByLabel('Topic', { exact: true }).fill('words');
  const data = page.getByLabel('Data', { exact: true });
  await data.fill('nihao');
  await data.dispatchEvent('keydown', { key: 'Enter', isComposing: true });
  await publish(page, 'words', '你好');
  await logged(page, '你好').waitFor();
  await page.getByText('1 message', { exact: true }).waitFor();
  assert.equal(await logged(page, 'nihao').count(), 0);
  await page.context().close();
});

test('where JSON stops to be JSON is found, and only there', () => {
  for (const [text, line, column, expected] of [
    ['{"a":1,}', 1, 8, 'a name in double quotes'],
    ['[1 2]', 1, 4, 'a comma or ]'],
    ['{"a" 1}', 1, 6, 'a colon'],
    ["{'a':1}", 1, 2, 'a name in double quotes'],
    ['[1,\n  2,\n  tru]', 3, 3, 'a value'],
    ['{"a":1', 1, 7, 'a comma or }'],
    ['[01]', 1, 3, 'a comma or ]'],
    ['{"a":1} x', 1, 9, 'nothing more'],
    ['["a\nb"]', 1, 2, 'a string that ends on its line, with \\ only before what may follow it'],
    ['', 1, 1, 'a value'],
  ]) {
    const { line: l, column: c, expected: e } = locate(text);
    assert.deepEqual([l, c, e], [line, column, expected], text);
  }
  // It has to agree with the browser about every text: here are many, that are JSON but for a change or two.
  const seed = Date.now();
  let state = seed;
  const random = (n) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * n);
  };
  const good = ['{"a":[1,-2.5e+3,true,null,"x\\u00e4\\n"],"b":{"c":{}}}', '[[],{},"",0]', ' "text" ', '-0.5', 'null'];
  const pieces = [...'{}[]:,"\\ \n-+.eE01ant\u0001', 'true', '\\u12', '"a"'];
  for (let i = 0; i < 20_000; i++) {
    let text = good[random(good.length)];
    for (let changes = random(3); changes >= 0; changes--) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + (random(2) ? pieces[random(pieces.length)] : '') + text.slice(at + random(2));
    }
    assert.equal(locate(text) === undefined, isJSON(text), `seed ${seed}: ${JSON.stringify(text)}`);
  }
  const deep = '['.repeat(100_000);
  assert.equal(locate(deep).column, 100_001);
});

test('pretty and parse change no value', () => {
  const value = { list: Array.from({ length: 30 }, (_, i) => ({ i, text: 'x'.repeat(i) })), '': null, nested: [[[['deep']]]] };
  assert.deepEqual(parse(pretty(value)), value);
});
