// Over HTTP: when that is chosen, and what it makes of streams, requests and refusals.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../client.js';
import { fakeNetwork, pass, settled, told, tokenUntil } from './lib/fake.mjs';
import { event, fakeFetch } from './lib/fakefetch.mjs';

const message = (id, topic, data = id) => event({ type: 'message', id, topic, data, time: '' });
const ack = (id, more) => event({ type: 'ack', action: 'subscribe', id, ...more });

/** begin has a client connect over HTTP, in a time that only the test moves. */
function begin(t, options) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.mock.method(Math, 'random', () => 1);
  const requests = fakeFetch(t);
  const client = connect('http://a.test/base', { transports: ['sse'], ...options });
  t.after(() => client.close());
  return { requests, client };
}

/** up answers the request by which a client finds out whether there is a server. */
async function up(requests) {
  const knock = await requests.next();
  assert.deepEqual([knock.method, knock.path], ['HEAD', '/base/events']);
  knock.status(200);
  await settled();
}

/** listening is one subscription with its stream. */
async function listening(t, options, subscribeOptions) {
  const { requests, client } = begin(t, options);
  const got = [];
  const subscription = client.subscribe('a', { onMessage: ({ data }) => got.push(data), onLost: ({ reason }) => got.push(reason), ...subscribeOptions });
  await up(requests);
  const request = await requests.next();
  return { requests, client, subscription, got, request, stream: request.stream() };
}

test('a stream for each subscription', async (t) => {
  const { requests, client } = begin(t);
  client.subscribe(['a', 'b.*'], { last: 3, overflow: 'latest' });
  const knock = await requests.next();
  assert.deepEqual(knock.query.getAll('topic'), ['a', 'b.*']);
  knock.status(200);
  const first = await requests.next();
  assert.equal(client.state, 'connected');
  assert.deepEqual([first.path, String(first.query), first.headers.get('Accept')], ['/base/events', 'topic=a&topic=b.*&last=3&overflow=latest', 'text/event-stream']);
  client.subscribe('c', { since: 'e-5' });
  assert.equal(String((await requests.next()).query), 'topic=c&since=e-5');
  const watching = client.subscribe('d', { presence: true });
  await assert.rejects(watching.ready, { code: 'unsupported' });
});

test('a server that accepts and says nothing is given up as soon as over a WebSocket', async (t) => {
  const { requests, client } = begin(t);
  const ends = [];
  client.addEventListener('disconnected', ({ detail }) => ends.push(detail.reason));
  const knock = await requests.next();
  await pass(t, 9_999);
  assert.equal(knock.signal.aborted, false);
  await pass(t, 1);
  assert.deepEqual([knock.signal.aborted, ends], [true, ['it is silent']]);
});

test('events come in pieces of any size', async (t) => {
  const { stream, got, subscription } = await listening(t);
  const bytes = new TextEncoder().encode(`: \n\n${ack('e-1')}${message('e-2', 'a', '€uro: \u2028 ')}id: e-9\n\n${event({ type: 'of another time' })}`);
  for (const byte of bytes) stream.say(Uint8Array.of(byte));
  await subscription.ready;
  await settled();
  assert.deepEqual(got, ['€uro: \u2028 ']);
  assert.equal(subscription.cursor, 'e-9', 'an event that is nothing but an id moves the cursor');
});

for (const [name, breakOff, code] of [
  ['ends', (stream) => stream.end(), 1006],
  ['is closed by a server that goes away', (stream) => stream.say(event({ type: 'close', code: 1001, reason: 'going' })), 1001],
  ['has what is no frame', (stream) => stream.say('data: {"type":\n\n'), 1006],
]) {
  test(`after a stream that ${name} all go on from where they were`, async (t) => {
    const { requests, client, stream, got } = await listening(t);
    stream.say(ack('e-1') + message('e-2', 'a'));
    client.subscribe('b', { onMessage: ({ data }) => got.push(data) });
    const other = await requests.next();
    other.stream().say(ack('e-3'));
    await settled();
    const disconnected = told(client, 'disconnected');
    breakOff(stream);
    assert.equal((await disconnected).code, code);
    assert.equal(other.signal.aborted, true);
    await pass(t, 250);
    await up(requests);
    const [one, two] = [await requests.next(), await requests.next()];
    assert.deepEqual([one.query.get('since'), two.query.get('since')], ['e-2', 'e-3']);
    const again = one.stream();
    again.say(ack('e-0', { recovered: false }) + message('e-2', 'a') + message('e-4', 'a') + event({ type: 'caught_up', id: 'e-4' }));
    await settled();
    assert.deepEqual(got, ['e-2', 'resume', 'e-4']);
  });
}

