// A subscription as one reads it: loops, what waits for them, and what becomes of more than that.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { connect } from '../client.js';
import { fakeNetwork, settled } from './lib/fake.mjs';

async function connected(t) {
  const network = fakeNetwork();
  const client = connect('http://a.test', { WebSocket: network.WebSocket, transports: ['websocket'] });
  t.after(() => client.close());
  const socket = await network.next();
  socket.welcome();
  return { network, client, socket };
}

/** send has the messages come live, and what is sent are their numbers. */
const send = (socket, from, to, topic = 'a') => {
  for (let n = from; n <= to; n++) socket.message(`e-${n}`, topic, n);
};

/** take reads that many messages. */
async function take(messages, count) {
  const got = [];
  while (got.length < count) got.push((await messages.next()).value.data);
  return got;
}

const actions = (socket) => socket.sent.map(({ action, since }) => [action, since].filter(Boolean).join(' '));

test('a loop gets the messages, and to leave it is to unsubscribe', async (t) => {
  const { client, socket } = await connected(t);
  const ends = [];
  const subscription = client.subscribe('a', { onEnd: (error) => ends.push(error) });
  assert.equal(subscription.cursor, undefined);
  socket.ack('subscribe', { id: 'e-0' });
  await subscription.ready;
  send(socket, 1, 3);
  const cursors = [subscription.cursor];
  for await (const { data } of subscription) {
    cursors.push(subscription.cursor);
    if (data === 2) break;
  }
  assert.deepEqual(cursors, ['e-0', 'e-1', 'e-2'], 'nothing after the cursor was given');
  assert.equal(socket.last().action, 'unsubscribe');
  assert.deepEqual(ends, [undefined]);
  client.subscribe('a'); // another one
});

test('who waits for a message is not kept waiting by unsubscribe(), close() or an error', async (t) => {
  const { client, socket } = await connected(t);
  const [one, two, three] = ['a', 'b', 'c'].map((topic) => client.subscribe(topic));
  const waiting = [one, two, three].map((subscription) => subscription[Symbol.asyncIterator]().next());
  const second = three[Symbol.asyncIterator]().next();
  one.unsubscribe();
  assert.deepEqual(await waiting[0], { done: true, value: undefined });
  socket.say({ type: 'error', code: 'forbidden', message: 'no', ref: socket.sent[2].ref });
  await assert.rejects(waiting[2], { code: 'forbidden' });
  assert.equal((await second).done, true, 'an error is thrown once');
  client.close();
  assert.equal((await waiting[1]).done, true);
});

test('with an error, what waits can be read before it; after unsubscribe() nothing can', async (t) => {
  const { client, socket } = await connected(t);
  const failed = client.subscribe('a');
  socket.ack('subscribe', { id: 'e-0' });
  const left = client.subscribe('>');
  socket.ack('subscribe', { id: 'e-0' });
  send(socket, 1, 2);
  left.unsubscribe();
  socket.hangUp(4501, 'go away');
  await settled();
  const messages = failed[Symbol.asyncIterator]();
  assert.deepEqual(await take(messages, 2), [1, 2]);
  await assert.rejects(messages.next(), { code: 'disconnected' });
  assert.equal((await messages.next()).done, true);
  assert.equal((await left[Symbol.asyncIterator]().next()).done, true);
});

test('the cursor stays before a loss that the reader has not been told of', async (t) => {
  const { client, socket } = await connected(t);
  const lost = [];
  const subscription = client.subscribe('a', { onLost: ({ reason }) => lost.push(reason) });
  socket.ack('subscribe', { id: 'e-0' });
  send(socket, 1, 1);
  socket.say({ type: 'notice', code: 'gap', topic: 'a' }, { type: 'position', id: 'e-9' });
  const messages = subscription[Symbol.asyncIterator]();
  await messages.next();
  assert.deepEqual([subscription.cursor, lost], ['e-1', []]);
  const next = messages.next();
  assert.deepEqual([subscription.cursor, lost], ['e-9', ['gap']]);
  send(socket, 10, 10);
  assert.equal((await next).value.id, 'e-10');
});

test('a full subscription rests, and goes on when half of what waited has been read', async (t) => {
  const { client, socket } = await connected(t);
  const slow = client.subscribe('a', { buffer: 4 });
  socket.ack('subscribe', { id: 'e-0' });
  client.subscribe('b', { onMessage() {} });
  socket.ack('subscribe', { id: 'e-0' });
  send(socket, 1, 6);
  assert.deepEqual(actions(socket), ['subscribe', 'subscribe', 'unsubscribe']);
  send(socket, 7, 8, 'b'); // what comes meanwhile moves nothing
  const messages = slow[Symbol.asyncIterator]();
  assert.deepEqual(await take(messages, 1), [1]);
  assert.equal(actions(socket).length, 3);
  assert.deepEqual(await take(messages, 1), [2]);
  assert.equal(actions(socket)[3], 'subscribe e-4');

  send(socket, 9, 9); // still of the subscription that was left: it comes again in the replay
  socket.ack('unsubscribe', { id: 'e-9' });
  socket.ack('subscribe', { id: 'e-4', recovered: true });
  send(socket, 5, 6);
  assert.deepEqual(await take(messages, 4), [3, 4, 5, 6]);
  send(socket, 9, 9);
  socket.say({ type: 'caught_up', topics: ['a'], id: 'e-9' });
  assert.deepEqual(await take(messages, 1), [9]);
});

