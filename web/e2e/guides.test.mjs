// The guides: what they tell their reader to do is done, and it does what they say.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { launch, openPage } from './lib/browser.mjs';
import { readPage, root, serveFiles } from './lib/page.mjs';
import { quietPort, startServer } from './lib/server.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** reading gives a guide, its files in a directory, and the ports that stand for its 8080 and 3000. */
async function reading(t, name) {
  const ports = { 8080: await quietPort(), 3000: await quietPort() };
  const guide = await readPage(`docs/guides/${name}.md`, ports);
  const directory = await mkdtemp(join(tmpdir(), 'fanfare-guide-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await guide.save(directory);
  return {
    ...guide,
    directory,
    site: `http://localhost:${ports[3000]}`,

    /** serve starts a server as the guide's block says, until the end of the test. */
    async serve(command, options) {
      const server = await startServer({ port: ports[8080], command, cwd: root, ...options });
      t.after(() => server.stop());
      return server;
    },

    /** host is the guide's `python3 -m http.server 3000`. */
    async host() {
      const files = await serveFiles(directory, ports[3000]);
      t.after(() => files.stop());
    },

    async open(path, context) {
      const page = await openPage(browser, context);
      t.after(() => page.context().close());
      await page.goto(`http://localhost:${ports[3000]}${path}`);
      return page;
    },
  };
}

/** run runs a program of a guide to its end, and answers its output. */
async function run(program, args, options) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 120_000, ...options });
  const lines = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `${program} ${args.join(' ')} ends well`);
  return lines;
}

/** goRun is `go run ./DIRECTORY` in the clone, with the program where the guide's reader would not leave it. */
const goRun = (directory, file) => run('go', ['run', join(directory, file)], { cwd: root });

const appears = (page, text) => page.getByText(text, { exact: true }).waitFor();

test('quick start', async (t) => {
  const guide = await reading(t, 'quickstart');
  await guide.serve(guide.block('sh', 'make build'));

  const receipts = (await guide.shell(guide.block('sh', 'curl -d hello'))).match(/\{.*?\}/g).map((line) => JSON.parse(line));
  assert.deepEqual(receipts.map(({ topic }) => topic), ['news.eu', 'news.eu', 'news.us', 'news.us']);
  const shown = (await guide.shell(guide.block('sh', "bin/fanfare sub 'news.*'"))).trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(shown.map(({ data }) => data), ['hello', { n: 1 }, 'two', 'three']);
  const { messages } = JSON.parse(await guide.shell(guide.block('sh', "curl 'localhost:")));
  assert.deepEqual(messages.map(({ data }) => data), ['two', 'three']);

  await guide.host();
  const page = await guide.open('/');
  for (const line of ['news.eu: "hello"', 'news.eu: {"n":1}', 'news.us: "three"']) await appears(page, line);

  await mkdir(join(guide.directory, 'node_modules'));
  await symlink(join(root, 'clients/js'), join(guide.directory, 'node_modules/fanfare-client'));
  const expected = ['news.eu "hello"', 'news.eu {"n":1}', 'news.us "two"', 'news.us "three"'];
  const withoutID = (line) => line.slice(line.indexOf(' ') + 1);
  assert.deepEqual((await run('node', ['listen.mjs'], { cwd: guide.directory })).map(withoutID), expected);
  assert.deepEqual((await goRun(guide.directory, 'listen/main.go')).map(withoutID), expected);
});

test('a chat in 30 lines', async (t) => {
  const guide = await reading(t, 'chat');
  const script = guide.block('html', 'chat.html').split('<script type="module">')[1];
  assert.ok(script.trim().split('\n').length <= 31, 'it is 30 lines, and the end of the script');
  await guide.serve(guide.block('sh', 'FANFARE_SERVER_ALLOWED_ORIGINS'));
  await guide.host();

  const ann = await guide.open('/chat.html?name=ann');
  const bob = await guide.open('/chat.html?name=bob');
  for (const page of [ann, bob]) await appears(page, '2 here');
  const say = async (page, text) => {
    await page.getByLabel('Message').fill(text);
    await page.getByLabel('Message').press('Enter');
  };
  await say(ann, 'Hello, Bob');
  await appears(bob, 'ann: Hello, Bob');
  await say(bob, 'Hello, Ann');
  await appears(ann, 'bob: Hello, Ann');

  const late = await guide.open('/chat.html?name=late');
  await appears(late, '3 here');
  await appears(late, 'ann: Hello, Bob');
  await late.context().close();
  await appears(bob, '2 here');
  for (const page of [ann, bob]) assert.deepEqual(page.seen.console, []);
});

test('a live dashboard', async (t) => {
  const guide = await reading(t, 'dashboard');
  const server = await guide.serve(guide.block('sh', 'FANFARE_HISTORY_MAX_MESSAGES_PER_TOPIC'));
  await guide.host();
  await guide.shell(guide.block('sh', 'curl --json'));
  await goRun(guide.directory, 'feed/main.go');

  const page = await guide.open('/dashboard.html');
  const row = (topic) => page.getByRole('row').filter({ hasText: topic }).getByRole('cell').nth(1);
  await page.getByRole('cell', { name: '0.42' }).waitFor();
  await page.getByRole('cell', { name: '1.70' }).waitFor();
  for (const topic of ['load.db1', 'load.db2', 'load.db3']) await row(topic).waitFor();
  assert.equal(await page.getByRole('row').count(), 5, 'a row for each topic');

  await server.publish('load.web1', { load: 99.99 });
  await row('load.web1').filter({ hasText: '99.99' }).waitFor();
  assert.deepEqual(page.seen.console, []);
});

