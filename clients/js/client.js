// Fanfare's client for browsers and for Node 20 or newer: one file, no dependencies, no build step. README.md is the
// guide, client.d.ts has the types. What goes over the wire, and why nothing is missed, is in docs/protocol.md.
//
//   Client         stays connected: transports, attempts, tokens, and what the next connection has to ask again
//   Interest       one subscription: from where it goes on, and what is new to it
//   Inbox          what waits for the reader of one subscription
//   Feed           a subscribe request on one connection
//   WebSocketLink  one WebSocket: tells for which subscription a message is
//   EventsLink     the same over HTTP: a stream of server-sent events for each subscription

// Times are in milliseconds.
const patience = 10_000; // how long an answer may take before the connection counts as dead
const heartbeat = 25_000; // how often something comes over a stream
const firstPause = 250; // between two attempts, at first; a random part of it, from half of it on
const longestPause = 20_000;
const longestTimer = 2 ** 31 - 1; // setTimeout can do no more
const provenAfter = 5_000; // a connection that lived so long was a good one

const defaultBuffer = 1_000; // messages that may wait for a reader
const defaultDeadline = 30_000; // of a publish

const closedNormally = 1000;
const closedAbnormally = 1006;
const firstFinal = 4500; // from here on, a close code means: do not come back
const unauthorized = 4500;

// Refusals that are for now.
const passing = new Set(['rate_limited', 'overloaded', 'engine_unavailable', 'internal', 'shutting_down', 'too_many_clients']);

/** An error of the server, or of the client's own: see client.d.ts. */
export class FanfareError extends Error {
  constructor(code, message) {
    super(message || code);
    this.name = 'FanfareError';
    this.code = code;
  }
}

/** Connects in the background. */
export function connect(url, options) {
  return typeof url === 'string' || url instanceof URL ? new Client(url, options) : new Client(globalThis.location?.origin, url ?? options);
}

// ---- The client ----

export class Client extends EventTarget {
  #base;
  #options;
  #transports;
  #state = 'connecting';
  #link; // the present connection, or the last one
  #interests = new Set();
  #questions = new Set(); // what has no answer yet, in its order
  #refusals = 0; // of tokens, in a row
  #renewal; // the timer: until a new token is due, or is given up
  #goOn = () => {}; // ends the pause between two attempts

