// A page of another origin must not reach the server through its visitor's browser, unless its origin is an allowed one.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { connect } from './lib/client.mjs';
import { launch, openPage } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';

// These names lead to this machine: one of an attacker, who may have pointed it here, and one of somebody we trust.
const evil = 'evil.test';
const friend = 'friend.test';

let site, server, browser;
before(async () => {
  site = await serve('127.0.0.1');
  server = await startServer({ env: {
    FANFARE_LOG_LEVEL: 'debug', // it tells of every request
    FANFARE_SERVER_ALLOWED_ORIGINS: `http://${friend}:${site.port}`,
  } });
  browser = await launch(`--host-resolver-rules=MAP ${evil} 127.0.0.1, MAP ${friend} 127.0.0.1, MAP *.${friend} 127.0.0.1`);
  await server.publish('secret', 'told to nobody');
});
after(async () => {
  await browser?.close();
  await server?.stop();
  site?.close();
});

/** serve is another site, whose pages do nothing by themselves; those at /sandbox have the origin "null". */
async function serve(address) {
  const http = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    if (request.url === '/sandbox') response.setHeader('Content-Security-Policy', 'sandbox allow-scripts allow-forms');
    response.end('<!doctype html><link rel=icon href="data:,"><title>elsewhere</title><body>elsewhere</body>');
  });
  http.listen(0, address);
  await once(http, 'listening');
  return {
    port: http.address().port,
    close() {
      http.close();
      http.closeAllConnections();
    },
  };
}

// attack runs in the page. It tries all ways to publish and to read, and answers what the page got to see. Each way has a
// topic of its own, so that the server's log tells them apart.
const attack = async (url) => {
  const saw = {};
  const publish = (way, options) => fetch(`${url}/topics/by.${way}/publish`, { method: 'POST', body: '"x"', ...options })
    .then((response) => (response.ok ? 'receipt' : 'nothing'), () => 'nothing');
  saw.json = await publish('json', { headers: { 'Content-Type': 'application/json' } });
  saw.text = await publish('text', { headers: { 'Content-Type': 'text/plain' } });
  await publish('no-cors', { headers: { 'Content-Type': 'text/plain' }, mode: 'no-cors' });
  navigator.sendBeacon(`${url}/topics/by.beacon/publish`, 'x');
  saw.socket = await new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    socket.onopen = () => socket.send('{"action":"publish","topic":"by.socket","data":"x","ref":1}');
    socket.onmessage = ({ data }) => { if (JSON.parse(data).type === 'ack') resolve('ack'); };
    socket.onclose = () => resolve('nothing');
  });

  saw.topics = await fetch(`${url}/topics?pattern=secret`)
    .then((response) => response.json()).then((list) => list.topics[0].name).catch(() => 'nothing');
  saw.events = await new Promise((resolve) => {
    const events = new EventSource(`${url}/events?topic=secret&since=all`);
    const end = (what) => {
      events.close();
      resolve(what);
    };
    events.onmessage = ({ data }) => end(JSON.parse(data).data);
    events.onerror = () => end('nothing');
  });
  for (const name of ['img', 'script', 'iframe']) {
    const element = document.createElement(name);
    element.src = `${url}/topics/by.${name}/messages`;
    const loaded = new Promise((resolve) => { element.onload = element.onerror = resolve; });
    document.body.append(element);
    await loaded;
  }
  return saw;
};

// submit leaves the page by a form, whose text happens to be JSON.
const submit = (url) => {
  const form = document.createElement('form');
  form.method = 'POST';
  form.action = `${url}/topics/by.form/publish`;
  form.enctype = 'text/plain';
  const field = document.createElement('input');
  field.name = '{"by';
  field.value = 'form"}';
  form.append(field);
  document.body.append(form);
  form.submit();
};

const ways = {
  json: '/topics/by.json/publish',
  text: '/topics/by.text/publish',
  noCORS: '/topics/by.no-cors/publish',
  beacon: '/topics/by.beacon/publish',
  form: '/topics/by.form/publish',
  socket: '/ws',
  topics: '/topics',
  events: '/events',
  img: '/topics/by.img/messages',
  script: '/topics/by.script/messages',
  iframe: '/topics/by.iframe/messages',
};

/** assail does it all from the page; it answers what the page saw, and with what statuses the server answered each way. */
async function assail(page, url = server.url) {
  const begin = server.log.length;
  const saw = await page.evaluate(attack, url);
  await page.evaluate(submit, url);
  // Of answers that a page must not see, the browser tells nothing: the server's log does.
  for (let patience = 1000; ; patience--) {
    const requests = server.log.slice(begin).map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request_handled');
    const statuses = Object.fromEntries(Object.entries(ways).map(([way, path]) =>
      [way, requests.filter((request) => request.path === path).map(({ status }) => status)]));
    if (Object.values(statuses).every((list) => list.length > 0)) return { saw, statuses };
    assert.ok(patience > 0, `not all requests were answered: ${JSON.stringify(statuses)}`);
    await pause(30);
  }
}

async function topics() {
  const response = await fetch(`${server.url}/topics`);
  return (await response.json()).topics.map(({ name }) => name);
}