test('a stream without heartbeats is dead', async (t) => {
  const { client, stream } = await listening(t);
  stream.say(ack('e-1'));
  await pass(t, 34_999);
  stream.say(': \n\n');
  await pass(t, 34_999);
  assert.equal(client.state, 'connected');
  const disconnected = told(client, 'disconnected');
  await pass(t, 1);
  assert.equal((await disconnected).code, 1006);
});

test('4500 and more are final, on any stream', async (t) => {
  const { client, stream, subscription } = await listening(t);
  const closed = told(client, 'closed');
  stream.say(ack('e-1') + event({ type: 'close', code: 4501, reason: 'go away' }));
  assert.equal((await closed).error.code, 'disconnected');
  await assert.rejects(subscription[Symbol.asyncIterator]().next(), { code: 'disconnected' });
});

test('publishes go one after another, with their keys, and again after a break', async (t) => {
  const { requests, client } = begin(t, { token: 'a-key' });
  const receipts = [client.publish('a/b', { n: 1 }), client.publish('c', 2, { key: 'clé' })];
  await up(requests);
  const first = await requests.next();
  assert.deepEqual([first.method, first.path, first.body], ['POST', '/base/topics/a%2Fb/publish', '{"n":1}']);
  assert.equal(first.headers.get('Authorization'), 'Bearer a-key');
  assert.equal(first.headers.get('Content-Type'), 'application/json');
  await settled();
  assert.equal(requests.count, 2, 'the second waits for the first');
  first.fail();
  await pass(t, 500);
  await up(requests);
  const again = await requests.next();
  assert.deepEqual([again.body, again.headers.get('Idempotency-Key')], ['{"n":1}', first.headers.get('Idempotency-Key')]);
  again.json(200, { id: 'e-1', topic: 'a/b', time: '', duplicate: true, subscribers: 1 });
  const given = new AbortController();
  const givenUp = client.publish('c', 3, { signal: given.signal });
  given.abort();
  await assert.rejects(givenUp, { name: 'AbortError' });
  const second = await requests.next();
  assert.equal(Buffer.from(second.headers.get('Idempotency-Key'), 'latin1').toString(), 'clé');
  second.json(200, { id: 'e-2', topic: 'c', duplicate: false });
  assert.deepEqual(await Promise.all(receipts), [{ id: 'e-1', topic: 'a/b', duplicate: true }, { id: 'e-2', topic: 'c', duplicate: false }]);
  await settled();
  const sent = requests.count;
  client.publish('c', 4).catch(() => {});
  const last = await requests.next();
  assert.deepEqual([last.body, requests.count], ['4', sent + 1], 'what was given up before its turn is not sent');
  client.close();
  assert.equal(last.signal.aborted, true);
});

test('a publish is refused with a code, or by something on the way', async (t) => {
  const { requests, client } = begin(t);
  await up(requests);
  const refused = client.publish('a', 1);
  (await requests.next()).problem(403, 'forbidden');
  await assert.rejects(refused, { code: 'forbidden', message: 'it is forbidden' });
  await assert.rejects(client.publish('a', 1, { key: 'a\nb' }), TypeError);
  const published = client.publish('a', 2);
  (await requests.next()).status(502);
  await pass(t, 500);
  await up(requests);
  (await requests.next()).problem(503, 'shutting_down');
  await pass(t, 1_000);
  await up(requests);
  (await requests.next()).json(200, { id: 'e-1', duplicate: false });
  assert.equal((await published).id, 'e-1');
});

