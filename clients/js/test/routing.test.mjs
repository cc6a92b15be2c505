// For which subscription a message is, and from where each goes on: docs/protocol.md, "The cursor".
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../client.js';
import { fakeNetwork } from './lib/fake.mjs';

/** connected gives a client and its first socket, and listen, which keeps what a subscription is given. */
async function connected(t) {
  const network = fakeNetwork();
  const client = connect('http://a.test', { WebSocket: network.WebSocket, transports: ['websocket'] });
  t.after(() => client.close());
  const socket = await network.next();
  socket.welcome();
  const listen = (topics, options) => {
    const got = [];
    const subscription = client.subscribe(topics, {
      onMessage: ({ id }) => got.push(id),
      onLost: ({ topics: lost, reason }) => got.push(`lost ${lost} ${reason}`),
      onDropped: ({ topic, count }) => got.push(`dropped ${topic} ${count}`),
      onCaughtUp: () => got.push('caught up'),
      ...options,
    });
    return Object.assign(subscription, { got });
  };
  return { network, client, socket, listen };
}

/** again cuts the connection and gives the next one, with the requests that were sent there at once, by topic. */
async function again({ network, socket }) {
  socket.hangUp();
  const next = await network.next();
  next.welcome();
  const since = Object.fromEntries(next.sent.map((request) => [String(request.topics), request.since ?? request.last]));
  return { next, since };
}

test('a live message is for all who have caught up, and what only a replay brings is for that', async (t) => {
  const { socket, listen } = await connected(t);
  const live = listen('news.*');
  socket.ack('subscribe', { id: 'e-10' });
  const past = listen('news.>', { since: 'e-5' });
  socket.ack('subscribe', { id: 'e-5', recovered: true });

  socket.message('e-7', 'news.eu'); // the replay: older than what was seen
  socket.message('e-11', 'news.eu'); // live: for who has caught up
  socket.message('e-11', 'news.eu'); // the replay has come there
  socket.message('e-12', 'news.eu.sport'); // new, but nobody who has caught up wants it: the replay
  socket.say({ type: 'caught_up', topics: ['news.>'], id: 'e-12' });
  socket.message('e-13', 'news.us');
  assert.deepEqual(live.got, ['e-11', 'e-13']);
  assert.deepEqual(past.got, ['e-7', 'e-11', 'e-12', 'caught up', 'e-13']);
});

test('replays come one after another, in the order of their requests', async (t) => {
  const { socket, listen } = await connected(t);
  const first = listen('a', { since: 'all' });
  const second = listen('>', { last: 2 });
  const [one, two] = socket.sent.slice(-2);
  socket.say({ type: 'ack', action: 'subscribe', ref: one.ref, recovered: true, id: 'e-0' });
  socket.say({ type: 'ack', action: 'subscribe', ref: two.ref, id: 'e-1' });
  socket.message('e-1', 'a');
  socket.message('e-2', 'a');
  socket.say({ type: 'caught_up', topics: ['a'], id: 'e-2' });
  socket.message('e-2', 'a');
  socket.message('e-3', 'b');
  socket.say({ type: 'caught_up', topics: ['>'], id: 'e-3' });
  socket.message('e-4', 'a');
  assert.deepEqual(first.got, ['e-1', 'e-2', 'caught up', 'e-4']);
  assert.deepEqual(second.got, ['e-2', 'e-3', 'caught up', 'e-4']);
  assert.deepEqual([one.since, one.last, two.since, two.last], ['all', undefined, undefined, 2]);
});

test('the replay of who has left is for nobody, until the server has let it go', async (t) => {
  const { socket, listen } = await connected(t);
  const left = listen('a', { since: 'all' });
  socket.ack('subscribe', { id: 'e-0', recovered: true });
  socket.message('e-1', 'a');
  left.unsubscribe();
  const next = listen('a', { since: 'all' });
  socket.message('e-2', 'a'); // still of the first
  socket.ack('unsubscribe', { id: 'e-9' });
  socket.ack('subscribe', { id: 'e-0', recovered: true });
  socket.message('e-1', 'a');
  socket.message('e-2', 'a');
  assert.deepEqual(left.got, ['e-1']);
  assert.deepEqual(next.got, ['e-1', 'e-2']);
});

