// Carries out the scenarios of clients/testdata/scenarios.json: clients/README.md says what their steps mean.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { startServer } from '../../../../web/e2e/lib/server.mjs';
import { connect } from '../../client.js';
import { randomFrom } from './random.mjs';
import { authenticated, mint } from './tokens.mjs';
import { openWay } from './way.mjs';

const patience = 60_000; // ms; only a failure ever waits that long
const batch = 100;

/** run carries out one scenario over one transport. The seed decides where the way is cut. */
export async function run(scenario, transport, seed) {
  const directory = await mkdtemp(join(tmpdir(), 'fanfare-scenario-'));
  const world = new World(scenario.server ?? {}, transport, directory, randomFrom(seed));
  try {
    await world.start();
    for (const [index, step] of scenario.steps.entries()) {
      const [[name, details]] = Object.entries(step);
      assert.equal(typeof world[name], 'function', `there is no step ${name}`);
      await within(world[name](details), `step ${index + 1}, ${JSON.stringify(step)}`);
    }
    world.check();
  } finally {
    await world.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** World is a server, a way to it, and the clients. Its methods are the steps, by their names. */
class World {
  #settings;
  #transport;
  #random;
  #environment;
  #server;
  #way;
  #clients = new Map();
  #subscriptions = new Map();

  constructor(settings, transport, directory, random) {
    this.#settings = settings;
    this.#transport = transport;
    this.#random = random;
    this.#environment = {
      ...(settings.durable && { FANFARE_ENGINE: 'nats', FANFARE_NATS_EMBEDDED: 'true', FANFARE_NATS_STORE_DIR: directory }),
      ...(settings.auth && authenticated),
      ...settings.env,
    };
  }

  async start() {
    this.#server = await startServer({ env: this.#environment });
    this.#way = await openWay(this.#server.port);
  }

  check() {
    for (const [name, { losses, awaited }] of this.#subscriptions) assert.equal(losses, awaited, `losses of ${name}`);
  }

  async stop() {
    for (const { client } of this.#clients.values()) client.close();
    await this.#way?.close();
    await this.#server?.stop();
  }

  // Clients

  async connect({ client: name, token, fails }) {
    const one = { connections: 0, tokens: 0, changed: new EventTarget() };
    const change = () => one.changed.dispatchEvent(new Event('change'));
    const next = () => {
      one.tokens++;
      change();
      return mint({ user: name, ...token });
    };
    one.client = connect(this.#way.url, {
      transports: [this.#transport], WebSocket, token: token && (token.fixed ? next() : next),
    });
    one.client.addEventListener('connected', () => { one.connections++; change(); });
    one.client.addEventListener('closed', ({ detail }) => { one.end = detail; change(); });
    this.#clients.set(name, one);
    if (fails) return this.ends({ client: name, code: fails });
    await until(one, () => one.connections || one.end);
    assert.equal(one.end, undefined);
  }

  async connections({ client, times }) {
    const one = this.#clients.get(client);
    await until(one, () => one.connections >= times);
  }

  async tokens({ client, times }) {
    const one = this.#clients.get(client);
    await until(one, () => one.tokens >= times);
  }

  async ends({ client, code }) {
    const one = this.#clients.get(client);
    await until(one, () => one.end);
    assert.equal(one.end.error?.code, code);
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.client === one) assert.equal(subscription.end?.error?.code, code, 'its subscriptions end with the same code');
    }
  }

  /** Over SSE each subscription is a client to the server. */
  async disconnect({ client }) {
    const one = this.#clients.get(client);
    const ids = new Set([one.client.id].filter(Boolean));
    for (const { client: owner, topics } of this.#subscriptions.values()) {
      if (owner !== one || one.client.id) continue;
      const { clients } = await this.#ask('GET', `/clients?topic=${encodeURIComponent(topics[0])}`);
      clients.forEach(({ id }) => ids.add(id));
    }
    for (const id of ids) await this.#ask('DELETE', `/clients/${id}`);
  }

  // Subscriptions

  async subscribe({ client: name, as, topics, since, last, overflow, buffer, fails }) {
    const client = this.#clients.get(name);
    const subscription = { client, topics, losses: 0, awaited: 0, changed: new EventTarget() };
    const change = () => subscription.changed.dispatchEvent(new Event('change'));
    subscription.handle = client.client.subscribe(topics, {
      since, last, overflow, buffer,
      onLost() { subscription.losses++; change(); },
      onEnd(error) { subscription.end = { error }; change(); },
    });
    subscription.messages = subscription.handle[Symbol.asyncIterator]();
    this.#subscriptions.set(as, subscription);
    if (!fails) return subscription.handle.ready;
    await assert.rejects(subscription.handle.ready, { code: fails });
    assert.equal(subscription.end.error.code, fails);
  }

  async unsubscribe({ subscription }) {
    this.#subscriptions.get(subscription).handle.unsubscribe();
  }

  async receive({ subscription, from, to }) {
    const { messages } = this.#subscriptions.get(subscription);
    for (let n = from; n <= to; n++) {
      const { value } = await messages.next();
      assert.equal(value?.data, n, `the next message of ${subscription}`);
    }
  }

  async newest({ subscription, to }) {
    const { messages } = this.#subscriptions.get(subscription);
    for (let before = -Infinity; before !== to;) {
      const { value } = await messages.next();
      assert.ok(value.data > before && value.data <= to, `${value.data} after ${before}`);
      before = value.data;
    }
  }

  async lost({ subscription: name }) {
    const subscription = this.#subscriptions.get(name);
    subscription.awaited++;
    await until(subscription, () => subscription.losses >= subscription.awaited);
  }

  // Messages

  async publish({ client, topic, from, to, fails }) {
    if (!client) return this.#publishBatches(topic, from, to);
    for (let n = from; n <= to; n++) {
      const published = this.#clients.get(client).client.publish(topic, n);
      if (fails) await assert.rejects(published, { code: fails });
      else await published;
    }
  }

  async storm({ client, subscriptions, topic, from, to, published = from - 1, cuts }) {
    const places = new Set();
    while (places.size < cuts) places.add(from + Math.floor(this.#random() * (to - from)));
    const receiveFirst = async () => {
      for (let n = from; n <= to; n++) {
        await this.receive({ subscription: subscriptions[0], from: n, to: n });
        if (places.has(n)) this.#way.cut();
      }
    };
    await Promise.all([
      this.publish({ client, topic, from: published + 1, to }),
      receiveFirst(),
      ...subscriptions.slice(1).map((subscription) => this.receive({ subscription, from, to })),
    ]);
  }

  async purge({ topic }) {
    await this.#ask('DELETE', `/topics/${encodeURIComponent(topic)}/messages`);
  }

  // The way, and the server

  async cut() { this.#way.cut(); }

  async block() { this.#way.block(); }

  async unblock() { this.#way.unblock(); }

  async freeze() { this.#way.freeze(); }

  async thaw(options) { this.#way.thaw(options); }

  async restart() {
    await this.#server.stop();
    this.#server = await startServer({ env: this.#environment });
    this.#way.target = this.#server.port;
  }

  async closes({ code }) {
    const counted = new RegExp(`^fanfare_client_closes_total{code="${code}",.*} [1-9]`, 'm');
    while (!counted.test(await (await this.#fetch('GET', '/metrics')).text()));
  }

  async #publishBatches(topic, from, to) {
    for (let next = from; next <= to;) {
      const messages = [];
      while (messages.length < batch && next <= to) messages.push({ topic, data: next++ });
      const { results } = await this.#ask('POST', '/publish', { messages });
      for (const result of results) assert.ok(result.id, JSON.stringify(result));
    }
  }

  async #ask(method, path, body) {
    const response = await this.#fetch(method, path, body);
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text && JSON.parse(text);
  }

  /** What the test does itself goes to the server directly, as an administrator who may do all. */
  #fetch(method, path, body) {
    const token = mint({ user: 'test', admin: true, subscribe: ['>'], publish: ['>'] });
    return fetch(this.#server.url + path, {
      method,
      body: body && JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', ...(this.#settings.auth && { Authorization: `Bearer ${token}` }) },
    });
  }
}

async function until({ changed }, isSo) {
  while (!isSo()) await once(changed, 'change');
}

async function within(step, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not done: ${what}`)), patience); });
  try {
    await Promise.race([step, late]);
  } catch (error) {
    error.message = `${what}: ${error.message}`;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
