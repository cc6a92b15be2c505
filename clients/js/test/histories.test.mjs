// Random histories: subscriptions that overlap begin anywhere, rest, end and are renewed, are forbidden and cut off,
// while all that is on its way waits for its turn. What comes out is held against the log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../client.js';
import { pass, settled } from './lib/fake.mjs';
import { Log, Session, place } from './lib/model.mjs';
import { matches } from './lib/pattern.mjs';
import { randomFrom } from './lib/random.mjs';

const count = Number(process.env.FANFARE_JS_HISTORIES ?? 150);
const steps = 400;
const topics = ['a', 'b', 'a.b', 'a.c'];
const patterns = ['a', 'b', 'a.*', '*', '>', 'a.>', 'a.b'];

test('random histories', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const begin = Number(process.env.FANFARE_JS_SEED ?? Math.floor(Math.random() * 2 ** 31));
  for (let seed = begin; seed < begin + count; seed++) {
    const history = new History(t, randomFrom(seed));
    try {
      await history.run();
    } catch (error) {
      error.message += ` (FANFARE_JS_SEED=${seed})\n${history.done.slice(-60).join('\n')}`;
      throw error;
    }
  }
});

class History {
  #t;
  #random;
  #log = new Log();
  #socket; // the present one, with its session
  #client;
  #open = [];
  #cursors = []; // that an application kept
  done = [];