test('a subscription that is asked for anew outlives what becomes of the one before', async (t) => {
  const { socket, listen } = await connected(t);
  const before = listen(['a', 'b']);
  socket.ack('subscribe', { id: 'e-1' });
  before.unsubscribe();
  const leaving = socket.sent.slice(1);
  const now = listen(['a', 'b']);
  const asked = socket.last();
  socket.say({ type: 'notice', code: 'forbidden', topic: 'a' }); // as it was on its way
  for (const { topic, topics = [topic], ref } of leaving) {
    socket.say(topics.includes('a') ? { type: 'error', code: 'not_found', message: 'no', ref } : { type: 'ack', action: 'unsubscribe', topic, ref, id: 'e-1' });
  }
  assert.equal(socket.last(), asked, 'nothing more is left');
  socket.ack('subscribe', { id: 'e-1' });
  socket.message('e-2', 'a');
  assert.deepEqual([before.got, now.got], [[], ['e-2']]);
});

test('what matches only a pattern that the server has ended is of the replay', async (t) => {
  const { socket, listen } = await connected(t);
  listen(['>', 'b']);
  socket.ack('subscribe', { id: 'e-1' });
  const past = listen('a', { since: 'e-1' });
  socket.ack('subscribe', { id: 'e-1', recovered: true });
  socket.say({ type: 'notice', code: 'forbidden', topic: '>' });
  socket.message('e-2', 'a');
  assert.deepEqual(past.got, ['e-2']);
});

test('ids are compared as numbers, and the id in the answer to a publish counts for nothing', async (t) => {
  const { client, socket, listen } = await connected(t);
  const all = listen('a');
  socket.ack('subscribe', { id: 'e-9' });
  const published = client.publish('b', 1);
  socket.ack('publish', { id: 'e-99' });
  assert.equal((await published).id, 'e-99');
  socket.message('e-10', 'a');
  socket.message('e-18446744073709551616', 'a'); // no JavaScript number is that exact
  socket.message('e-18446744073709551617', 'a');
  assert.deepEqual(all.got, ['e-10', 'e-18446744073709551616', 'e-18446744073709551617']);
});

test('who has caught up goes on from the highest id seen, in a replay from the last message of that', async (t) => {
  const now = await connected(t);
  const { socket, listen } = now;
  listen('busy');
  socket.ack('subscribe', { id: 'e-10' });
  listen('quiet');
  socket.ack('subscribe', { id: 'e-12' });
  listen('past', { since: 'e-1' });
  socket.ack('subscribe', { id: 'e-1', recovered: true });
  listen('begun', { last: 3 });
  socket.ack('subscribe', { id: 'e-4' });
  listen('asked', { since: 'all' }); // no answer yet
  socket.message('e-3', 'past');
  socket.message('e-20', 'busy');
  socket.say({ type: 'position', id: 'e-25' });

  const { next, since } = await again(now);
  assert.deepEqual(since, { busy: 'e-25', quiet: 'e-25', past: 'e-3', begun: 'e-4', asked: 'all' });
  assert.deepEqual(next.sent.map((request) => request.last), Array(5).fill(undefined));
});

test('caught up, a subscription goes on from there', async (t) => {
  const now = await connected(t);
  const { socket, listen } = now;
  const past = listen('a', { since: 'e-1' });
  socket.ack('subscribe', { id: 'e-1', recovered: true });
  assert.equal(past.cursor, 'e-1');
  socket.say({ type: 'caught_up', topics: ['a'], id: 'e-30' });
  assert.equal(past.cursor, 'e-30');
  const { next, since } = await again(now);
  assert.deepEqual(since, { a: 'e-30' });
  next.ack('subscribe', { id: 'e-30', recovered: true });
  next.say({ type: 'caught_up', topics: ['a'], id: 'e-31' });
  assert.deepEqual(past.got, ['caught up'], 'what was asked for has been given once');
});

test('what a replay repeats is given once', async (t) => {
  const now = await connected(t);
  const { socket, listen } = now;
  const all = listen('a', { since: 'all' });
  socket.ack('subscribe', { id: 'e-0', recovered: true });
  socket.message('e-1', 'a');
  socket.message('e-2', 'a');
  const { next } = await again(now);
  next.ack('subscribe', { id: 'e-0', recovered: true }); // a server that is too generous
  for (const id of ['e-1', 'e-2', 'e-3']) next.message(id, 'a');
  assert.deepEqual(all.got, ['e-1', 'e-2', 'e-3']);
});

test('a log that is another one is told as a loss, and begins anew', async (t) => {
  const now = await connected(t);
  const { client, socket, listen } = now;
  const all = listen(['a', 'b']);
  const lost = [];
  client.addEventListener('lost', ({ detail }) => lost.push(detail));
  socket.ack('subscribe', { id: 'old-500' });
  socket.message('old-501', 'a');
  const { next } = await again(now);
  next.ack('subscribe', { id: 'new-0', recovered: false });
  next.message('new-1', 'a');
  next.message('new-2', 'b');
  assert.deepEqual(all.got, ['old-501', 'lost a,b resume', 'new-1', 'new-2']);
  assert.deepEqual(lost, [{ topics: ['a', 'b'], reason: 'resume', subscription: all }]);

  // While connected, too: the server's own log was replaced.
  next.say({ type: 'caught_up', topics: ['a', 'b'], id: 'new-2' }, { type: 'notice', code: 'gap', topic: 'a' });
  next.message('newest-1', 'a');
  assert.deepEqual(all.got.slice(4), ['lost a gap', 'newest-1']);
});

