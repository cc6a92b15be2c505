// Subscriptions: one chip each, which may have several patterns.
import { connection, getClient } from './connection.js';
import { offerSnippets } from './copy.js';
import { $, answer, breakable, button, element, icon, sayError } from './dom.js';
import { session } from './session.js';
import { subscribeSnippets } from './snippets.js';
import { note, received } from './stream.js';
import { count, whole } from './time.js';

const cross = 'M4 4l8 8M12 4l-8 8';

/** Of each: topics, options (since, last), handle (the SDK's), cursor, messages, chip, isBehind (since the connection was lost). */
const subscriptions = new Set();

let missed = false;            // something, since the connection was lost

const name = (topics) => topics.join(' ');
const same = (some, others) => some.length === others.length && some.every((topic) => others.includes(topic));

/** subscribe begins to listen, and answers when the server has said yes. It throws when it says no. */
export async function subscribe(topics, options = {}) {
  for (const one of subscriptions) if (same(one.topics, topics)) unsubscribe(one);
  const subscription = { topics, options, cursor: undefined, messages: 0, chip: undefined, handle: undefined, isBehind: false };
  begin(subscription);
  subscriptions.add(subscription);
  if (getClient().state !== 'connected') {
    addChip(subscription);
    mark(subscription, false);
  }
  await acknowledged(subscription);
  if (subscription.handle) note('info', `Subscribed to ${name(topics)}`);
}

/** topicsInUse are the topics that are subscribed to, wildcards aside. */
export const topicsInUse = () => [...subscriptions].flatMap(({ topics }) => topics).filter((topic) => !/(^|\.)[*>](\.|$)/.test(topic));

// acknowledged waits for the server, over a change of clients, or until somebody does not want it any more.
async function acknowledged(subscription) {
  while (subscription.handle) {
    const { handle } = subscription;
    try {
      await handle.ready;
      return;
    } catch (error) {
      if (subscription.handle === handle) throw error;
    }
  }
}

function begin(subscription) {
  const { topics, options } = subscription;
  const client = getClient();
  const isMine = () => subscription.handle === handle;
  const from = subscription.cursor ? { since: subscription.cursor } : options;
  const handle = client.subscribe(topics, {
    ...from,
    onMessage(message) {
      if (!isMine()) return;
      received(message);
      subscription.messages++;
      showCount(subscription);
    },
    onLost({ topics: where, reason }) {
      missed = true;
      note('warn', reason === 'gap'
        ? `Messages of ${name(where)} are missing here: they were removed before they could be sent`
        : `Messages of ${name(where)} may be missing here: the log does not reach back that far`);
    },
    onDropped: ({ topic, count: n }) => note('warn', `${count(n, 'message')} of ${topic} dropped: this page was too slow`),
    onEnd(error) {
      if (isMine()) queueMicrotask(() => ended(subscription, client, error));
    },
  });
  subscription.handle = handle;
  handle.ready.then(() => {
    if (!isMine()) return;
    addChip(subscription);
    mark(subscription, !subscription.isBehind);
  }, () => {}); // onEnd says why
}

// ended is for what nobody here has asked for.
function ended(subscription, client, error) {
  if (!error || client !== getClient()) return;
  // What has ended with its client begins again with the next one.
  if (client.state === 'closed') return;
  const { topics } = subscription;
  if (error.code === 'unauthorized') session.dispatchEvent(new Event('needed'));
  note('error', `Error ${sayError(error)} (subscribe to ${name(topics)})`);
  removeChip(subscription);
}

function unsubscribe(subscription) {
  const { handle } = subscription;
  subscription.handle = undefined;
  handle.unsubscribe();
  removeChip(subscription);
  note('info', `Unsubscribed from ${name(subscription.topics)}`);
}

