// How a client comes back, and when it does not. Time is the test's own.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { connect } from '../client.js';
import { fakeNetwork, pass, settled, told } from './lib/fake.mjs';

/** begin has a client connect in a time that only the test moves. Pauses are as long as they can be, unless random says less. */
function begin(t, options) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.mock.method(Math, 'random', () => 1);
  const network = fakeNetwork();
  const client = connect('https://a.test/fanfare', { WebSocket: network.WebSocket, transports: ['websocket'], ...options });
  t.after(() => client.close());
  const pauses = [];
  client.addEventListener('disconnected', ({ detail }) => pauses.push(detail.retryIn));
  return { network, client, pauses };
}

for (const code of [1000, 1001, 1005, 1006, 1009, 1011, 1012, 4000, 4001, 4002, 4003, 4499]) {
  test(`after ${code} it comes back`, async (t) => {
    const { network, client } = begin(t);
    const socket = await network.next();
    assert.equal(socket.url, 'wss://a.test/fanfare/ws');
    socket.welcome();
    assert.deepEqual([client.state, client.id], ['connected', 'an-id']);
    const subscription = client.subscribe('a');
    socket.ack('subscribe', { id: 'e-1' });
    const disconnected = told(client, 'disconnected');
    socket.hangUp(code, 'so it is');
    assert.deepEqual(await disconnected, { code, reason: 'so it is', retryIn: 500 });
    assert.deepEqual([client.state, client.id], ['waiting', undefined]);
    await pass(t, 500);
    const next = await network.next();
    assert.equal(client.state, 'connecting');
    next.welcome();
    assert.equal(next.last('subscribe').since, 'e-1');
    assert.equal(subscription.cursor, 'e-1');
  });
}

for (const [code, as] of [[4500, 'unauthorized'], [4501, 'disconnected'], [4999, 'disconnected']]) {
  test(`after ${code} it stays away, and all ends as ${as}`, async (t) => {
    const { network, client } = begin(t);
    const socket = await network.next();
    socket.welcome();
    const ends = [];
    const subscription = client.subscribe('a', { onEnd: (error) => ends.push(error?.code) });
    const published = client.publish('a', 1);
    const closed = told(client, 'closed');
    socket.hangUp(code, 'so it is');
    const { error } = await closed;
    assert.deepEqual([error.code, error.message, client.state], [as, 'so it is', 'closed']);
    assert.deepEqual(ends, [as]);
    await assert.rejects(published, { code: as });
    await assert.rejects(subscription.ready, { code: as });
    await assert.rejects(async () => { for await (const _ of subscription); }, { code: as });
    await pass(t, 1_000_000);
    assert.equal(network.opened, 1);
    assert.throws(() => client.subscribe('b'), { code: 'closed' });
    await assert.rejects(client.publish('b', 1), { code: 'closed' });
  });
}

test('pauses double up to 20 s, and a random part of them is left out', async (t) => {
  const { network, pauses } = begin(t);
  const attempts = [];
  for (let n = 0; n < 9; n++) {
    const socket = await network.next();
    socket.hangUp();
    await settled();
    attempts.push(pauses.at(-1));
    await pass(t, pauses.at(-1));
  }
  assert.deepEqual(attempts, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000, 20000]);
  t.mock.method(Math, 'random', () => 0);
  (await network.next()).hangUp();
  await settled();
  assert.equal(pauses.at(-1), 10_000);
});

test('who accepts and hangs up is asked less and less often; who was there for a while, or brought something, soon', async (t) => {
  const { network, client, pauses } = begin(t);
  client.subscribe('a');
  const life = async (live) => {
    const socket = await network.next();
    socket.welcome();
    socket.ack('subscribe', { id: 'e-1', recovered: true });
    await live(socket);
    socket.hangUp();
    await settled();
    await pass(t, pauses.at(-1));
  };
  await life(() => {});
  await life(() => {});
  await life(() => pass(t, 4_999));
  await life(() => pass(t, 5_000));
  await life(() => {});
  await life((socket) => socket.message('e-2', 'a'));
  assert.deepEqual(pauses, [500, 1000, 2000, 250, 500, 250]);
});

test('it asks when it has heard nothing for the interval, and gives up without an answer', async (t) => {
  const { network, client } = begin(t);
  const socket = await network.next();
  socket.welcome({ ping_interval: 30 });
  client.subscribe('a');
  const pings = () => socket.sent.filter(({ action }) => action === 'ping').length;
  await pass(t, 20_000);
  socket.message('e-1', 'a'); // a sign of life
  await pass(t, 29_999);
  assert.equal(pings(), 0);
  await pass(t, 1);
  assert.equal(pings(), 1);
  await pass(t, 9_999);
  socket.say({ type: 'pong' });
  await pass(t, 30_000);
  assert.equal(pings(), 2);
  const disconnected = told(client, 'disconnected');
  await pass(t, 10_000);
  assert.equal((await disconnected).code, 1006);
  assert.equal(socket.isClosed, true);
  await pass(t, 500);
  (await network.next()).welcome();
  assert.equal(client.state, 'connected', 'it has not waited for the old one to close');
  socket.message('e-2', 'a'); // the dead speak
  socket.hangUp();
  assert.equal(client.state, 'connected');
});