test('notifications for signed-in users', async (t) => {
  const guide = await reading(t, 'notifications');
  const env = { PATH: `${dirname(resolve(process.env.FANFARE_BIN))}:${process.env.PATH}` };
  await guide.shell(guide.block('sh', 'umask'), { cwd: guide.directory, env });
  await guide.serve('fanfare', { cwd: guide.directory, env });

  const site = spawn('node', ['site.mjs'], { cwd: guide.directory, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => site.kill());
  const [line] = await once(createInterface({ input: site.stdout }), 'line');
  assert.equal(line, `${guide.site}/login?as=ada`);

  const ada = await guide.open('/login?as=ada');
  await guide.shell(guide.block('sh', "curl 'http"));
  await appears(ada, 'Your order is on its way');

  // Bob sees nothing of it, even if he asks for it.
  const bob = await guide.open('/login?as=bob');
  const code = await bob.evaluate(async (address) => {
    const { connect } = await import(`${address}/client.js`);
    const client = connect(address, { token: await (await fetch('/token')).text() });
    return client.subscribe('user.ada', { since: 'all' }).ready.then(() => 'ready', (error) => error.code);
  }, guide.block('html', 'inbox.html').match(/http:\/\/localhost:\d+/)[0]);
  assert.equal(code, 'forbidden');

  // Whoever comes back has seen the first, and gets what came meanwhile.
  await ada.goto('about:blank');
  await guide.shell(guide.block('sh', "curl 'http"));
  await guide.shell(guide.block('sh', "curl 'http"));
  await ada.goto(guide.site);
  await ada.getByText('Your order is on its way').nth(1).waitFor();
  assert.equal(await ada.getByText('Your order is on its way').count(), 2);
});

test('CloudEvents', async (t) => {
  const guide = await reading(t, 'cloudevents');
  await guide.serve('bin/fanfare');
  for (const begin of ["curl -H 'Content-Type: application/cloudevents+json", 'curl --json']) {
    assert.equal(JSON.parse(await guide.shell(guide.block('sh', begin))).topic, 'orders');
  }
  const { results } = JSON.parse(await guide.shell(guide.block('sh', "curl -H 'Content-Type: application/cloudevents-batch+json")));
  assert.deepEqual(results.map(({ topic }) => topic), ['orders', 'orders']);

  const shown = (await guide.shell(guide.block('sh', 'bin/fanfare sub'))).trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(shown.map(({ event, data }) => [event.id, event.type, data]), [
    ['A-1', 'order.placed', { total: 12 }], ['A-2', 'order.placed', { total: 7 }], ['A-3', 'order.paid', null], ['A-4', 'order.sent', null],
  ]);
  const { messages } = JSON.parse(await guide.shell(guide.block('sh', "curl 'localhost")));
  assert.deepEqual(messages.map(({ id, subject, data, fanfareid, fanfaretopic }) => [id, subject, data, fanfareid, fanfaretopic]), [
    ['A-1', undefined, { total: 12 }, shown[0].id, 'orders'], ['A-2', undefined, { total: 7 }, shown[1].id, 'orders'],
    ['A-3', undefined, undefined, shown[2].id, 'orders'], ['A-4', 'A-1', undefined, shown[3].id, 'orders'],
  ]);
});

test('tracing', async (t) => {
  const guide = await reading(t, 'tracing');
  const spans = createServer((request, response) => { request.resume(); response.end(); }).listen(0, '127.0.0.1');
  await once(spans, 'listening');
  t.after(() => spans.close());
  const exported = once(spans, 'request');
  const server = await guide.serve(guide.block('sh', 'FANFARE_TRACING_ENDPOINT').replace('4318', spans.address().port));
  const traced = JSON.parse((await guide.shell(guide.block('sh', 'curl -d paid'))).trim().split('\n').at(-1));
  assert.match(traced.traceparent, /^00-4bf92f3577b34da6a3ce929d0e0e4736-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$/, 'the trace of the publisher, the span of the server');
  assert.equal(traced.tracestate, 'vendor=1');
  await server.stop();
  const [{ url }] = await exported;
  assert.equal(url, '/v1/traces');
});

test('from Centrifugo, Mercure or Pusher', async (t) => {
  const guide = await reading(t, 'migrate');
  const server = await guide.serve('bin/fanfare', { env: { FANFARE_SERVER_ALLOWED_ORIGINS: guide.site } });
  await guide.host();

  /** shows opens a page with a piece of the guide, and answers what it has shown once there are so many. */
  const open = async (name, begin = guide.block('js', 'begin')) => {
    const code = `${begin}\nwindow.shown = [];\nconst show = (data) => shown.push(data);\n${guide.block('js', name)}\nwindow.done = true;`;
    await writeFile(join(guide.directory, `${name}.html`), `<!doctype html><meta charset="utf-8"><title>x</title><script type="module">${code}</script>`);
    const page = await guide.open(`/${name}.html`);
    await page.waitForFunction(() => window.done);
    return page;
  };
  const shows = async (page, ...want) => {
    await page.waitForFunction((n) => window.shown.length >= n, want.length);
    assert.deepEqual(await page.evaluate(() => window.shown), want);
  };
  const subscribers = async (topic, n) => {
    while ((await (await fetch(`${server.url}/clients?topic=${topic}`)).json()).clients.length < n) await new Promise(setImmediate);
  };

  await shows(await open('centrifugo'), { n: 1 });

  const mercure = await open('mercure', '');
  await subscribers('books.1', 1);
  await guide.shell(guide.block('sh', 'mercure'));
  await shows(mercure, { stock: 3 });

  const pusher = await open('pusher');
  await subscribers('orders.created', 1);
  const logged = pusher.waitForEvent('console');
  await guide.shell(guide.block('sh', 'pusher'));
  await shows(pusher, { id: 7 });
  assert.equal((await logged).text(), 'orders.created {id: 7}');
});
