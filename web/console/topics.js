// The table of topics.
import { offerSnippets } from './copy.js';
import { $, breakable, button, element, setText, toast, sayError } from './dom.js';
import { firstLimit, nextLimit, showMore } from './paging.js';
import { Poll } from './poll.js';
import { addView, goTo } from './route.js';
import { request } from './session.js';
import { listSnippets } from './snippets.js';
import { subscribe } from './subscriptions.js';
import { cell, table } from './table.js';
import { ago, count, whole } from './time.js';

let limit = firstLimit;
let show;

/** watch subscribes to a topic, and shows the stream. */
export async function watch(topic, options) {
  try {
    await subscribe([topic], options);
    goTo('#/stream');
  } catch (error) {
    toast(sayError(error), true);
  }
}

const query = () => ({ pattern: $('topics-pattern').value.trim(), limit });

async function load(signal) {
  const { topics, next, unreachable } = await request('GET', 'topics', { query: query(), signal });
  show(topics);
  setText($('topics-count'), count(topics.length, 'topic') + (next ? ' of more' : '')
    + (unreachable ? `; ${unreachable.join(', ')} did not answer` : ''));
  $('topics-empty').hidden = topics.length > 0;
  $('topics-empty').textContent = query().pattern ? 'No topic matches the pattern.' : 'No topic has a subscriber or a message yet.';
  showMore('topics-more', next, limit);
}

/** startTopics makes the table. */
export function startTopics() {
  const poll = new Poll(load, $('topics-notice'));
  show = table('topics-table', (topic) => topic.name, ({ name }) => {
    const link = element('a', 'topic', ...breakable(name));
    link.href = `#/topics/${encodeURIComponent(name)}`;
    const listen = button('quiet', 'Subscribe', () => watch(name));
    listen.setAttribute('aria-label', `Subscribe to ${name}`);
    return [cell('', link), cell('number'), cell('number'), cell('whole'), cell('id whole'), cell('actions', listen)];
  }, (cells, topic) => {
    setText(cells[1], whole(topic.subscribers));
    setText(cells[2], whole(topic.messages));
    setText(cells[3], topic.last_time ? ago(topic.last_time) : '–');
    cells[3].title = topic.last_time ?? '';
    setText(cells[4], topic.last_id ?? '–');
  });
  $('topics-search').addEventListener('submit', (event) => event.preventDefault());
  $('topics-pattern').addEventListener('input', () => {
    limit = firstLimit;
    poll.now();
  });
  $('topics-more').querySelector('button').addEventListener('click', () => {
    limit = nextLimit(limit);
    poll.now();
  });
  $('copy-topics').addEventListener('click', () => offerSnippets('List topics', listSnippets('topics', query())));
  addView('topics', 'topics', { show: () => poll.start(), hide: () => poll.stop() });
  return poll;
}