test('a clock that is set back changes nothing of that', async (t) => {
  const { network, client } = begin(t);
  const socket = await network.next();
  socket.welcome();
  t.mock.method(Date, 'now', () => -1e9);
  const disconnected = told(client, 'disconnected');
  await pass(t, 25_000);
  assert.equal(socket.last().action, 'ping');
  await pass(t, 10_000);
  assert.equal((await disconnected).code, 1006);
});

test('a connection without a welcome is given up', async (t) => {
  const { network, pauses } = begin(t);
  const socket = await network.next();
  await pass(t, 9_999);
  assert.equal(socket.isClosed, false);
  await pass(t, 1);
  assert.deepEqual([socket.isClosed, pauses], [true, [500]]);
});

test('when the browser is online again, it tries at once', async (t) => {
  const window = new EventTarget();
  globalThis.addEventListener = window.addEventListener.bind(window);
  globalThis.removeEventListener = window.removeEventListener.bind(window);
  t.after(() => { delete globalThis.addEventListener; delete globalThis.removeEventListener; });
  const { network, client } = begin(t);
  (await network.next()).hangUp();
  await settled();
  assert.equal(client.state, 'waiting');
  window.dispatchEvent(new Event('online'));
  (await network.next()).welcome();
  assert.equal(client.state, 'connected');
  client.close();
  assert.equal(getEventListeners(window, 'online').length, 0);
});

test('what is refused for now is asked for again, and what is refused for good ends', async (t) => {
  const { network, client } = begin(t);
  const socket = await network.next();
  socket.welcome();
  const ends = [];
  const subscription = client.subscribe('a', { onEnd: (error) => ends.push(error?.code) });
  for (const [code, pause] of [['rate_limited', 2_000], ['overloaded', 4_000], ['engine_unavailable', 8_000], ['internal', 16_000], ['shutting_down', 20_000]]) {
    const { length } = socket.sent;
    socket.refuse('subscribe', code);
    await pass(t, pause - 1);
    assert.equal(socket.sent.length, length);
    await pass(t, 1);
    assert.equal(socket.sent.length, length + 1);
    socket.say({ type: 'pong' }); // it lives
  }
  socket.ack('subscribe', { id: 'e-1' });
  await subscription.ready;
  assert.deepEqual(ends, []);

  socket.hangUp();
  await pass(t, 500);
  const next = await network.next();
  next.welcome();
  next.refuse('subscribe', 'overloaded');
  await pass(t, 2_000); // as at first
  assert.equal(next.sent.length, 2);

  client.subscribe('b', { onEnd: (error) => ends.push(error?.code) });
  next.refuse('subscribe', 'too_many_subscriptions');
  assert.deepEqual(ends, ['too_many_subscriptions']);
  assert.equal(client.state, 'connected');
});

test('a new connection asks at once for what was refused for now, and once', async (t) => {
  const { network, client } = begin(t);
  const socket = await network.next();
  socket.welcome();
  client.subscribe('a');
  socket.refuse('subscribe', 'overloaded');
  socket.hangUp();
  await pass(t, 500);
  const next = await network.next();
  next.welcome();
  await pass(t, 20_000);
  assert.equal(next.sent.filter(({ action }) => action === 'subscribe').length, 1);
});

test('one that left while it was refused is not asked for again', async (t) => {
  const { network, client } = begin(t);
  const socket = await network.next();
  socket.welcome();
  const subscription = client.subscribe('a');
  socket.refuse('subscribe', 'overloaded');
  subscription.unsubscribe();
  await pass(t, 20_000);
  assert.equal(socket.sent.filter(({ action }) => action === 'subscribe').length, 1);
});

test('what the server cannot have meant ends the connection, not the program', async (t) => {
  const { network, client } = begin(t);
  const socket = await network.next();
  socket.welcome();
  const disconnected = told(client, 'disconnected');
  socket.onmessage({ data: '{"type":' });
  assert.match((await disconnected).reason, /JSON/);
});

test('close() while it waits, connects or asks for a token is the end', async (t) => {
  const { network, client } = begin(t);
  (await network.next()).hangUp();
  await settled();
  client.close();
  await pass(t, 100_000);
  assert.equal(network.opened, 1);

  let give;
  const other = connect('http://a.test', { WebSocket: network.WebSocket, token: () => new Promise((resolve) => { give = resolve; }) });
  await settled();
  other.close();
  give('too late');
  await settled();
  assert.equal(network.opened, 1);

  const third = connect('http://a.test', { WebSocket: network.WebSocket });
  const socket = await network.next();
  const closed = told(third, 'closed');
  third.close();
  assert.deepEqual([socket.isClosed, (await closed).error], [true, undefined]);
  await pass(t, 100_000);
  assert.equal(network.opened, 2);
});