test('a notice is for the subscription that has the pattern', async (t) => {
  const { socket, listen } = await connected(t);
  const one = listen(['a', 'b.*'], { overflow: 'latest' });
  const other = listen('>');
  const [first, second] = socket.sent;
  assert.equal(first.overflow, 'latest');
  socket.say({ type: 'ack', action: 'subscribe', ref: first.ref, id: 'e-1' }, { type: 'ack', action: 'subscribe', ref: second.ref, id: 'e-1' });
  socket.say({ type: 'notice', code: 'dropped', topic: 'b.*', count: 7 }, { type: 'notice', code: 'gap', topic: '>' });
  socket.say({ type: 'notice', code: 'gap', topic: 'nobody' }, { type: 'notice', code: 'of another time', topic: 'a' }, { type: 'of another time' });
  assert.deepEqual(one.got, ['dropped b.* 7']);
  assert.deepEqual(other.got, ['lost > gap']);
});

test('a star is one token, and > is one or more at the end', async (t) => {
  const { socket, listen } = await connected(t);
  const subscriptions = ['a', 'a.*', '*', '*.b', 'a.>', '>', 'a.*.c', '*.*.>', 'a+', '(x)'].map((pattern) => {
    const subscription = listen(pattern);
    socket.ack('subscribe', { id: 'e-0' });
    return subscription;
  });
  const topics = ['a', 'a.b', 'a.b.c', 'b', 'b.b', 'aa', 'a+', '(x)', 'x'];
  topics.forEach((topic, n) => socket.message(`e-${n + 1}`, topic));
  const matched = Object.fromEntries(subscriptions.map(({ topics: [pattern], got }) => [pattern, got.map((id) => topics[id.slice(2) - 1]).join(' ')]));
  assert.deepEqual(matched, {
    'a': 'a', 'a.*': 'a.b', '*': 'a b aa a+ (x) x', '*.b': 'a.b b.b', 'a.>': 'a.b a.b.c', '>': topics.join(' '),
    'a.*.c': 'a.b.c', '*.*.>': 'a.b.c', 'a+': 'a+', '(x)': '(x)',
  });
});

test('who has left is told nothing more', async (t) => {
  const { socket, listen } = await connected(t);
  const ends = [];
  const left = listen('a', { since: 'e-1', onEnd: (error) => ends.push(error) });
  left.unsubscribe();
  left.unsubscribe();
  socket.ack('subscribe', { id: 'e-5', recovered: false });
  socket.say({ type: 'notice', code: 'gap', topic: 'a' });
  socket.message('e-6', 'a');
  socket.say({ type: 'caught_up', topics: ['a'], id: 'e-6' });
  assert.deepEqual([left.got, ends], [[], [undefined]]);
});

test('presence is for who asked for it, and whose pattern matches', async (t) => {
  const { client, socket } = await connected(t);
  const got = [];
  client.subscribe('room.*', { presence: true, onPresence: (event) => got.push(event) });
  client.subscribe('room.>', { onPresence: () => got.push('not asked for') });
  socket.ack('subscribe', { id: 'e-1' });
  assert.equal(socket.sent[0].presence, true);
  const events = [
    { type: 'presence', topic: 'room.1', clients: [{ client_id: 'x', user: 'ada' }] },
    { type: 'join', topic: 'room.1', client_id: 'y' },
    { type: 'leave', topic: 'room.1', client_id: 'x', user: 'ada' },
  ];
  socket.say(...events, { type: 'join', topic: 'hall', client_id: 'z' });
  assert.deepEqual(got, events);
});

test('what the application throws is its own affair', async (t) => {
  const { socket, listen } = await connected(t);
  const later = t.mock.method(globalThis, 'queueMicrotask', () => {}); // else the test would fail by the exception
  const bad = listen('a', { onMessage() { throw new Error('mine'); } });
  const good = listen('>');
  const [first, second] = socket.sent;
  socket.say({ type: 'ack', action: 'subscribe', ref: first.ref, id: 'e-1' }, { type: 'ack', action: 'subscribe', ref: second.ref, id: 'e-1' });
  socket.message('e-2', 'a');
  assert.deepEqual([good.got, bad.cursor, good.cursor], [['e-2'], 'e-2', 'e-2']);
  assert.throws(later.mock.calls[0].arguments[0], { message: 'mine' });
});
