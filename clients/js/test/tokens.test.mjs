// Tokens: who is asked for them, when, and what becomes of one that is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../client.js';
import { fakeNetwork, pass, settled, told, tokenUntil } from './lib/fake.mjs';

/** begin has a client connect in a time that only the test moves, with a token function that counts its calls. */
function begin(t, token) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const network = fakeNetwork();
  const calls = { count: 0 };
  const client = connect('http://a.test', {
    WebSocket: network.WebSocket,
    transports: ['websocket'],
    token: typeof token === 'function' ? () => token(++calls.count) : token,
  });
  t.after(() => client.close());
  return { network, client, calls };
}

/** reconnected passes the pause, and gives the next socket, greeted. */
async function reconnected(t, network) {
  await pass(t, 20_000);
  const socket = await network.next();
  socket.welcome();
  return socket;
}

test('the token goes first, in a frame, and the rest does not wait for the answer', async (t) => {
  const { network, client } = begin(t, 'a-key');
  client.subscribe('a');
  const socket = await network.next();
  assert.equal(socket.url, 'ws://a.test/ws');
  socket.welcome();
  assert.deepEqual(socket.sent.map(({ action, token }) => [action, token]), [['auth', 'a-key'], ['subscribe', undefined]]);
  assert.equal(client.state, 'connecting');
  socket.ack('auth');
  assert.equal(client.state, 'connected');
  await pass(t, 1_000_000); // an API key is not renewed
  assert.equal(socket.sent.filter(({ action }) => action === 'auth').length, 1);
});

test('a token is renewed after three quarters of what is left of its life', async (t) => {
  const { network, client, calls } = begin(t, (n) => tokenUntil(Date.now() + n * 100_000));
  let connections = 0;
  client.addEventListener('connected', () => connections++);
  const socket = await network.next();
  socket.welcome();
  socket.ack('auth');
  const living = async (time) => {
    for (; time > 0; time -= 5_000) {
      await pass(t, Math.min(time, 5_000));
      socket.say({ type: 'pong' });
    }
  };
  await living(74_999);
  assert.equal(calls.count, 1);
  await living(1);
  assert.equal(calls.count, 2);
  assert.equal(socket.last().action, 'auth');
  socket.ack('auth');
  await living(149_999);
  assert.equal(calls.count, 2);
  await living(1);
  assert.equal(calls.count, 3);
  socket.ack('auth');
  assert.deepEqual([network.opened, connections], [1, 1]);
});

test('a connection that has ended renews nothing, and says nothing', async (t) => {
  const { network, client, calls } = begin(t, () => tokenUntil(Date.now() + 100_000));
  const first = await network.next();
  first.welcome();
  first.hangUp();
  const second = await reconnected(t, network);
  first.ack('auth');
  assert.equal(client.state, 'connecting');
  second.hangUp();
  await pass(t, 80_000); // less than the pauses of many attempts, more than three quarters
  assert.equal(calls.count, network.opened, 'a token for each connection');
});

test('expired while it is renewed: the next connection asks for a token of its own', async (t) => {
  let late;
  const { network, calls } = begin(t, (n) => (n === 2 ? new Promise((resolve) => { late = resolve; }) : tokenUntil(Date.now() + 4_000)));
  const first = await network.next();
  first.welcome();
  first.ack('auth');
  await pass(t, 3_000);
  assert.equal(calls.count, 2);
  first.hangUp(4003, 'token expired');
  const second = await reconnected(t, network);
  assert.equal(calls.count, 3);
  second.ack('auth');
  late('of the first connection');
  await settled();
  assert.deepEqual(first.sent.map(({ action }) => action), ['auth']);
  assert.deepEqual(second.sent.map(({ action }) => action), ['auth']);
});

test('a renewal that fails is tried again before the token expires', async (t) => {
  const { network, client, calls } = begin(t, (n) => {
    if (n === 2) throw new Error('not now');
    return tokenUntil(Date.now() + 16_000);
  });
  const socket = await network.next();
  socket.welcome();
  socket.ack('auth');
  await pass(t, 12_000);
  assert.equal(calls.count, 2);
  await pass(t, 3_000); // of the 4 s that are left
  assert.equal(calls.count, 3);
  assert.equal(socket.sent.length, 2);
  assert.equal(client.state, 'connected');
});

test('a token function that fails is a failed attempt', async (t) => {
  const { network, client } = begin(t, (n) => {
    if (n === 1) throw new Error('the shop is closed');
    return 'a-key';
  });
  const { code, reason } = await told(client, 'disconnected');
  assert.deepEqual([code, reason, network.opened], [1006, 'no token: Error: the shop is closed', 0]);
  const socket = await reconnected(t, network);
  assert.equal(socket.sent[0].token, 'a-key');
});

test('a token that is refused is asked for once more, and that one may do', async (t) => {
  const { network, client, calls } = begin(t, (n) => `token ${n}`);
  for (const round of [1, 3]) { // refused once, and later once again: that is not twice in a row
    const socket = round === 1 ? await network.next() : await reconnected(t, network);
    if (round === 1) socket.welcome();
    socket.refuse('auth', 'unauthorized');
    const next = await reconnected(t, network);
    assert.equal(next.sent[0].token, `token ${round + 1}`);
    next.ack('auth');
    assert.equal(client.state, 'connected');
    next.hangUp(4003);
  }
  assert.equal(calls.count, 4);
});