beforeEach(async () => {
  for (const name of await topics()) {
    if (name !== 'secret') await fetch(`${server.url}/topics/${name}/messages`, { method: 'DELETE' });
  }
});

const everything = { json: 'receipt', text: 'receipt', socket: 'ack', topics: 'secret', events: 'told to nobody' };
const published = ['by.beacon', 'by.form', 'by.json', 'by.no-cors', 'by.socket', 'by.text', 'secret'];

test('a page of the own origin may do it all, so the attack is a real one', async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/livez`); // the console lets no form go anywhere
  const { saw, statuses } = await assail(page);
  assert.deepEqual(saw, everything);
  for (const [way, list] of Object.entries(statuses)) assert.deepEqual(list, [way === 'socket' ? 101 : 200], way);
  assert.deepEqual(await topics(), published);
  await page.context().close();
});

test('a page of an allowed origin may do the same, by CORS', async () => {
  const page = await openPage(browser);
  await page.goto(`http://${friend}:${site.port}/`);
  const { saw, statuses } = await assail(page);
  assert.deepEqual(saw, everything);
  assert.deepEqual(statuses, {
    json: [204, 200], text: [200], noCORS: [200], beacon: [200], form: [200], socket: [101], topics: [200], events: [200],
    img: [403], script: [403], iframe: [403], // they come without an Origin, and could not be read anyway
  });
  assert.deepEqual(await topics(), published);
  await page.context().close();
});

test('a page of an allowed origin may send what the API takes, and reads problems, too', async () => {
  const page = await openPage(browser);
  await page.goto(`http://${friend}:${site.port}/`);
  const answers = await page.evaluate(async (url) => {
    const answers = {};
    const ask = async (what, path, options) => {
      const response = await fetch(`${url}${path}`, options);
      const code = response.ok ? '' : (await response.json()).code;
      answers[what] = [response.status, code, Boolean(response.headers.get('X-Request-Id'))];
    };
    const key = { 'Idempotency-Key': 'k', 'Content-Type': 'application/json', Authorization: 'Bearer x' };
    await ask('key', '/topics/by.key/publish', { method: 'POST', body: '1', headers: key });
    await ask('conflict', '/topics/by.key/publish', { method: 'POST', body: '2', headers: key });
    await ask('purge', '/topics/by.key/messages', { method: 'DELETE' });
    await ask('nowhere', '/nowhere');
    await ask('bad topic', '/events?topic=.');
    await ask('too large', '/topics/by.key/publish', { method: 'POST', body: 'x'.repeat(2 << 20) });
    return answers;
  }, server.url);
  assert.deepEqual(answers, {
    key: [200, '', true],
    conflict: [409, 'conflict', true],
    purge: [204, '', true],
    nowhere: [404, 'not_found', true],
    'bad topic': [400, 'invalid_topic', true],
    'too large': [413, 'payload_too_large', true],
  });
  await page.context().close();
});

for (const [what, host, path = ''] of [
  ['another port', '127.0.0.1'],
  ['another name of this machine', 'localhost'],
  ['another host', evil],
  ['a name below an allowed one', `sub.${friend}`],
  ['no origin, in a sandbox', evil, 'sandbox'],
]) {
  test(`a page of another origin can neither publish nor read: ${what}`, async () => {
    const page = await openPage(browser);
    await page.goto(`http://${host}:${site.port}/${path}`);
    await checkRefused(page, server.url);
  });
}

test('a page of another origin can neither publish nor read: another address', async (t) => {
  const other = await serve('127.0.0.2');
  t.after(other.close);
  const page = await openPage(browser);
  await page.goto(`http://127.0.0.2:${other.port}/`);
  await checkRefused(page, server.url);
});

test('a page whose own name was pointed at the server can neither publish nor read', async () => {
  const rebound = `http://${evil}:${server.port}`;
  const page = await openPage(browser);
  const response = await page.goto(`${rebound}/`); // to the browser the refusal is a page of that origin
  assert.equal(response.status(), 403);
  await checkRefused(page, rebound);
});

async function checkRefused(page, url) {
  const { saw, statuses } = await assail(page, url);
  for (const [way, what] of Object.entries(saw)) assert.equal(what, 'nothing', way);
  for (const [way, list] of Object.entries(statuses)) assert.deepEqual([...new Set(list)], [403], way);
  assert.deepEqual(await topics(), ['secret']);
  await page.context().close();
}

test('the handshake is refused with 403, and without an Origin it is not', async () => {
  const refused = (headers) => new Promise((resolve, reject) => {
    const socket = new WebSocket(server.ws, { headers });
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode);
      request.destroy();
    });
    socket.on('open', () => reject(new Error(`opened with ${JSON.stringify(headers)}`)));
    socket.on('error', () => {}); // destroy makes one
  });
  assert.equal(await refused({ Origin: 'http://elsewhere.example' }), 403);
  assert.equal(await refused({ Origin: 'null' }), 403);
  assert.equal(await refused({ Origin: `https://${server.address}` }), 403);
  assert.equal(await refused({ 'Sec-Fetch-Site': 'cross-site' }), 403);
  const client = await connect(server.ws, { headers: { Origin: server.url } });
  await client.close();
});
