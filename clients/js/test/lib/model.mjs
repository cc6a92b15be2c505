// A server as docs/protocol.md has it, one step at a time: what is on its way stays there until the test moves it.
import { matches } from './pattern.mjs';

export const place = (id) => Number(id.slice(id.indexOf('-') + 1));
const id = (n) => `e-${n}`;

/** The log: a message's place is its index, and up to `removed` they are gone. */
export class Log {
  messages = [undefined];
  removed = 0;

  get present() { return this.messages.length - 1; }

  /** The next place after that one with a message that matches, or undefined. */
  next(some, after) {
    const patterns = [...some];
    for (let n = after + 1; n < this.messages.length; n++) {
      if (patterns.some((pattern) => matches(pattern, this.messages[n]))) return n;
    }
    return undefined;
  }
}

/** A connection to the server, as it looks from there. */
export class Session {
  /** Requests and frames on their way. A frame has the pattern on whose account it may be dropped, if it may. */
  requests = [];
  frames = [];
  #log;
  #live = new Map(); // overflow, by pattern
  #replays = [];
  #isUnplaced = false;

  constructor(log) {
    this.#log = log;
    this.#say({ type: 'welcome', client_id: 'an-id', ping_interval: 1e6 });
  }

  #say(frame, drop) { this.frames.push({ frame, drop }); }

  publish(n) {
    const kinds = [...this.#live].filter(([pattern]) => matches(pattern, this.#log.messages[n]));
    if (!kinds.length) return;
    const [[pattern, overflow], ...others] = kinds;
    const mayBeDropped = overflow && !others.length; // or else only one of them would be told
    if (mayBeDropped) this.#isUnplaced = true;
    this.#say(this.#message(n), mayBeDropped && pattern);
  }

  #message(n) { return { type: 'message', id: id(n), topic: this.#log.messages[n], data: n, time: 'now' }; }

  position() { this.#say({ type: 'position', id: id(this.#log.present) }); }

  /** Drops one that may be, as if there was no room for it. */
  drop(random) {
    const droppable = this.frames.filter(({ drop }) => drop);
    if (!droppable.length) return;
    const one = droppable[Math.floor(random() * droppable.length)];
    one.frame = { type: 'notice', code: 'dropped', topic: one.drop, count: 1 };
    one.drop = undefined;
  }

  /** Ends one of the patterns, as a new token may. */
  forbid(random) {
    const all = [...this.#live.keys(), ...this.#replays.flatMap(({ patterns }) => [...patterns.keys()])];
    if (!all.length) return;
    const pattern = all[Math.floor(random() * all.length)];
    this.#end([pattern]);
    this.#say({ type: 'notice', code: 'forbidden', topic: pattern });
  }

  #end(patterns) {
    for (const pattern of patterns) {
      this.#live.delete(pattern);
      for (const replay of this.#replays) replay.patterns.delete(pattern);
    }
    this.#replays = this.#replays.filter((replay) => replay.patterns.size);
  }

  /** Answers the next request. */
  answer() {
    const request = this.requests.shift();
    if (!request?.ref) return;
    const { action, ref, topics = [request.topic] } = request;
    const ack = { type: 'ack', action, topics, ref, id: id(this.#log.present) };
    if (action === 'unsubscribe') {
      const has = (pattern) => this.#live.has(pattern) || this.#replays.some(({ patterns }) => patterns.has(pattern));
      if (!topics.every(has)) return this.#say({ type: 'error', code: 'not_found', message: 'no such subscription', ref });
      this.#end(topics);
      return this.#say(ack);
    }
    const patterns = new Map(topics.map((topic) => [topic, request.overflow]));
    if (request.since === undefined && request.last === undefined) {
      for (const [pattern, overflow] of patterns) this.#live.set(pattern, overflow);
      return this.#say(ack);
    }
    let at = this.#log.removed;
    if (request.last) {
      const all = [];
      for (let n = at; (n = this.#log.next(topics, n));) all.push(n);
      at = (all.at(-request.last) ?? all[0] ?? this.#log.present + 1) - 1;
    } else if (request.since !== 'all') {
      at = place(request.since);
      ack.recovered = !(this.#log.next(topics, at) <= this.#log.removed);
    }
    this.#say({ ...ack, id: id(at) });
    if (ack.recovered === false) at = this.#log.removed;
    this.#replays.push({ topics, patterns, at });
  }

  /** Brings the next of the replay under way, and says whether there is one. */
  replay() {
    const [replay] = this.#replays;
    if (!replay) return false;
    if (this.#log.next(replay.patterns.keys(), replay.at) <= this.#log.removed) {
      for (const pattern of replay.patterns.keys()) this.#say({ type: 'notice', code: 'gap', topic: pattern });
    }
    replay.at = Math.max(replay.at, this.#log.removed);
    if (this.#isUnplaced) {
      this.position();
      this.#isUnplaced = false;
    }
    const n = this.#log.next(replay.patterns.keys(), replay.at);
    if (n) {
      replay.at = n;
      this.#say(this.#message(n));
      return true;
    }
    this.#replays.shift();
    for (const [pattern, overflow] of replay.patterns) this.#live.set(pattern, overflow);
    this.#say({ type: 'caught_up', topics: replay.topics, id: id(this.#log.present) });
    return true;
  }
}
