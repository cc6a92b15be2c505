// A page of another origin must not reach the server through its visitor's browser.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from './lib/client.mjs';
import { launch, openPage } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';

let server, browser;
before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

// attack runs in the page. It answers whether a WebSocket opened, after it has tried to publish in the ways that need no
// permission from the server, and in one that does.
const attack = async ({ ws, target }) => {
  const opened = await new Promise((resolve) => {
    const socket = new WebSocket(ws);
    socket.onopen = () => {
      socket.send('{"action":"publish","topic":"target","data":"by WebSocket"}');
      resolve(true);
    };
    socket.onclose = () => resolve(false);
  });
  const post = (type, body, options) =>
    fetch(target, { method: 'POST', headers: { 'Content-Type': type }, body, ...options }).catch(() => {});
  await post('text/plain', 'by simple fetch', { mode: 'no-cors' });
  await post('application/json', '"by fetch"');
  navigator.sendBeacon(target, 'by beacon');
  return opened;
};

// submit leaves the page by a form, whose text happens to be JSON.
const submit = (target) => {
  const form = document.createElement('form');
  form.method = 'POST';
  form.action = target;
  form.enctype = 'text/plain';
  const field = document.createElement('input');
  field.name = '{"by';
  field.value = 'form"}';
  form.append(field);
  document.body.append(form);
  form.submit();
};

// assail does it all from the page, and answers what became of it once the server has answered everything.
async function assail(page) {
  const target = `${server.url}/topics/target/publish`;
  const statuses = {};
  const answered = (kind) => page.waitForResponse((response) => {
    const request = response.request();
    if (request.url() !== target || request.method() !== 'POST' || request.resourceType() !== kind) return false;
    statuses[kind] = response.status();
    return true;
  });
  // The form comes last: of a page that was left, the browser no longer tells what was answered.
  const requests = Promise.all([answered('fetch'), answered('ping')]);
  const opened = await page.evaluate(attack, { ws: server.ws, target });
  await requests;
  const form = answered('document');
  await page.evaluate(submit, target);
  await form;
  return { opened, statuses };
}

async function serve(address) {
  const site = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><link rel=icon href="data:,"><title>elsewhere</title><body>elsewhere</body>');
  });
  site.listen(0, address);
  await once(site, 'listening');
  return {
    port: site.address().port,
    close() {
      site.close();
      site.closeAllConnections();
    },
  };
}

test('a page of the own origin may do it all, so the attack is a real one', async () => {
  const subscriber = await connect(server.ws);
  await subscriber.subscribe('target');
  const own = await openPage(browser);
  await own.goto(`${server.url}/livez`); // the console hides its origin from forms, by its Referrer-Policy
  assert.deepEqual(await assail(own), { opened: true, statuses: { fetch: 200, ping: 200, document: 200 } });
  const got = [];
  for (let n = 0; n < 5; n++) got.push((await subscriber.next()).data);
  for (const data of ['by WebSocket', 'by simple fetch', 'by fetch', 'by beacon']) {
    assert.ok(got.includes(data), `${data} is in ${JSON.stringify(got)}`);
  }
  await own.context().close();
  await subscriber.close();
});

for (const [what, host, address] of [
  ['another port', '127.0.0.1', '127.0.0.1'],
  ['another name of this machine', 'localhost', '127.0.0.1'],
  ['another address', '127.0.0.2', '127.0.0.2'],
]) {
  test(`a page of another origin can neither listen nor publish: ${what}`, async (t) => {
    const subscriber = await connect(server.ws);
    await subscriber.subscribe('target');
    const site = await serve(address);
    t.after(site.close);
    const elsewhere = await openPage(browser);
    await elsewhere.goto(`http://${host}:${site.port}/`);
    assert.deepEqual(await assail(elsewhere), { opened: false, statuses: { fetch: 403, ping: 403, document: 403 } });

    // Everything has been answered; what it had published would come before this.
    await server.publish('target', 'sentinel');
    assert.equal((await subscriber.next()).data, 'sentinel');
    await elsewhere.context().close();
    await subscriber.close();
  });
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
