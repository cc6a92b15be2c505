// What the console offers to copy does what the console does: it is run here, as somebody would who pastes it.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { connect } from './lib/client.mjs';
import { root } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';
import { launch, logged, openConsole, openPage, row, subscribe, view } from './lib/browser.mjs';

const run = promisify(execFile);

let server, browser, page, directory;
before(async () => {
  server = await startServer();
  browser = await launch();
  page = await openPage(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
  await openConsole(page, server);
  directory = await mkdtemp(join(tmpdir(), 'fanfare-snippets-'));
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  await writeFile(join(directory, 'client.js'), await (await fetch(`${server.url}/client.js`)).text());
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** copied opens what a button offers, and answers the code of each language, as the clipboard has it. */
async function copied(button) {
  await button.click();
  const dialog = page.getByRole('dialog').filter({ has: page.getByRole('group', { name: 'Language' }) });
  const code = {};
  for (const [name, language] of [['curl', 'curl'], ['javascript', 'JavaScript'], ['go', 'Go']]) {
    await dialog.getByText(language, { exact: true }).click();
    await dialog.getByRole('button', { name: 'Copy', exact: true }).click();
    await dialog.getByText('Copied', { exact: true }).waitFor(); // behind the dialog nobody would see or hear it
    code[name] = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(code[name], await dialog.getByLabel('Code').textContent());
  }
  await dialog.getByRole('button', { name: 'Close' }).click();
  return code;
}

const button = (name) => page.getByRole('button', { name, exact: true });

const shell = async (code) => (await run('sh', ['-c', `${code} -sS`], { cwd: directory, timeout: 30_000 })).stdout;

async function node(code) {
  await writeFile(join(directory, 'snippet.js'), code);
  // Node 20 has no WebSocket of its own, and the client then takes the other way.
  return (await run(process.execPath, ['snippet.js'], { cwd: directory, timeout: 30_000 })).stdout;
}

// Node 20 has no JSON.rawJSON either, which keeps the digits of large numbers.
const inBrowser = (code) =>
  page.evaluate(`(async () => { ${code.replace(/^import .*$/m, "const { connect } = await import('/client.js');")} })()`);

/** gofmt fails on what is no Go, and says what it would write otherwise. */
async function gofmt(code) {
  const file = join(directory, 'snippet.go');
  await writeFile(file, code);
  assert.equal((await run('go', ['fmt', '-n', file])).stderr, '');
  const { stdout } = await run('gofmt', ['-d', file]);
  assert.equal(stdout, '', `it is formatted:\n${code}`);
  return file;
}

// It knows the client from our own module, whose directory it is in.
const goRun = async (code) => (await run('go', ['run', await gofmt(code)], { cwd: root, timeout: 120_000 })).stdout;

const history = async (topic) =>
  (await (await fetch(`${server.url}/topics/${encodeURIComponent(topic)}/messages`)).text());

// What a shell, a URL and three languages take for something else.
const topic = 'it\'s.a"b`$HOME/%2F\\n?#&=!.é';
const texts = {
  text: 'it\'s $HOME `id` "quoted" \\ @file !x\n\tand a second line',
  json: '{"it\'s": "$HOME `id`", "__proto__": [1e3, 12345678901234567890, 1.10], "a\\"b\\\\": null}',
  'a number': '12345678901234567890',
  'text that could be JSON': '"123"',
  'not even a file': '@/etc/hostname',
};

for (const [name, text] of Object.entries(texts)) {
  test(`publish ${name}`, async () => {
    await page.getByLabel('Topic', { exact: true }).fill(topic);
    await page.getByLabel('Data', { exact: true }).fill(text);
    const code = await copied(button('Copy as… (publish)'));
    await button('Publish').click();
    await page.getByText(`Published to ${topic} as `).waitFor();
    await shell(code.curl);
    await inBrowser(code.javascript);
    await goRun(code.go);
    const data = [...(await history(topic)).matchAll(/"data":(.*?),"time":/g)].map(([, one]) => one);
    assert.deepEqual(data, Array(4).fill(data[0]));
    await fetch(`${server.url}/topics/${encodeURIComponent(topic)}/messages`, { method: 'DELETE' });
  });
}

test('subscribe', async () => {
  await server.publish('listen.a', 'kept');
  await page.getByLabel('Begin').selectOption('with all that is kept');
  await subscribe(page, 'listen.* it\'s.>');
  await logged(page, 'kept').waitFor();
  const code = await copied(button("Copy as… (subscribe to listen.* it's.>)"));
  const curl = spawn('sh', ['-c', `exec ${code.curl} -sS`], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const text of curl.stdout.setEncoding('utf8')) {
    output += text;
    if (output.includes('"data":"kept"')) break;
  }
  curl.kill();
  assert.match(output, /"topics":\["listen\.\*","it's\.>"\].*\n.*"data":"kept"/);
  const first = (line) => `${line}\n\t\tbreak`;
  assert.match(await goRun(code.go.replace(/^\t\tfmt\.Println.*$/m, first)), /^listen\.a "kept"$/m);
  assert.match(await node(code.javascript.replace('message.data);', 'message.data);\n  break;') + 'fanfare.close();'), /^listen\.a kept$/m);
});

test('it can be copied over plain HTTP, too, where a page has no clipboard of its own', async () => {
  const other = await openPage(browser);
  await other.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await openConsole(other, server);
  await other.getByRole('button', { name: 'Copy as… (subscribe)', exact: true }).click();
  const code = await other.getByLabel('Code').textContent();
  const copy = other.getByRole('dialog').getByRole('button', { name: 'Copy', exact: true });
  await copy.click();
  await other.getByText('Copied', { exact: true }).waitFor();
  assert.ok(await copy.evaluate((e) => e === document.activeElement), 'the focus stays where it was');
  await other.keyboard.press('Escape');
  await other.getByLabel('Data', { exact: true }).press('ControlOrMeta+v');
  assert.equal(await other.getByLabel('Data', { exact: true }).inputValue(), code);
  await other.context().close();
});

test('list, history, presence, purge and disconnect', async () => {
  await server.publish('kept.a', 'one of it');
  const client = await connect(server.ws);
  await client.subscribe('kept.a');

  await view(page, 'Topics');
  await row(page, 'kept.a').waitFor();
  let code = await copied(button('Copy as… (list topics)'));
  for (const output of [await shell(code.curl), await node(code.javascript), await goRun(code.go)]) assert.match(output, /"name":"kept\.a"/);

  await page.getByRole('link', { name: 'kept.a' }).click();
  await row(page, 'one of it').waitFor();
  code = await copied(button('Copy as… (history)'));
  for (const output of [await shell(code.curl), await node(code.javascript), await goRun(code.go)]) assert.match(output, /"data":"one of it"/);
  code = await copied(button('Copy as… (presence)'));
  for (const output of [await shell(code.curl), await goRun(code.go)]) assert.match(output, new RegExp(client.welcome.client_id));
  code = await copied({ click: async () => {
    await button('Purge…').click();
    await button('Copy as…').click();
  } });
  await goRun(code.go);
  assert.doesNotMatch(await history('kept.a'), /one of it/);
  await server.publish('kept.a', 'one of it');
  await shell(code.curl);
  assert.doesNotMatch(await history('kept.a'), /one of it/);

  await view(page, 'Clients');
  await row(page, client.welcome.client_id).waitFor();
  code = await copied({ click: async () => {
    await button(`Disconnect… ${client.welcome.client_id}`).click();
    await button('Copy as…').click();
  } });
  assert.match(await goRun(code.go), /^20\d /);
  assert.equal((await client.closed).code, 4501);
  await view(page, 'Activity');
  code = await copied(button('Copy as… (metrics)'));
  assert.match(await shell(code.curl), /^fanfare_clients/m);
});