test('presence is read page by page', async (t) => {
  const { requests, client } = begin(t);
  const members = client.presence('room.1');
  await up(requests);
  const first = await requests.next();
  assert.equal(first.path, '/base/topics/room.1/clients');
  first.json(200, { clients: [{ client_id: 'x' }], next: 'x' });
  const second = await requests.next();
  assert.equal(second.query.get('after'), 'x');
  second.json(200, { clients: [{ client_id: 'y', user: 'ada' }] });
  assert.deepEqual(await members, [{ client_id: 'x' }, { client_id: 'y', user: 'ada' }]);
});

test('a stream that is refused for good ends its subscription, one that is refused for now does not', async (t) => {
  const { requests, client, stream } = await listening(t);
  stream.say(ack('e-1'));
  await settled();
  const ends = [];
  client.subscribe('b', { onEnd: (error) => ends.push(error?.code) });
  (await requests.next()).problem(403, 'forbidden');
  await settled();
  client.subscribe('c', { onEnd: (error) => ends.push(error?.code) });
  (await requests.next()).stream().say(event({ type: 'error', code: 'too_many_clients', message: 'full' }) + event({ type: 'close', code: 1001 }));
  await settled();
  assert.deepEqual([ends, client.state], [['forbidden'], 'connected']);
  await pass(t, 2_000);
  assert.equal((await requests.next()).query.get('topic'), 'c');
});

test('a new token means new streams, from where the old ones were', async (t) => {
  const tokens = [];
  const { requests, client, request, stream, got } = await listening(t, {
    token: () => {
      tokens.push(tokenUntil(Date.now() + 40_000));
      return tokens.at(-1);
    },
  });
  assert.equal(request.headers.get('Authorization'), `Bearer ${tokens[0]}`);
  stream.say(ack('e-1') + message('e-2', 'a'));
  await pass(t, 30_000);
  const next = await requests.next();
  assert.equal(tokens.length, 2);
  assert.deepEqual([request.signal.aborted, next.query.get('since')], [true, 'e-2']);
  assert.equal(next.headers.get('Authorization'), `Bearer ${tokens[1]}`);
  next.stream().say(ack('e-2', { recovered: true }) + message('e-3', 'a'));
  await settled();
  assert.deepEqual([got, client.state], [['e-2', 'e-3'], 'connected']);
});

test('a token that is refused is asked for once more; then it ends', async (t) => {
  let calls = 0;
  const { requests, client } = begin(t, { token: () => `token ${++calls}` });
  (await requests.next()).status(401);
  await pass(t, 500);
  const closed = told(client, 'closed');
  (await requests.next()).status(401);
  assert.equal((await closed).error.code, 'unauthorized');
  assert.equal(calls, 2);
});

test('a token that is refused for one request is asked for once more, too', async (t) => {
  let calls = 0;
  const { requests, client } = begin(t, { token: () => `token ${++calls}` });
  await up(requests);
  const published = client.publish('a', 1);
  (await requests.next()).problem(401, 'unauthorized');
  await pass(t, 500);
  await up(requests);
  const again = await requests.next();
  assert.equal(again.headers.get('Authorization'), 'Bearer token 2');
  again.json(200, { id: 'e-1', duplicate: false });
  assert.equal((await published).id, 'e-1');
});

test('a stream that is left before it is answered harms nobody', async (t) => {
  const { requests, client, stream } = await listening(t);
  stream.say(ack('e-1'));
  const left = client.subscribe('b');
  const request = await requests.next();
  left.unsubscribe();
  await settled();
  assert.deepEqual([request.signal.aborted, client.state], [true, 'connected']);
});

