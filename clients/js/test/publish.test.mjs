// What is asked and has no answer yet: publishes and questions, over more than one connection.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { connect } from '../client.js';
import { fakeNetwork, pass, told } from './lib/fake.mjs';

async function connected(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const network = fakeNetwork();
  const client = connect('http://a.test', { WebSocket: network.WebSocket, transports: ['websocket'] });
  t.after(() => client.close());
  const socket = await network.next();
  socket.welcome();
  const again = async () => {
    await pass(t, 1_000);
    const next = await network.next();
    next.welcome();
    return next;
  };
  return { network, client, socket, again };
}

const publishes = (socket) => socket.sent.filter(({ action }) => action === 'publish');

test('what has no answer when the connection breaks is sent again, in order, with the same keys', async (t) => {
  const { client, socket, again } = await connected(t);
  const receipts = [client.publish('a', 1), client.publish('a', { n: 2 }), client.publish('b', null, { key: 'mine' })];
  const before = publishes(socket);
  assert.deepEqual(before.map(({ topic, data }) => [topic, data]), [['a', 1], ['a', { n: 2 }], ['b', null]]);
  assert.equal(new Set(before.map(({ key }) => key)).size, 3);
  assert.equal(before[2].key, 'mine');
  socket.say({ type: 'ack', action: 'publish', ref: before[1].ref, id: 'e-2' });
  assert.deepEqual(await receipts[1], { id: 'e-2', topic: 'a', duplicate: false });
  socket.hangUp();

  const next = await again();
  const after = publishes(next);
  assert.deepEqual(after.map(({ key }) => key), [before[0].key, 'mine']);
  next.say({ type: 'ack', action: 'publish', ref: after[0].ref, id: 'e-1', duplicate: true }, { type: 'ack', action: 'publish', ref: after[1].ref, id: 'e-3' });
  assert.deepEqual(await Promise.all(receipts), [
    { id: 'e-1', topic: 'a', duplicate: true }, { id: 'e-2', topic: 'a', duplicate: false }, { id: 'e-3', topic: 'b', duplicate: false },
  ]);
  next.hangUp();
  assert.deepEqual((await again()).sent, []);
});

test('before there is a connection it waits for one', async (t) => {
  const network = fakeNetwork();
  const client = connect('http://a.test', { WebSocket: network.WebSocket, transports: ['websocket'] });
  t.after(() => client.close());
  const published = client.publish('a', 1);
  const socket = await network.next();
  assert.deepEqual(socket.sent, []);
  socket.welcome();
  socket.ack('publish', { id: 'e-1' });
  assert.equal((await published).id, 'e-1');
});

test('nobody waits longer than the deadline, over all connections', async (t) => {
  const { client, socket, again } = await connected(t);
  const usual = assert.rejects(client.publish('a', 1), { code: 'timeout' });
  const short = assert.rejects(client.publish('a', 2, { timeout: 500 }), { code: 'timeout' });
  const members = assert.rejects(client.presence('a'), { code: 'timeout' });
  await pass(t, 500);
  await short;
  socket.hangUp();
  const next = await again();
  assert.deepEqual(publishes(next).map(({ data }) => data), [1]);
  await pass(t, 28_500);
  await Promise.all([usual, members]);
  next.ack('publish', { id: 'e-1' }); // too late, and no harm
});

test('an answer that is no is passed on at once', async (t) => {
  const { client, socket } = await connected(t);
  for (const code of ['forbidden', 'invalid_topic', 'rate_limited', 'overloaded', 'conflict', 'payload_too_large']) {
    const published = client.publish('a', 1);
    socket.refuse('publish', code);
    await assert.rejects(published, { name: 'FanfareError', code, message: `it is ${code}` });
  }
});

test('a server that shuts down has not answered: the next one is asked', async (t) => {
  const { client, socket, again } = await connected(t);
  const published = client.publish('a', 1);
  socket.refuse('publish', 'shutting_down');
  socket.hangUp(1001);
  const next = await again();
  next.ack('publish', { id: 'e-1' });
  assert.equal((await published).id, 'e-1');
});

test('what is too large for the server is not sent, or it would end the connection', async (t) => {
  const { client, socket } = await connected(t); // data up to 1,000 bytes, frames up to 2,000
  await assert.rejects(client.publish('a', 'x'.repeat(999)), { code: 'payload_too_large' });
  await assert.rejects(client.publish('a', '€'.repeat(333)), { code: 'payload_too_large' });
  await assert.rejects(client.publish('a'.repeat(1_500), 'x'.repeat(900)), { code: 'payload_too_large' });
  const subscription = client.subscribe(Array.from({ length: 100 }, (_, n) => `a.topic.with.a.number.${n}`));
  await assert.rejects(subscription.ready, { code: 'payload_too_large' });
  assert.deepEqual(socket.sent, []);
  const fits = client.publish('a', 'x'.repeat(998));
  socket.ack('publish', { id: 'e-1' });
  await fits;
  const euros = client.publish('a', '€'.repeat(332));
  socket.ack('publish', { id: 'e-2' });
  await euros;
});

test('what is no JSON is not sent', async (t) => {
  const { client, socket } = await connected(t);
  await assert.rejects(client.publish('a', undefined), { code: 'invalid_json' });
  await assert.rejects(client.publish('a', () => {}), { code: 'invalid_json' });
  await assert.rejects(client.publish('a', 1n), TypeError);
  assert.deepEqual(socket.sent, []);
});

test('a signal ends the wait', async (t) => {
  const { client, socket, again } = await connected(t);
  const control = new AbortController();
  const published = client.publish('a', 1, { signal: control.signal });
  control.abort();
  await assert.rejects(published, { name: 'AbortError' });
  assert.equal(getEventListeners(control.signal, 'abort').length, 0);
  await assert.rejects(client.publish('a', 2, { signal: control.signal }), { name: 'AbortError' });
  socket.hangUp();
  assert.deepEqual((await again()).sent, []);
});

test('close() ends the wait', async (t) => {
  const { client } = await connected(t);
  const waiting = [client.publish('a', 1), client.presence('a')].map((answer) => assert.rejects(answer, { code: 'closed' }));
  const closed = told(client, 'closed');
  client.close();
  await Promise.all([...waiting, closed]);
});

test('presence is asked again, too', async (t) => {
  const { client, socket, again } = await connected(t);
  const members = client.presence('room');
  socket.hangUp();
  const next = await again();
  const { topic, ref } = next.last('presence');
  assert.equal(topic, 'room');
  next.say({ type: 'presence', topic, ref, clients: [{ client_id: 'x', user: 'ada' }] });
  assert.deepEqual(await members, [{ client_id: 'x', user: 'ada' }]);
  const nobody = client.presence('a..b');
  next.refuse('presence', 'invalid_topic');
  await assert.rejects(nobody, { code: 'invalid_topic' });
});

test('numbers that JavaScript cannot hold come through a parser that can', async (t) => {
  const network = fakeNetwork();
  const parse = (text) => JSON.parse(text.replace(/"data":(\d{16,})/, '"data":"$1"'), (key, value) => (key === 'data' ? BigInt(value) : value));
  const client = connect('http://a.test', { WebSocket: network.WebSocket, transports: ['websocket'], parse });
  t.after(() => client.close());
  const socket = await network.next();
  socket.welcome();
  const got = [];
  client.subscribe('a', { onMessage: ({ data }) => got.push(data) });
  socket.ack('subscribe', { id: 'e-1' });
  socket.onmessage({ data: '{"type":"message","id":"e-2","topic":"a","data":9007199254740993,"time":""}' });
  assert.deepEqual(got, [9007199254740993n]);
});
