// What a message carries beside its data comes as it is: a Trace Context, and the attributes of a CloudEvent.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../client.js';
import { fakeNetwork } from './lib/fake.mjs';
import { event, fakeFetch } from './lib/fakefetch.mjs';

const message = {
  id: 'e-7', topic: 'a', data: 1, time: '2026-11-23T17:45:01.250Z',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', tracestate: 'vendor=1',
  event: { specversion: '1.0', id: 'A-1', source: '/shop', type: 'order.placed', urgent: true },
};

test('over a WebSocket', async (t) => {
  const network = fakeNetwork();
  const client = connect('http://a.test', { WebSocket: network.WebSocket, transports: ['websocket'] });
  t.after(() => client.close());
  const got = new Promise((onMessage) => { client.subscribe('a', { onMessage }); });
  const socket = await network.next();
  socket.welcome();
  socket.ack('subscribe', { id: 'e-5' });
  socket.say({ type: 'message', ...message });
  assert.deepEqual(await got, message);
});

test('over HTTP', async (t) => {
  const requests = fakeFetch(t);
  const client = connect('http://a.test', { transports: ['sse'] });
  t.after(() => client.close());
  const got = new Promise((onMessage) => { client.subscribe('a', { onMessage }); });
  (await requests.next()).status(200);
  const stream = (await requests.next()).stream();
  stream.say(event({ type: 'ack', action: 'subscribe', id: 'e-5' }) + event({ type: 'message', ...message }));
  assert.deepEqual(await got, message);
});
