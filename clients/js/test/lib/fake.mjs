// A network without a server: the test is the server. It says what a real one says rarely, or never.
import { setImmediate as turn } from 'node:timers/promises';

/** fakeNetwork gives a WebSocket class, and the sockets that were made of it, one after another. */
export function fakeNetwork() {
  const made = [];
  const waiting = [];

  class FakeWebSocket {
    /** All requests that the client has sent here. */
    sent = [];
    isClosed = false;

    constructor(url) {
      this.url = url;
      network.opened++;
      if (waiting.length) waiting.shift()(this);
      else made.push(this);
    }

    send(text) { this.sent.push(JSON.parse(text)); }

    close() { this.isClosed = true; }

    // The server's side.

    say(...frames) {
      for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
    }

    welcome(more) {
      this.say({ type: 'welcome', client_id: 'an-id', ping_interval: 25, limits: { message_size: 1_000, frame_size: 2_000 }, ...more });
    }

    /** The last request, or the last one with that action. */
    last(action) {
      return this.sent.findLast((request) => !action || request.action === action);
    }

    /** Acknowledges the last request with that action. */
    ack(action, more) {
      const { topics, topic, ref } = this.last(action);
      this.say({ type: 'ack', action, topics, topic, ref, ...more });
    }

    refuse(action, code) {
      this.say({ type: 'error', code, message: `it is ${code}`, ref: this.last(action).ref });
    }

    message(id, topic, data = id) {
      this.say({ type: 'message', id, topic, data, time: '2026-11-23T17:45:01.250Z' });
    }

    hangUp(code = 1006, reason = '') { this.onclose({ code, reason }); }
  }

  const network = {
    WebSocket: FakeWebSocket,
    opened: 0,

    /** The next socket, as soon as it is there. */
    next: () => (made.length ? Promise.resolve(made.shift()) : new Promise((found) => { waiting.push(found); })),
  };
  return network;
}

/** settled resolves when nothing but timers and sockets is left to happen. */
export const settled = () => turn();

/** pass moves the time of a test that has mocked it, and lets happen what that brings about. */
export async function pass(t, time) {
  await settled();
  t.mock.timers.tick(time);
  await settled();
}

/** An event of a client, as a promise of its detail. */
export const told = (client, type) => new Promise((heard) => {
  client.addEventListener(type, ({ detail }) => heard(detail), { once: true });
});

/** A token as the client sees it: all that it reads is when it expires, in milliseconds. */
export const tokenUntil = (time) => `e30.${Buffer.from(JSON.stringify({ exp: time / 1_000 })).toString('base64url')}.c2ln`;