test('while it rests, a new connection leaves it alone', async (t) => {
  const { network, client, socket } = await connected(t);
  const slow = client.subscribe('a', { buffer: 1 });
  socket.ack('subscribe', { id: 'e-0' });
  send(socket, 1, 2);
  socket.hangUp();
  const next = await network.next();
  next.welcome();
  assert.deepEqual(next.sent, []);
  const messages = slow[Symbol.asyncIterator]();
  assert.deepEqual(await take(messages, 1), [1]);
  assert.deepEqual(actions(next), ['subscribe e-1']);
});

test('an unsubscribe that is refused begins anew, with a new connection', async (t) => {
  const { network, client, socket } = await connected(t);
  const subscription = client.subscribe('a');
  socket.ack('subscribe', { id: 'e-0' });
  subscription.unsubscribe();
  socket.refuse('unsubscribe', 'rate_limited');
  assert.equal(socket.isClosed, true);
  const next = await network.next();
  next.welcome();
  assert.deepEqual(next.sent, []);
});

test('latest keeps the newest of each topic, at the end', async (t) => {
  const { client, socket } = await connected(t);
  const prices = client.subscribe('price.*', { overflow: 'latest', buffer: 3 });
  assert.equal(socket.last().overflow, 'latest');
  socket.ack('subscribe', { id: 'e-0' });
  send(socket, 1, 1, 'price.a');
  send(socket, 2, 2, 'price.b');
  send(socket, 3, 5, 'price.a');
  send(socket, 6, 6, 'price.c');
  const messages = prices[Symbol.asyncIterator]();
  assert.deepEqual(await take(messages, 3), [2, 5, 6]);
  for (let n = 7; n <= 10; n++) send(socket, n, n, `price.${n}`);
  assert.equal(socket.last().action, 'unsubscribe', 'too many topics: it rests');
  assert.deepEqual(await take(messages, 2), [7, 8]);
  assert.equal(socket.last().since, 'e-9');
});

test('drop_oldest drops from the head, and says there how many', async (t) => {
  const { client, socket } = await connected(t);
  const told = [];
  const subscription = client.subscribe(['a', 'b'], { overflow: 'drop_oldest', buffer: 2, onDropped: (dropped) => told.push(dropped) });
  socket.ack('subscribe', { id: 'e-0' });
  send(socket, 1, 5);
  assert.deepEqual(told, []);
  const messages = subscription[Symbol.asyncIterator]();
  assert.deepEqual(await take(messages, 1), [4]);
  assert.deepEqual(told, [{ topic: 'a', count: 3 }]);
  send(socket, 6, 7, 'b');
  assert.deepEqual(await take(messages, 2), [6, 7]);
  assert.deepEqual(told.slice(1), [{ topic: 'a', count: 1 }]);
  assert.deepEqual(actions(socket), ['subscribe']);
});

test('in a replay nothing is dropped: it rests', async (t) => {
  for (const overflow of ['latest', 'drop_oldest']) {
    const { client, socket } = await connected(t);
    const subscription = client.subscribe('a', { since: 'all', overflow, buffer: 2 });
    socket.ack('subscribe', { id: 'e-0', recovered: true });
    send(socket, 1, 4);
    assert.equal(socket.last().action, 'unsubscribe');
    assert.deepEqual(await take(subscription[Symbol.asyncIterator](), 2), [1, 2]);
    assert.equal(socket.last().since, 'e-2');
  }
});

test('a loss is told between the messages where it was', async (t) => {
  const { client, socket } = await connected(t);
  const order = [];
  const subscription = client.subscribe('a', { since: 'e-0', onLost: ({ reason }) => order.push(reason), onCaughtUp: () => order.push('caught up') });
  socket.ack('subscribe', { id: 'e-0', recovered: true });
  send(socket, 1, 1);
  socket.say({ type: 'notice', code: 'gap', topic: 'a' });
  send(socket, 5, 5);
  socket.say({ type: 'caught_up', topics: ['a'], id: 'e-5' });
  send(socket, 6, 6);
  const messages = subscription[Symbol.asyncIterator]();
  for (let n = 0; n < 3; n++) order.push(...await take(messages, 1));
  assert.deepEqual(order, [1, 'gap', 5, 'caught up', 6]);
});

test('a pattern is in one subscription of a client', async (t) => {
  const { client } = await connected(t);
  const first = client.subscribe(['a', 'b.*', 'a']);
  assert.deepEqual(first.topics, ['a', 'b.*']);
  assert.throws(() => client.subscribe(['c', 'b.*']), { name: 'FanfareError', code: 'conflict' });
  const control = new AbortController();
  const other = client.subscribe(['b.>', 'c'], { signal: control.signal });
  const kept = client.subscribe('e', { signal: control.signal });
  kept.unsubscribe();
  assert.equal(getEventListeners(control.signal, 'abort').length, 1);
  control.abort();
  await assert.rejects(other.ready, { code: 'closed' });
  client.subscribe('c');
  const over = client.subscribe('d', { signal: control.signal });
  await assert.rejects(over.ready, { code: 'closed' });
});