  constructor(url, options = {}) {
    super();
    if (!url) throw new TypeError('url is missing');
    this.#base = new URL(url, globalThis.location?.href).href.replace(/^ws/, 'http').replace(/\/?$/, '/');
    this.#options = options;
    const socket = options.WebSocket ?? globalThis.WebSocket;
    this.#transports = (options.transports ?? Object.keys(links)).filter((name) => links[name] && (name !== 'websocket' || socket));
    if (!this.#transports.length) throw new FanfareError('unsupported', 'no WebSocket here');
    globalThis.addEventListener?.('online', this.#retryNow);
    queueMicrotask(() => this.#run()); // so that listeners see the first event
  }

  get state() { return this.#state; }

  get id() { return this.#state === 'connected' ? this.#link.id : undefined; }

  subscribe(topics, options = {}) {
    if (this.#state === 'closed') throw closedError();
    topics = [...new Set([].concat(topics))];
    for (const other of this.#interests) {
      const taken = topics.find((topic) => other.topics.includes(topic));
      if (taken !== undefined) throw new FanfareError('conflict', `there is a subscription to ${taken}`);
    }
    const interest = new Interest(topics, options, {
      enter: () => this.#enter(interest),
      leave: () => this.#leave(interest),
      lost: (lost) => this.#emit('lost', lost),
    });
    this.#interests.add(interest);
    this.#enter(interest);
    if (options.signal?.aborted) interest.end();
    return interest.subscription;
  }

  async publish(topic, data, { key, timeout, signal } = {}) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new FanfareError('invalid_json', 'the data is not JSON');
    return this.#ask((link, question) => link.publish(question), { topic, key: key || newKey(), text }, timeout, signal);
  }

  presence(topic) {
    return this.#ask((link, question) => link.presence(question), { topic });
  }

  close() {
    this.#end();
  }

  // Connecting

  async #run() {
    for (let attempt = 0; this.#state !== 'closed';) {
      this.#state = 'connecting';
      this.#emit('connecting', { attempt });
      const began = Date.now();
      const { code, reason } = await this.#connection();
      clearTimeout(this.#renewal);
      if (this.#state === 'closed') return;
      if (code === unauthorized && typeof this.#options.token === 'function' && ++this.#refusals < 2) {
        // The token may have been too old. Once more, with another one.
      } else if (code >= firstFinal) {
        this.#end(new FanfareError(code === unauthorized ? 'unauthorized' : 'disconnected', reason));
        return;
      }
      // Who accepts and hangs up, again and again, is not asked more and more often for it.
      attempt = this.#link?.isProven || (this.#link?.hasBegun && Date.now() - began >= provenAfter) ? 0 : attempt + 1;
      const retryIn = Math.round(jitter(Math.min(longestPause, firstPause * 2 ** attempt)));
      this.#state = 'waiting';
      this.#emit('disconnected', { code, reason, retryIn });
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, retryIn);
        this.#goOn = () => { clearTimeout(timer); resolve(); };
      });
    }
  }

  /** Tries the transports until one gets through, and resolves when that has ended. */
  async #connection() {
    let token;
    let end = {};
    try {
      token = await this.#token();
    } catch (error) {
      this.#link = undefined;
      return { code: closedAbnormally, reason: `no token: ${error}` };
    }
    for (const transport of this.#transports) {
      if (this.#state === 'closed') break;
      this.#link = new links[transport](this.#base, this.#options, token, {
        interests: this.#interests,
        up: (link) => this.#up(link, token),
        connected: (link) => this.#connected(link, transport),
        refused: (interest, error) => this.#refused(interest, error),
      });
      end = await this.#link.ended;
      if (this.#link.works) this.#transports = [transport];
      if (this.#link.hasBegun || end.code >= firstFinal) break;
    }
    return end;
  }

  /** The link takes requests: all that is to be asked again goes out at once. */
  #up(link, token) {
    link.authenticate(token);
    for (const interest of [...this.#interests]) this.#enter(interest);
    for (const question of [...this.#questions]) question.ask();
    this.#renewBefore(token);
  }

  #connected(link, transport) {
    if (this.#state !== 'connecting') return; // the token was renewed
    this.#refusals = 0;
    this.#state = 'connected';
    this.#emit('connected', { id: link.id, transport });
  }

  #retryNow = () => this.#goOn();

  #end(error) {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    globalThis.removeEventListener?.('online', this.#retryNow);
    clearTimeout(this.#renewal);
    this.#goOn();
    this.#link?.end(closedNormally, '');
    for (const interest of [...this.#interests]) interest.end(error);
    for (const question of [...this.#questions]) question.reject(error ?? closedError());
    this.#emit('closed', { error });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // Tokens

  /** A function that never answers must not keep the client from trying again. */
  async #token() {
    const { token } = this.#options;
    if (typeof token !== 'function') return token;
    return new Promise((resolve, reject) => {
      clearTimeout(this.#renewal);
      this.#renewal = setTimeout(reject, heartbeat, 'it takes too long');
      new Promise((give) => { give(token()); }).then(resolve, reject);
    });
  }

  #renewBefore(token, least = 0) {
    clearTimeout(this.#renewal);
    if (typeof this.#options.token !== 'function') return;
    const left = expiry(token) - Date.now();
    if (left > 0) this.#renewal = setTimeout(() => this.#renew(token), Math.min(longestTimer, Math.max(least, left * 0.75)));
  }

  async #renew(old) {
    const link = this.#link;
    try {
      const token = await this.#token();
      if (!link.isUp) return; // the next connection has asked for one of its own
      link.authenticate(token);
      this.#renewBefore(token);
    } catch {
      if (link.isUp) this.#renewBefore(old, 1_000);
    }
  }

  // Subscriptions

  #enter(interest) {
    if (this.#link?.isUp && !interest.feed && !interest.isResting && !interest.isOver) this.#link.subscribe(interest);
  }

  #leave(interest) {
    clearTimeout(interest.timer);
    const { feed } = interest;
    interest.feed = undefined;
    if (interest.isOver) this.#interests.delete(interest);
    if (feed) this.#link.unsubscribe(feed);
  }

  #refused(interest, error) {
    interest.feed = undefined;
    if (!passing.has(error.code)) return interest.end(error);
    interest.timer = setTimeout(() => this.#enter(interest), jitter(Math.min(longestPause, 2_000 * 2 ** interest.refusals++)));
  }

  // Questions: what is asked on every connection until it is answered

  #ask(send, question, timeout = defaultDeadline, signal) {
    return new Promise((resolve, reject) => {
      if (this.#state === 'closed') throw closedError();
      signal?.throwIfAborted();
      const settle = (how) => (value) => {
        question.isOver = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#questions.delete(question);
        how(value);
      };
      const abort = () => question.reject(signal.reason);
      const late = () => question.reject(new FanfareError('timeout', 'no answer in time'));
      const timer = setTimeout(late, Math.min(longestTimer, timeout));
      signal?.addEventListener('abort', abort);
      question.resolve = settle(resolve);
      question.reject = settle(reject);
      question.ask = () => { if (this.#link?.isUp) send(this.#link, question); };
      this.#questions.add(question);
      question.ask();
    });
  }
}

// ---- Subscriptions ----

class Interest {
  /** From where it goes on, as the server is asked for it. Once it is acknowledged, that is always an id. */
  start;
  /** The request, on the present connection, that it gets its messages by. */
  feed;
  /** It has no feed, since its inbox is full. */
  isResting = false;
  isOver = false;
  refusals = 0;
  timer; // until it is asked for again, after a refusal

  #options;
  #hooks;
  #given; // the id of the last message that went into the inbox
  #behind; // while the inbox has something: the id of the last message that went out of it, or what was before
  #isBehind; // what it first asked for has not been given yet
  #isAcknowledged = false;
  #becomeReady;
  #failReady;

  constructor(topics, options, hooks) {
    this.topics = topics;
    this.start = { since: options.since, last: options.last };
    this.#isBehind = this.hasReplay;
    this.#options = options;
    this.#hooks = hooks;
    this.inbox = new Inbox(options, topics, (id) => this.#taken(id));
    this.ready = new Promise((resolve, reject) => { this.#becomeReady = resolve; this.#failReady = reject; });
    this.ready.catch(() => {}); // who does not wait for it is told otherwise
    options.signal?.addEventListener('abort', this.#end);
    this.subscription = this.#facade();
  }

  /** Its next request is answered with a replay. */
  get hasReplay() { return (this.start.since ?? this.start.last) !== undefined; }

  get request() {
    return { topics: this.topics, ...this.start, overflow: this.#options.overflow, presence: this.#options.presence };
  }

  get cursor() {
    if (!this.#isAcknowledged) return undefined;
    return this.inbox.isEmpty ? this.start.since : this.#behind;
  }

  // What comes from the link.

  acknowledged(ack) {
    this.refusals = 0;
    if (ack.recovered === false && this.start.since !== 'all') this.#lost(this.topics, 'resume');
    this.start = { since: ack.id };
    this.#isAcknowledged = true;
    this.#becomeReady();
  }

  give(message, isLive) {
    if (!isAfter(message.id, this.#given)) return;
    const { start } = this;
    if (this.inbox.isEmpty) this.#behind = start.since;
    this.start = { since: message.id }; // first, so that the reader sees it as its cursor
    if (this.inbox.put(message, isLive)) {
      this.#given = message.id;
      return;
    }
    this.start = start;
    this.isResting = true;
    this.#hooks.leave();
  }

  caughtUp() {
    if (this.#isBehind) this.inbox.tell(this.#options.onCaughtUp);
    this.#isBehind = false;
  }

  notice({ code, topic, count }) {
    if (code === 'gap') this.#lost([topic], code);
    if (code === 'dropped') this.inbox.tell(this.#options.onDropped, { topic, count });
    if (code === 'forbidden') this.end(new FanfareError(code, `the token does not allow ${topic}`));
  }

  presence(event) {
    if (this.#options.presence && patternOf(event.topic, this.topics)) call(this.#options.onPresence, event);
  }

  end(error) {
    if (this.isOver) return;
    this.isOver = true;
    this.#options.signal?.removeEventListener('abort', this.#end);
    this.#hooks.leave();
    this.#failReady(error ?? new FanfareError('closed', 'unsubscribed'));
    this.inbox.end(error);
    call(this.#options.onEnd, error);
  }

  #end = () => this.end();

  #facade() {
    const interest = this;
    return {
      topics: this.topics,
      ready: this.ready,
      get cursor() { return interest.cursor; },
      unsubscribe: this.#end,
      [Symbol.asyncIterator]: () => ({
        next: () => this.inbox.next(),
        return: async () => {
          this.end();
          return { done: true, value: undefined };
        },
      }),
    };
  }

  #lost(topics, reason) {
    this.inbox.tell((lost) => {
      call(this.#options.onLost, lost);
      this.#hooks.lost({ ...lost, subscription: this.subscription });
    }, { topics, reason });
  }

  #taken(id) {
    this.#behind = id;
    if (!this.isResting || !this.inbox.isRoomy) return;
    this.isResting = false;
    this.#hooks.enter();
  }
}

/** The messages that wait for a reader, and between them what else it is to be told. With onMessage nothing waits. */
class Inbox {
  #options;
  #limit;
  #topics;
  #taken;
  #entries = []; // { message } or { tell, detail }
  #size = 0;
  #readers = []; // who waits for a message, when there is none
  #end; // { error }

  constructor(options, topics, taken) {
    this.#options = options;
    this.#limit = Math.max(1, options.buffer ?? defaultBuffer);
    this.#topics = topics;
    this.#taken = taken;
  }

  get isEmpty() { return !this.#entries.length; }

  get isRoomy() { return this.#size <= this.#limit / 2; }

  /** Says whether there was room. The policies of overflow begin when the subscription is live. */
  put(message, isLive) {
    if (this.#options.onMessage) {
      call(this.#options.onMessage, message);
      return true;
    }
    const overflow = isLive && this.#options.overflow;
    if (overflow === 'latest') {
      const others = this.#entries.filter((entry) => entry.message?.topic !== message.topic);
      this.#size -= this.#entries.length - others.length;
      this.#entries = others;
    }
    if (this.#size >= this.#limit) {
      if (overflow !== 'drop_oldest') return false;
      this.#dropOldest();
    }
    this.#entries.push({ message });
    this.#size++;
    this.#readers.shift()?.(this.next());
    return true;
  }

  /** Tells the reader something, when it has had what came before. */
  tell(tell, detail) {
    if (this.isEmpty) call(tell, detail);
    else this.#entries.push({ tell, detail });
  }

  async next() {
    for (let entry; (entry = this.#entries.shift());) {
      if (!entry.message) {
        call(entry.tell, entry.detail);
        continue;
      }
      this.#size--;
      this.#taken(entry.message.id);
      return { done: false, value: entry.message };
    }
    if (!this.#end) return new Promise((resolve) => { this.#readers.push(resolve); });
    const { error } = this.#end;
    this.#end = {};
    if (error) throw error;
    return { done: true, value: undefined };
  }

  /** With an error, what waits can still be read. */
  end(error) {
    if (!error) {
      this.#entries = [];
      this.#size = 0;
    }
    this.#end = { error };
    for (const reader of this.#readers.splice(0)) reader(this.next());
  }

  /** What was dropped is told where it was missing: at the head. */
  #dropOldest() {
    const [{ message }] = this.#entries.splice(this.#entries.findIndex((entry) => entry.message), 1);
    this.#size--;
    const topic = patternOf(message.topic, this.#topics);
    const [head] = this.#entries;
    if (head?.tell === this.#options.onDropped && head.detail?.topic === topic) head.detail.count++;
    else this.#entries.unshift({ tell: this.#options.onDropped, detail: { topic, count: 1 } });
  }
}

// ---- Connections ----

/** A feed is a subscribe request on one connection. It gives nothing if its interest has another one by now, or none. */
class Feed {
  /** Its replay is over, or it has none. */
  isLive = false;

  constructor(interest) {
    this.interest = interest;
    this.patterns = new Set(interest.topics); // as far as the server has not ended them
    this.hasReplay = interest.hasReplay;
    interest.feed = this;
  }

  get isCurrent() { return this.interest.feed === this; }

  give(message) {
    if (this.isCurrent) this.interest.give(message, this.isLive);
  }

  /** Up to there the interest has been given everything. */
  moveTo(start) {
    if (this.isCurrent) this.interest.start = start;
  }
}

/** What both kinds of link have in common: a beginning and an end. */
class Link {
  hasBegun = false;
  isOver = false;
  works = false; // no other transport is needed
  isProven = false; // it has brought something
  feeds = new Set();

  constructor(base, options, token, client) {
    Object.assign(this, { base, token, client });
    this.parse = options.parse ?? JSON.parse;
    /** Resolves to the close code and the reason. */
    this.ended = new Promise((resolve) => { this.tellEnd = resolve; });
  }

  /** It takes requests. */
  get isUp() { return this.hasBegun && !this.isOver; }

  begin() {
    this.hasBegun = true;
    this.client.up(this);
  }

  end(code, reason) {
    if (this.isOver) return;
    this.isOver = true;
    for (const feed of this.feeds) {
      if (feed.isCurrent) feed.interest.feed = undefined;
    }
    this.hangUp();
    this.tellEnd({ code, reason });
  }

  /** It is of no use any more. */
  breakOff(reason) {
    this.end(closedAbnormally, reason);
  }
}

// ---- Over a WebSocket ----

class WebSocketLink extends Link {
  id;

  #socket;
  #limits = {};
  #refs = 0;
  #answers = new Map(); // what to do with an answer, by ref
  #replays = []; // the feeds whose replay is still to come, in their order: the first is under way
  #highest; // the highest id seen here
  #interval; // of the server's signs of life
  #timer;

  constructor(base, options, ...rest) {
    super(base, options, ...rest);
    this.#timer = setTimeout(() => this.breakOff('no welcome'), patience);
    try {
      this.#socket = new (options.WebSocket ?? WebSocket)(new URL('ws', base).href.replace('http', 'ws'));
    } catch (error) { // a page of https may not open one without TLS, for one
      return this.breakOff(error.message);
    }
    this.#socket.onmessage = ({ data }) => this.#read(data);
    this.#socket.onclose = ({ code, reason }) => this.end(code, reason);
    this.#socket.onerror = () => {}; // a close follows
  }

  authenticate(token) {
    if (!token) return this.client.connected(this);
    this.#ask({ action: 'auth', token }, (error) => {
      if (!error) this.client.connected(this);
      else this.end(error.code === 'unauthorized' ? unauthorized : closedAbnormally, error.message);
    });
  }

  subscribe(interest) {
    const feed = new Feed(interest);
    this.feeds.add(feed);
    this.#ask({ action: 'subscribe', ...interest.request }, (error, ack) => {
      if (error) {
        this.feeds.delete(feed);
        if (feed.isCurrent) this.client.refused(interest, error);
        return;
      }
      if (feed.isCurrent) interest.acknowledged(ack);
      if (feed.hasReplay) this.#replays.push(feed);
      else feed.isLive = true;
      this.#see(ack.id);
    });
  }

  /**
   * What still comes of the feed, until the answers, is for nobody. Each pattern is left by itself, for the server may have
   * ended one of them meanwhile, and what is sent later would end what is asked for anew.
   */
  unsubscribe(feed) {
    for (const topic of feed.patterns) {
      this.#ask({ action: 'unsubscribe', topic }, (error) => {
        if (error && error.code !== 'not_found') this.breakOff(error.message);
        else this.#lose(feed, topic);
      });
    }
  }

  publish(question) {
    const { topic, key, text } = question;
    if (!fits(text, this.#limits.message_size)) return question.reject(tooLarge());
    this.#ask({ action: 'publish', topic, key }, (error, ack) => {
      if (!error) {
        this.isProven = true;
        question.resolve({ id: ack.id, topic, duplicate: Boolean(ack.duplicate) });
      } else if (error.code !== 'shutting_down') { // else the next server is asked
        question.reject(error);
      }
    }, text);
  }

  presence(question) {
    this.#ask({ action: 'presence', topic: question.topic }, (error, frame) => {
      if (error) question.reject(error);
      else question.resolve(frame.clients);
    });
  }

  /** Sends a request. One whose frame is too large for the server would end the connection. The data is JSON text. */
  #ask(request, answer, data) {
    const ref = ++this.#refs;
    let frame = JSON.stringify({ ...request, ref });
    if (data !== undefined) frame = `${frame.slice(0, -1)},"data":${data}}`;
    if (!fits(frame, this.#limits.frame_size)) return answer(tooLarge());
    this.#answers.set(ref, answer);
    this.#socket.send(frame);
  }

  #read(text) {
    if (this.isOver) return;
    if (this.hasBegun) this.#watch();
    let frame;
    try {
      frame = this.parse(text);
    } catch (error) {
      return this.breakOff(error.message);
    }
    const answer = this.#answers.get(frame.ref);
    if (answer) {
      this.#answers.delete(frame.ref);
      answer(frame.type === 'error' ? new FanfareError(frame.code, frame.message) : undefined, frame);
      return;
    }
    switch (frame.type) {
      case 'welcome': return this.#welcome(frame);
      case 'message': return this.#message(frame);
      case 'caught_up': return this.#caughtUp(frame);
      case 'position': return this.#see(frame.id);
      case 'notice': return this.#notice(frame);
      case 'presence': case 'join': case 'leave': return this.#presence(frame);
    }
  }

  #welcome(frame) {
    this.id = frame.client_id;
    this.#limits = frame.limits ?? {};
    this.works = true;
    this.#interval = frame.ping_interval * 1_000 || heartbeat;
    this.#watch();
    this.begin();
  }

  /** A message that is new here is live, and for whoever has caught up. Any other is of the replay under way. */
  #message(frame) {
    const message = messageOf(frame);
    const isNew = isAfter(message.id, this.#highest);
    const live = isNew ? [...this.feeds].filter((feed) => feed.isLive && patternOf(message.topic, [...feed.patterns])) : [];
    for (const feed of live.length ? live : this.#replays.slice(0, 1)) {
      this.isProven = true;
      feed.give(message);
    }
    this.#see(message.id);
  }

  #caughtUp(frame) {
    const feed = this.#replays.shift();
    if (!feed) return;
    feed.isLive = true;
    this.#see(frame.id);
    if (feed.isCurrent) feed.interest.caughtUp();
  }

  /** The highest id seen is the cursor of all that have caught up. */
  #see(id) {
    if (isAfter(id, this.#highest)) this.#highest = id;
    const start = { since: this.#highest };
    for (const feed of this.feeds) {
      if (feed.isLive) feed.moveTo(start);
    }
  }

  #notice(notice) {
    const { code, topic } = notice;
    const feed = [...this.feeds].find(({ patterns }) => patterns.has(topic));
    if (!feed) return;
    if (code === 'forbidden') this.#lose(feed, topic); // a new token does not allow it
    if (feed.isCurrent) feed.interest.notice(notice);
  }

  /** The server has ended one of the patterns. What comes behind the last one, of a replay, is of the next. */
  #lose(feed, topic) {
    feed.patterns.delete(topic);
    if (feed.patterns.size) return;
    this.feeds.delete(feed);
    this.#replays = this.#replays.filter((other) => other !== feed);
  }

  #presence(event) {
    for (const { isCurrent, interest } of [...this.feeds]) {
      if (isCurrent) interest.presence(event);
    }
  }

  /** Something was heard. When nothing more is for the interval it asks, and without an answer it gives up. */
  #watch() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#socket.send('{"action":"ping"}');
      this.#timer = setTimeout(() => this.breakOff('it is silent'), patience);
    }, this.#interval);
  }

  hangUp() {
    clearTimeout(this.#timer);
    this.#socket?.close();
  }
}

// ---- Over HTTP ----

/**
 * Each subscription is a stream of its own, each publish a request. All of it has one fate: when one stream breaks, the
 * link has ended.
 */
class EventsLink extends Link {
  #over = new AbortController(); // ends the requests under way
  #publishing = Promise.resolve(); // one after another, or they would overtake each other

  constructor(...parts) {
    super(...parts);
    this.#knock();
  }

  /** A stream keeps the token that it began with, so each begins anew. */
  authenticate(token) {
    this.token = token;
    for (const feed of [...this.feeds]) {
      this.unsubscribe(feed);
      if (feed.isCurrent) this.subscribe(feed.interest);
    }
  }

  subscribe(interest) {
    if (interest.request.presence) return this.client.refused(interest, new FanfareError('unsupported', 'presence needs a WebSocket'));
    const feed = new Feed(interest);
    feed.stream = new AbortController();
    this.feeds.add(feed);
    this.#listen(feed).finally(() => this.feeds.delete(feed));
  }

  unsubscribe(feed) {
    feed.stream.abort();
  }

  publish(question) {
    this.#publishing = this.#publishing.then(async () => {
      if (question.isOver) return;
      const { topic, key, text } = question;
      await this.#exchange(question, `topics/${encodeURIComponent(topic)}/publish`, {
        method: 'POST', body: text, headers: { 'Content-Type': 'application/json', 'Idempotency-Key': inHeader(key) },
      }, ({ id, duplicate }) => {
        this.works = this.isProven = true;
        question.resolve({ id, topic, duplicate });
      });
    }).catch(question.reject);
  }

  async presence(question, members = [], after = '') {
    const query = new URLSearchParams({ limit: 10_000, after });
    await this.#exchange(question, `topics/${encodeURIComponent(question.topic)}/clients?${query}`, {}, ({ clients, next }) => {
      members = members.concat(clients);
      return next ? this.presence(question, members, next) : question.resolve(members);
    });
  }

  /** Is there a server, and does it know the token? With a topic the answer is 200, for what that is worth. */
  async #knock() {
    const [interest] = this.client.interests;
    const response = await this.#fetch(`events?${topicsOf(interest?.topics ?? [])}`, { method: 'HEAD', time: patience });
    const status = response?.status;
    if (status === 401) return this.end(unauthorized, 'the token was refused');
    if (![200, 400, 403, 409].includes(status)) return this.breakOff(`HTTP status ${status}`);
    this.begin();
    this.client.connected(this);
  }

  async #listen(feed) {
    const { topics, since, last, overflow } = feed.interest.request;
    const query = topicsOf(topics);
    for (const [name, value] of Object.entries({ since, last, overflow })) {
      if (value !== undefined) query.append(name, value);
    }
    const response = await this.#fetch(`events?${query}`, { headers: { Accept: 'text/event-stream' }, signal: feed.stream.signal });
    if (!response) return;
    if (!response.ok) {
      const error = await this.#problem(response);
      if (error && feed.isCurrent) this.#refused(feed, error);
      return;
    }
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const read = eventReader((id, data) => feed.isCurrent && this.#receive(feed, id, data));
    try {
      for (let chunk; !(chunk = await this.#soon(reader.read())).done;) read(decoder.decode(chunk.value, { stream: true }));
      throw new Error('the stream has ended');
    } catch (error) {
      if (feed.isCurrent) this.breakOff(error.message);
    } finally {
      feed.stream.abort();
    }
  }

  #receive(feed, id, data) {
    const { interest } = feed;
    const frame = data && this.parse(data);
    switch (frame?.type) {
      case 'ack':
        this.works = true;
        feed.isLive = !feed.hasReplay;
        interest.acknowledged(frame);
        break;
      case 'message':
        this.isProven = true;
        feed.give(messageOf(frame));
        break;
      case 'caught_up':
        feed.isLive = true;
        interest.caughtUp();
        break;
      case 'notice':
        interest.notice(frame);
        break;
      case 'error': return this.#refused(feed, new FanfareError(frame.code, frame.message));
      case 'close': return this.end(frame.code, frame.reason);
    }
    if (id) feed.moveTo({ since: id });
  }

  /** While nothing has ever come over HTTP, the WebSocket is tried first, again. */
  #refused(feed, error) {
    this.unsubscribe(feed);
    if (passing.has(error.code) && !this.works) this.breakOff(error.message);
    else this.client.refused(feed.interest, error);
  }

  /** Asks, and has the answer read, or the question fail. When the link ends before, it is asked again on the next. */
  async #exchange(question, path, request, read) {
    const response = await this.#fetch(path, request);
    if (!response) return;
    if (!response.ok) {
      const error = await this.#problem(response);
      if (error) question.reject(error);
      return;
    }
    try {
      await read(await this.#soon(response.json()));
    } catch (error) {
      this.breakOff(error.message);
    }
  }

  /** What the server has against a request. Nothing, if the link has ended by it. */
  async #problem(response) {
    const { code, detail } = await this.#soon(response.json()).catch(() => ({}));
    if (code && code !== 'shutting_down' && !(code === 'unauthorized' && this.token)) return new FanfareError(code, detail);
    this.end(code === 'unauthorized' ? unauthorized : closedAbnormally, detail ?? `HTTP status ${response.status}`);
    return undefined;
  }

  /** Resolves to nothing if the request was given up, or the link has ended. */
  async #fetch(path, { headers, signal = this.#over.signal, time, ...request } = {}) {
    if (this.isOver) return undefined;
    headers = new Headers(headers); // throws if the key of a publish cannot be in there
    try {
      if (this.token) headers.set('Authorization', `Bearer ${this.token}`);
      return await this.#soon(fetch(new URL(path, this.base), { ...request, headers, signal, cache: 'no-store' }), time);
    } catch (error) {
      if (!signal.aborted) this.breakOff(error.cause?.message ?? error.message);
      return undefined;
    }
  }

  /** Breaks off if this takes so long that nobody can be there. */
  #soon(promise, time = heartbeat + patience) {
    const timer = setTimeout(() => this.breakOff('it is silent'), time);
    return promise.finally(() => clearTimeout(timer));
  }

  hangUp() {
    this.#over.abort();
    for (const { stream } of this.feeds) stream.abort();
  }
}

const topicsOf = (topics) => new URLSearchParams(topics.map((topic) => ['topic', topic]));

/**
 * Reads server-sent events, in pieces of any size, as this server writes them: each field is one line. The type of an event
 * is in its data, too.
 */
function eventReader(found) {
  let rest = '';
  return (text) => {
    const events = (rest + text).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      const { id, data } = Object.fromEntries(event.split('\n').map((line) => line.split(/: (.*)/s)));
      found(id, data);
    }
  };
}

/** The transports, in the order in which they are tried. */
const links = { websocket: WebSocketLink, sse: EventsLink };

// ---- Small things ----

const jitter = (time) => time * (0.5 + Math.random() / 2);

const closedError = () => new FanfareError('closed', 'the client is closed');

const tooLarge = () => new FanfareError('payload_too_large', 'too large for the server');

/** A text's size as UTF-8 is at most three times its length. */
const fits = (text, limit = Infinity) => text.length * 3 <= limit || new TextEncoder().encode(text).length <= limit;

/** Calls a function of the application. What it throws is its own affair, and reported like any exception. */
function call(callback, ...args) {
  try {
    callback?.(...args);
  } catch (error) {
    queueMicrotask(() => { throw error; });
  }
}

/** Whether an id comes after another one, or there is no other. One of another log does. */
function isAfter(id, other) {
  if (other === undefined) return true;
  const at = id.indexOf('-') + 1;
  if (id.slice(0, at) !== other.slice(0, at)) return true;
  return id.length === other.length ? id > other : id.length > other.length; // behind it is a decimal number
}

function messageOf({ type, ...message }) {
  return message;
}

/** The first of the patterns that the topic matches, if any does. */
function patternOf(topic, patterns) {
  const names = topic.split('.');
  return patterns.find((pattern) => {
    const tokens = pattern.split('.');
    const last = tokens.length - 1;
    return names.length > last && names.every((name, i) => tokens[i] === name || tokens[i] === '*' || tokens[Math.min(i, last)] === '>');
  });
}

/** When a token expires, in milliseconds; NaN if it does not say so, as an API key does not. */
function expiry(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))).exp * 1_000;
  } catch {
    return NaN;
  }
}

/** A header holds bytes. */
const inHeader = (text) => unescape(encodeURIComponent(text));

/** A page without TLS has no crypto.randomUUID. */
function newKey() {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}