function addChip(subscription) {
  if (subscription.chip) return;
  const { topics, options } = subscription;
  const remove = button('icon', '', () => unsubscribe(subscription));
  remove.setAttribute('aria-label', `Unsubscribe from ${name(topics)}`);
  remove.title = 'Unsubscribe';
  remove.append(icon(cross));
  const copy = button('chip-copy', 'Copy as…', () => offerSnippets(`Subscribe to ${name(topics)}`, subscribeSnippets(topics, options)));
  copy.setAttribute('aria-label', `Copy as… (subscribe to ${name(topics)})`);
  subscription.chip = element('li', 'chip', element('span', 'patterns', ...breakable(name(topics))), element('span', 'received'), copy, remove);
  $('chips').append(subscription.chip);
  showCount(subscription);
  $('no-chips').hidden = true;
}

function removeChip(subscription) {
  subscriptions.delete(subscription);
  const { chip } = subscription;
  if (!chip) return;
  if (chip.contains(document.activeElement)) {
    const next = chip.nextElementSibling ?? chip.previousElementSibling;
    (next?.querySelector('.icon') ?? $('pattern')).focus();
  }
  chip.remove();
  $('no-chips').hidden = $('chips').childElementCount > 0;
}

// showCount writes it with the next picture, however many messages come.
function showCount(subscription) {
  if (subscription.counting || !subscription.chip) return;
  subscription.counting = true;
  requestAnimationFrame(() => {
    subscription.counting = false;
    const received = subscription.chip.querySelector('.received');
    received.textContent = subscription.messages ? whole(subscription.messages) : '';
    received.title = count(subscription.messages, 'message');
  });
}

function lost() {
  missed = false;
  for (const one of subscriptions) {
    one.cursor = one.handle.cursor ?? one.cursor;
    one.isBehind = one.cursor !== undefined;
    mark(one, false);
  }
}

const mark = ({ chip }, live) => chip?.setAttribute('aria-busy', String(!live));

const chosenStart = () => ({
  now: {}, all: { since: 'all' }, last: { last: Number($('last').value) }, since: { since: $('since').value.trim() },
}[$('begin').value]);

const chosenTopics = () => [...new Set($('pattern').value.split(/[\s,]+/).filter(Boolean))];

/** startSubscriptions wires the form, and keeps the subscriptions over a change of clients. */
export function startSubscriptions() {
  $('begin').addEventListener('change', () => {
    for (const name of ['last', 'since']) {
      const chosen = $('begin').value === name;
      $(`begin-${name}`).hidden = !chosen;
      $(name).disabled = !chosen; // or what is wrong in it would stop the form, unseen
    }
  });
  $('subscribe').addEventListener('submit', async (event) => {
    event.preventDefault();
    const topics = chosenTopics();
    answer('subscribe-answer', getClient().state === 'connected' ? '' : 'Waits for the connection', false, $('pattern'));
    $('pattern').select();
    if (getClient().state === 'closed') {
      answer('subscribe-answer', 'Not connected', true);
      return;
    }
    try {
      await subscribe(topics, chosenStart());
    } catch (error) {
      answer('subscribe-answer', sayError(error), true, error.code === 'invalid_topic' ? $('pattern') : undefined);
    }
  });
  $('pattern').addEventListener('input', () => answer('subscribe-answer', '', false, $('pattern')));
  $('watch-all').addEventListener('click', () => {
    $('pattern').value = '>';
    $('subscribe').requestSubmit();
    $('pattern').focus();
  });
  $('copy-subscribe').addEventListener('click', () => {
    const topics = chosenTopics();
    offerSnippets('Subscribe', subscribeSnippets(topics.length ? topics : ['news.*'], chosenStart()));
  });
  connection.addEventListener('up', () => answer('subscribe-answer', '', false, $('pattern')));
  connection.addEventListener('down', lost);
  connection.addEventListener('replaced', () => {
    lost();
    subscriptions.forEach(begin);
  });
  connection.addEventListener('caught-up', ({ detail: topics }) => {
    const behind = [...subscriptions].filter((one) => one.isBehind);
    const one = behind.find((other) => same(other.topics, topics));
    if (!one) return;
    one.isBehind = false;
    mark(one, true);
    if (behind.length === 1 && !missed) note('info', 'Subscribed again: nothing was missed');
  });
}