test('refused twice in a row, it ends', async (t) => {
  const { network, client, calls } = begin(t, (n) => `token ${n}`);
  const subscription = client.subscribe('a');
  const socket = await network.next();
  socket.welcome();
  socket.refuse('auth', 'unauthorized');
  socket.refuse('subscribe', 'unauthorized'); // what was asked behind it
  const closed = told(client, 'closed');
  (await reconnected(t, network)).hangUp(4500, 'unauthorized');
  assert.equal((await closed).error.code, 'unauthorized');
  await assert.rejects(subscription.ready, { code: 'unauthorized' });
  assert.equal(calls.count, 2);
});

test('a fixed token that is refused is the end at once', async (t) => {
  const { network, client } = begin(t, 'a-key');
  const socket = await network.next();
  socket.welcome();
  const closed = told(client, 'closed');
  socket.refuse('auth', 'unauthorized');
  assert.equal((await closed).error.code, 'unauthorized');
});

test("another user's token gets a connection of its own", async (t) => {
  const { network, client } = begin(t, () => tokenUntil(Date.now() + 4_000));
  const socket = await network.next();
  socket.welcome();
  socket.ack('auth');
  await pass(t, 3_000);
  socket.refuse('auth', 'forbidden');
  const next = await reconnected(t, network);
  next.ack('auth');
  assert.equal(client.state, 'connected');
});

test('what a new token does not allow ends, and is left altogether; the rest goes on', async (t) => {
  const { network, client } = begin(t, () => tokenUntil(Date.now() + 4_000));
  const socket = await network.next();
  socket.welcome();
  socket.ack('auth');
  const ends = [];
  const got = [];
  const options = (name) => ({ onEnd: (error) => ends.push(`${name} ${error?.code}`), onMessage: ({ id }) => got.push(`${name} ${id}`) });
  client.subscribe(['a', 'b', 'c'], options('three'));
  socket.ack('subscribe', { id: 'e-1' });
  client.subscribe('>', options('all'));
  socket.ack('subscribe', { id: 'e-1' });
  await pass(t, 3_000);
  socket.say({ type: 'notice', code: 'forbidden', topic: 'a' }, { type: 'notice', code: 'forbidden', topic: 'b' });
  const [b, c] = socket.sent.slice(-2);
  assert.deepEqual([b.topic, c.topic], ['b', 'c'], 'the rest was left before the second notice came');
  socket.ack('auth');
  socket.say({ type: 'error', code: 'not_found', message: 'it is not there', ref: b.ref }, { type: 'ack', action: 'unsubscribe', topic: 'c', id: 'e-1', ref: c.ref });
  socket.message('e-2', 'c');
  assert.deepEqual(ends, ['three forbidden']);
  assert.deepEqual(got, ['all e-2']);
  assert.equal(client.state, 'connected');
});

test('a replay that ends since its pattern is forbidden does not take what is of the next', async (t) => {
  const { network, client } = begin(t, () => tokenUntil(Date.now() + 4_000));
  const socket = await network.next();
  socket.welcome();
  socket.ack('auth');
  const got = [];
  client.subscribe('secret', { since: 'all' });
  socket.ack('subscribe', { id: 'e-0', recovered: true });
  client.subscribe('news', { since: 'all', onMessage: ({ id }) => got.push(id) });
  socket.ack('subscribe', { id: 'e-0', recovered: true });
  await pass(t, 3_000);
  socket.say({ type: 'notice', code: 'forbidden', topic: 'secret' });
  socket.ack('auth');
  socket.message('e-1', 'news');
  assert.deepEqual(got, ['e-1']);
});

test('a token function that never answers is asked again', async (t) => {
  const asked = [];
  const { network, client } = begin(t, () => new Promise((give) => { asked.push(give); }));
  const disconnected = told(client, 'disconnected');
  await pass(t, 25_000);
  assert.match((await disconnected).reason, /no token: it takes too long/);
  await pass(t, 20_000);
  assert.equal(asked.length, 2);
  asked[0]('too late');
  asked[1]('in time');
  const socket = await network.next();
  socket.welcome();
  assert.equal(socket.last('auth').token, 'in time');
});

test('after close() no new token is asked for', async (t) => {
  const { network, client, calls } = begin(t, () => tokenUntil(Date.now() + 4_000));
  (await network.next()).welcome();
  client.close();
  await pass(t, 100_000);
  assert.equal(calls.count, 1);
});

test('when a token expires is read whatever else is in it', async (t) => {
  const payload = (time) => Buffer.from(JSON.stringify({ sub: '\u00ff?\u00fe>~\u00ff?\u00bf', exp: time / 1_000 })).toString('base64url');
  const { network, calls } = begin(t, () => `e30.${payload(Date.now() + 4_000)}.c2ln`);
  assert.match(payload(0), /-.*_|_.*-/);
  const socket = await network.next();
  socket.welcome();
  socket.ack('auth');
  await pass(t, 3_000);
  assert.equal(calls.count, 2);
});