  constructor(t, random) {
    this.#t = t;
    this.#random = random;
    const history = this;
    class FakeWebSocket {
      session = new Session(history.#log);
      constructor() { history.#socket = this; }
      send(text) { this.session.requests.push(JSON.parse(text)); }
      close() { history.#socket = undefined; }
    }
    this.#client = connect('http://a.test', { WebSocket: FakeWebSocket, transports: ['websocket'] });
  }

  async run() {
    await settled();
    for (let n = 0; n < steps; n++) {
      await this.#step();
      this.#open.forEach((reading) => reading.look());
    }
    for (const topic of topics) this.#publish(topic);
    await this.#finish();
    for (const reading of this.#open) reading.checkEnd();
    this.#client.close();
  }

  async #step() {
    const n = this.#random() * 100;
    const session = this.#socket?.session;
    if (n < 18) this.#publish(this.#pick(topics));
    else if (n < 36) session?.answer();
    else if (n < 50) session?.replay();
    else if (n < 70) await this.#deliver();
    else if (n < 80) await this.#read();
    else if (n < 86) this.#subscribe();
    else if (n < 89) this.#unsubscribe();
    else if (n < 91) this.#renew();
    else if (n < 93) this.#keep();
    else if (n < 94) session?.position();
    else if (n < 96) session?.drop(this.#random);
    else if (n < 96.5) session?.forbid(this.#random);
    else if (n < 97) this.#log.removed += Math.floor(this.#random() * (this.#log.present - this.#log.removed));
    else if (n < 98) this.#cut();
    else await pass(this.#t, 20_000);
  }

  #pick(list) { return list[Math.floor(this.#random() * list.length)]; }

  #publish(topic) {
    this.#log.messages.push(topic);
    this.done.push(`published ${this.#log.present} to ${topic}`);
    this.#socket?.session.publish(this.#log.present);
  }

  /** Lets the client have the next frame: each is a task of its own, as in a browser. */
  async #deliver() {
    const next = this.#socket?.session.frames.shift();
    if (!next) return;
    this.done.push(`  ${JSON.stringify(next.frame)}`);
    this.#socket.onmessage({ data: JSON.stringify(next.frame) });
    await settled();
    for (const reading of this.#open) reading.look();
  }

  #cut() {
    if (!this.#socket) return;
    this.done.push('cut');
    const { onclose } = this.#socket;
    this.#socket = undefined;
    onclose({ code: 1006, reason: '' });
  }

  async #read() {
    if (this.#open.length) await this.#pick(this.#open).read();
  }

  #subscribe(wanted = [...new Set([this.#pick(patterns), this.#pick(patterns)])], options = this.#beginning()) {
    if (this.#open.some(({ topics }) => topics.some((topic) => wanted.includes(topic)))) return;
    this.done.push(`subscribe ${wanted} ${JSON.stringify(options)}`);
    this.#open.push(new Reading(this.#client, this.#log, wanted, options, this.done));
  }

  #beginning() {
    const options = { buffer: 1 + Math.floor(this.#random() * 8), overflow: this.#pick([undefined, undefined, 'latest', 'drop_oldest']) };
    const n = this.#random();
    if (n < 0.2) options.since = 'all';
    else if (n < 0.4) options.since = `e-${Math.floor(this.#random() * this.#log.messages.length)}`;
    else if (n < 0.6) options.last = 1 + Math.floor(this.#random() * 5);
    return options;
  }

  #unsubscribe() {
    const reading = this.#pick(this.#open);
    if (!reading) return;
    this.done.push(`unsubscribe ${reading.topics}`);
    reading.subscription.unsubscribe();
    this.#open = this.#open.filter((other) => other !== reading);
    return reading;
  }

  /** As a component that is rendered twice does. */
  #renew() {
    const reading = this.#unsubscribe();
    if (reading) this.#subscribe(reading.topics, this.#beginning());
  }

  /** Leaves, and comes back with the cursor. */
  #keep() {
    const reading = this.#unsubscribe();
    if (reading) this.#subscribe(reading.topics, { since: reading.subscription.cursor });
  }

  /** Until nothing is left to do. */
  async #finish() {
    for (let isQuiet = false; !isQuiet;) {
      isQuiet = Boolean(this.#socket);
      if (!this.#socket) await pass(this.#t, 20_000);
      const session = this.#socket?.session;
      for (; session?.requests.length; isQuiet = false) session.answer();
      while (session?.replay());
      for (; this.#socket && session.frames.length; isQuiet = false) await this.#deliver();
      for (const reading of this.#open) if (await reading.read()) isQuiet = false;
    }
  }
}

/** A subscription, and what its reader should get next. */
class Reading {
  #log;
  #done;
  #at; // all up to there has been given, or told as lost
  #mayMiss = 0; // how many may be missing before the next: all of them after a loss
  #error;
  #failure;
  #waiting;
  #messages;

  constructor(client, log, topics, options, done) {
    Object.assign(this, { topics, options });
    this.#log = log;
    this.#done = done;
    this.subscription = client.subscribe(topics, {
      ...options,
      onLost: () => {
        if (!log.removed) this.#failure = new Error('nothing is lost without cause');
        this.#mayMiss = Infinity;
      },
      onDropped: ({ count }) => { this.#mayMiss += count; },
      onEnd: (error) => { this.#error = error; },
    });
    this.#messages = this.subscription[Symbol.asyncIterator]();
    if (options.since?.includes('-')) this.#at = place(options.since);
  }

  /** When it is acknowledged, it begins there. And the cursor must be right at any time. */
  look() {
    if (this.#failure) throw this.#failure;
    const { cursor } = this.subscription;
    if (cursor === undefined) return;
    this.#at ??= place(cursor);
    if (this.#waiting || this.#mayMiss || this.options.overflow) return;
    assert.ok(place(cursor) >= this.#at, `the cursor ${cursor} of ${this.topics} is behind ${this.#at}`);
    const next = this.#log.next(this.topics, this.#at);
    assert.ok(!(next <= place(cursor)) || next <= this.#log.removed, `the cursor ${cursor} of ${this.topics} is after ${next}, which was not given`);
  }

  /** Reads one message, if there is one; a reader that waits goes on waiting. */
  async read() {
    let result;
    this.#waiting ??= this.#messages.next().catch((error) => ({ done: true, error })).then((r) => {
      result = r;
      this.#take(r);
    }).catch((error) => { this.#failure = error; });
    await settled();
    return result;
  }

  #take({ done, value }) {
    this.#waiting = done ? this.#waiting : undefined;
    if (done) return;
    const n = place(value.id);
    this.#done.push(`${this.topics} got ${value.id}`);
    assert.ok(this.topics.some((pattern) => matches(pattern, value.topic)), `${value.topic} is not for ${this.topics}`);
    assert.ok(n > this.#at, `${this.topics} got ${n} after ${this.#at}`);
    let missing = 0;
    for (let at = this.#at; (at = this.#log.next(this.topics, at)) !== n; missing++);
    assert.ok(missing <= this.#mayMiss || this.options.overflow === 'latest', `${this.topics} misses ${missing} before ${n}`);
    this.#at = n;
    this.#mayMiss = 0;
  }

  checkEnd() {
    if (this.#failure) throw this.#failure;
    if (this.#error) return;
    const next = this.#log.next(this.topics, this.#at);
    assert.equal(next, undefined, `${this.topics} at ${this.#at} is to get ${next}`);
  }
}
