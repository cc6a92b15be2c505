// A WebSocket client that is not ours: the ws package, one JSON object a frame.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';

const patience = 30_000; // ms; only a failure ever waits that long

/** connect opens a connection and takes the welcome frame, which is the sign that the server knows us. */
export async function connect(url, options) {
  const socket = new WebSocket(url, options);
  const frames = [];
  const waiting = [];
  const pump = () => {
    while (frames.length && waiting.length) waiting.shift()(frames.shift());
  };
  socket.on('message', (data, binary) => {
    assert.equal(binary, false, 'the server sends text frames');
    frames.push(JSON.parse(data));
    pump();
  });
  const closed = new Promise((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
  });
  await once(socket, 'open');

  const client = {
    socket,
    closed,
    send: (frame) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),

    /** next answers the next frame, whatever it is: nothing is skipped, so a frame too many shows. */
    next: () => new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no frame within ${patience} ms`)), patience);
      waiting.push((frame) => { clearTimeout(timer); resolve(frame); });
      pump();
    }),

    async subscribe(topic, ref = topic) {
      client.send({ action: 'subscribe', topic, ref });
      const ack = await client.next();
      assert.deepEqual([ack.type, ack.action, ack.topic, ack.ref], ['ack', 'subscribe', topic, ref]);
      return ack;
    },

    async close() {
      socket.close(1000);
      return closed;
    },
  };
  client.welcome = await client.next();
  assert.equal(client.welcome.type, 'welcome');
  return client;
}
