// Clients that others wrote go through the whole conversation: ws in Node, websockets in Python.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect } from './lib/client.mjs';
import { startServer } from './lib/server.mjs';

let server;
before(async () => { server = await startServer(); });
after(() => server?.stop());

test('ws in Node', async () => {
  const client = await connect(server.ws);
  assert.match(client.welcome.client_id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.equal(client.welcome.message, 'Hi Client!');

  const ack = await client.subscribe('foreign.*', 'first');
  assert.match(ack.id, /^[^-]+-\d+$/);

  const receipt = await server.publish('foreign.node', { n: 1 });
  const { time, ...message } = await client.next();
  assert.deepEqual(message, { type: 'message', id: receipt.id, topic: 'foreign.node', data: { n: 1 } });
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(receipt.topic, 'foreign.node');
  assert.equal(receipt.subscribers, 1);

  const text = await server.publish('foreign.node', 'hello');
  assert.deepEqual((({ id, data }) => ({ id, data }))(await client.next()), { id: text.id, data: 'hello' });

  // Its own publish comes back as a message and as an ack, in an order that nobody promises.
  client.send({ action: 'publish', topic: 'foreign.node', data: [true, null, 'ü'], ref: 7 });
  const frames = Object.fromEntries([await client.next(), await client.next()].map((frame) => [frame.type, frame]));
  assert.deepEqual([frames.ack.action, frames.ack.ref], ['publish', 7]);
  assert.deepEqual([frames.message.id, frames.message.data], [frames.ack.id, [true, null, 'ü']]);

  client.send({ action: 'unsubscribe', topic: 'foreign.*', ref: 'bye' });
  const bye = await client.next();
  assert.deepEqual([bye.type, bye.action, bye.topic, bye.ref], ['ack', 'unsubscribe', 'foreign.*', 'bye']);
  await server.publish('foreign.node', 'nobody listens');

  client.send({ action: 'ping', ref: 8 });
  assert.deepEqual(await client.next(), { type: 'pong', ref: 8 });

  for (const [frame, code] of [
    ['{"action":', 'invalid_json'],
    [{ action: 'subscribe', topic: 'a..b' }, 'invalid_topic'],
    [{ action: 'publish', topic: 'a.*', data: 1 }, 'invalid_topic'],
  ]) {
    client.send(frame);
    const error = await client.next();
    assert.equal(error.type, 'error');
    assert.equal(error.code, code);
    assert.ok(error.message.length > 0);
  }
  client.send({ action: 'dance', ref: 9 });
  const unknown = await client.next();
  assert.deepEqual([unknown.type, unknown.ref], ['error', 9]);

  client.send({ action: 'ping' });
  assert.deepEqual(await client.next(), { type: 'pong' }, 'the connection is still open');
  assert.equal((await client.close()).code, 1000);
});

test('two clients each get every message in the order of the ids', async () => {
  const clients = await Promise.all([connect(server.ws), connect(server.ws)]);
  for (const client of clients) await client.subscribe('order.>');
  const receipts = await Promise.all(Array.from({ length: 100 }, (_, n) => server.publish(`order.${n % 7}`, n)));
  const ids = receipts.map(({ id }) => id).sort((a, b) => a.split('-')[1] - b.split('-')[1]);
  for (const client of clients) {
    const got = [];
    while (got.length < ids.length) got.push((await client.next()).id);
    assert.deepEqual(got, ids);
    await client.close();
  }
});

test('websockets in Python', async () => {
  const script = fileURLToPath(new URL('foreign.py', import.meta.url));
  const python = spawn(process.env.PYTHON ?? '/usr/bin/python3', [script, server.url], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  python.stdout.on('data', (chunk) => { output += chunk; });
  python.stderr.on('data', (chunk) => { output += chunk; });
  const code = await new Promise((resolve, reject) => {
    python.on('error', reject);
    python.on('close', resolve);
  });
  assert.equal(code, 0, output);
});
