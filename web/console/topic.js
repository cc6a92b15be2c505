// One topic: its history, who is subscribed to it, and what can be done with it.
import { confirm } from './confirm.js';
import { connection } from './connection.js';
import { offerSnippets } from './copy.js';
import { $, breakable, element, sayError, setText, toast } from './dom.js';
import { flat } from './json.js';
import { Poll } from './poll.js';
import { compose } from './publish.js';
import { addView } from './route.js';
import { path, request } from './session.js';
import { historySnippets, presenceSnippets, purgeSnippets } from './snippets.js';
import { cell, table } from './table.js';
import { clock, count } from './time.js';
import { watch } from './topics.js';

const lastMessages = 50;
const maxPreview = 1000;       // characters of a message

let topic = '';
let mayCount = true;           // until the server says no
let showHistory, showPresence;

async function load(signal) {
  const mine = topic;
  const target = path('topics', mine);
  const [info, history, presence] = await Promise.all([
    counts(mine, signal),
    request('GET', `${target}/messages`, { query: { last: lastMessages }, signal }),
    request('GET', `${target}/clients`, { query: { limit: 1000 }, signal }),
  ]);
  const { messages } = history;
  setText($('topic-count'), info ? `${count(info.subscribers, 'subscriber')}, ${count(info.messages, 'message')} kept` : '');
  showHistory(messages.toReversed());
  setText($('history-count'), messages.length === lastMessages ? `the last ${lastMessages}` : '');
  $('history-empty').hidden = messages.length > 0;
  showPresence(presence.clients);
  setText($('presence-count'), `${count(presence.clients.length, 'client')}${presence.next ? ' and more' : ''}`
    + (presence.unreachable ? `; ${presence.unreachable.join(', ')} did not answer` : ''));
  $('presence-empty').hidden = presence.clients.length > 0;
}

// counts answers what the list of topics says of one. That is for administrators; others are asked to be one elsewhere.
async function counts(name, signal) {
  if (!mayCount) return undefined;
  try {
    const { topics } = await request('GET', 'topics', { query: { pattern: name }, signal, optional: true });
    return topics[0] ?? { subscribers: 0, messages: 0 };
  } catch (error) {
    if (error.status !== 401 && error.status !== 403) throw error;
    mayCount = false;
    return undefined;
  }
}

async function purge(poll) {
  const mine = topic;
  const text = 'All messages that are kept of this topic are removed, for everybody. That cannot be undone.';
  if (!await confirm(`Purge ${mine}?`, text, 'Purge', purgeSnippets(mine))) return;
  try {
    await request('DELETE', `${path('topics', mine)}/messages`);
    toast(`Purged ${mine}`);
  } catch (error) {
    toast(sayError(error), true);
  }
  poll.now();
}

/** startTopic makes the view. */
export function startTopic() {
  const poll = new Poll(load, $('topic-notice'), 'those who may listen to all of this topic');
  showHistory = table('history-table', (message) => message.id, ({ id, time, data, from, encoding }) => {
    const text = typeof data === 'string' ? data : flat(data);
    const when = element('time', '', clock(new Date(time)));
    when.title = time;
    return [
      cell('whole', when),
      cell(typeof data === 'string' ? 'data' : 'data json', encoding ? element('span', 'tag', encoding) : undefined,
        text.length > maxPreview ? `${text.slice(0, maxPreview)}…` : text),
      cell('', from ?? ''), cell('id whole', id),
    ];
  }, () => {});
  showPresence = table('presence-table', (member) => member.client_id,
    ({ client_id: id, user }) => [cell('id whole', id), cell('', user ?? '–')], () => {});

  $('topic-subscribe').addEventListener('click', () => watch(topic, { last: lastMessages }));
  $('topic-publish').addEventListener('click', () => compose(topic, ''));
  $('topic-purge').addEventListener('click', () => purge(poll));
  $('copy-history').addEventListener('click', () => offerSnippets(`History of ${topic}`, historySnippets(topic, lastMessages)));
  $('copy-presence').addEventListener('click', () => offerSnippets(`Presence of ${topic}`, presenceSnippets(topic)));
  connection.addEventListener('replaced', () => { mayCount = true; });
  addView('topic-view', 'topics', {
    show(name) {
      topic = name;
      $('topic-title').replaceChildren(...breakable(topic));
      setText($('topic-count'), '');
      showHistory([]);
      showPresence([]);
      poll.start();
    },
    hide: () => poll.stop(),
  });
  return poll;
}