test('in a replay nothing is dropped; when it is over, latest keeps the newest', async (t) => {
  const { client, requests, subscription, stream } = await listening(t, {}, { onMessage: undefined, since: 'all', overflow: 'latest', buffer: 2 });
  stream.say(ack('e-0', { recovered: true }) + message('e-1', 'a') + message('e-2', 'a') + message('e-3', 'a'));
  await settled();
  const messages = subscription[Symbol.asyncIterator]();
  assert.equal((await messages.next()).value.id, 'e-1');
  const next = await requests.next();
  assert.equal(next.query.get('since'), 'e-2', 'it rested, and goes on');
  const again = next.stream();
  again.say(ack('e-2', { recovered: true }) + message('e-3', 'a') + event({ type: 'caught_up', id: 'e-3' }) + message('e-4', 'a') + message('e-5', 'a'));
  await settled();
  assert.deepEqual([(await messages.next()).value.id, client.state], ['e-5', 'connected']);
});

test('a stranger may be refused a topic, and stay', async (t) => {
  const { requests, client } = begin(t);
  await up(requests);
  const refused = client.publish('secret', 1);
  (await requests.next()).problem(401, 'unauthorized');
  await assert.rejects(refused, { code: 'unauthorized' });
  assert.equal(client.state, 'connected');
});

test('where no WebSocket gets through, HTTP is taken, and kept once it has brought something', async (t) => {
  const network = fakeNetwork();
  const { requests, client } = begin(t, { transports: undefined, WebSocket: network.WebSocket });
  const connected = told(client, 'connected');
  client.subscribe('a');
  (await network.next()).hangUp();
  await up(requests);
  assert.equal((await connected).transport, 'sse');
  (await requests.next()).fail(); // nothing has come yet
  await pass(t, 500);
  (await network.next()).hangUp();
  await up(requests);
  const stream = (await requests.next()).stream();
  stream.say(ack('e-1'));
  await settled();
  stream.end();
  await pass(t, 1_000);
  await up(requests);
  assert.equal(network.opened, 2);
});

test('a server that is full over HTTP, too, is tried with a WebSocket again', async (t) => {
  const network = fakeNetwork();
  const { requests, client } = begin(t, { transports: undefined, WebSocket: network.WebSocket });
  client.subscribe('a');
  (await network.next()).hangUp();
  await up(requests);
  (await requests.next()).stream().say(event({ type: 'error', code: 'too_many_clients', message: 'full' }) + event({ type: 'close', code: 1001 }));
  await pass(t, 500);
  (await network.next()).welcome();
  assert.equal(client.state, 'connected');
});

test('once a WebSocket was there, HTTP is not tried', async (t) => {
  const network = fakeNetwork();
  const { requests, client } = begin(t, { transports: undefined, WebSocket: network.WebSocket });
  const first = await network.next();
  first.welcome();
  first.hangUp();
  for (let pause = 500; pause < 5_000; pause *= 2) {
    await pass(t, pause);
    (await network.next()).hangUp();
    await settled();
  }
  assert.equal(requests.count, 0);
  assert.equal(client.state, 'waiting');
});

test('without any WebSocket class there is HTTP, or an error', async (t) => {
  const present = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket');
  delete globalThis.WebSocket;
  t.after(() => present && Object.defineProperty(globalThis, 'WebSocket', present));
  const { requests, client } = begin(t, { transports: undefined });
  await up(requests);
  assert.equal(client.state, 'connected');
  assert.throws(() => connect('http://a.test', { transports: ['websocket'] }), { code: 'unsupported' });
  assert.throws(() => connect(), TypeError);
});

test('whom the server does not want back over a WebSocket does not come over HTTP', async (t) => {
  const network = fakeNetwork();
  const { requests, client } = begin(t, { transports: ['websocket', 'sse'], WebSocket: network.WebSocket });
  const closed = told(client, 'closed');
  (await network.next()).hangUp(4501);
  assert.equal((await closed).error.code, 'disconnected');
  await pass(t, 100_000);
  assert.equal(requests.count, 0);
});

for (const status of [200, 400, 403, 409]) {
  test(`whoever answers ${status} is a server, whatever it has against the first subscription`, async (t) => {
    const { requests, client } = begin(t);
    client.subscribe('a');
    (await requests.next()).status(status);
    assert.equal((await requests.next()).method, 'GET');
    assert.equal(client.state, 'connected');
  });
}
