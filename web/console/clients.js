// The table of clients.
import { confirm } from './confirm.js';
import { getClient } from './connection.js';
import { offerSnippets } from './copy.js';
import { $, breakable, button, element, sayError, setText, toast } from './dom.js';
import { firstLimit, nextLimit, showMore } from './paging.js';
import { Poll } from './poll.js';
import { addView } from './route.js';
import { path, request } from './session.js';
import { disconnectSnippets, listSnippets } from './snippets.js';
import { cell, table } from './table.js';
import { ago, count, whole } from './time.js';

const maxPatterns = 5;         // of a client that are named

let limit = firstLimit;
let show;

const query = () => ({ topic: $('clients-topic').value.trim(), user: $('clients-user').value.trim(), limit });

async function load(signal) {
  const { clients, next, unreachable } = await request('GET', 'clients', { query: query(), signal });
  show(clients);
  setText($('clients-count'), count(clients.length, 'client') + (next ? ' of more' : '')
    + (unreachable ? `; ${unreachable.join(', ')} did not answer` : ''));
  $('clients-empty').hidden = clients.length > 0;
  showMore('clients-more', next, limit);
}

async function disconnect(client, poll) {
  const who = client.user ? `${client.user} (${client.id})` : client.id;
  const text = `${who}, ${client.transport} from ${client.remote_address}. It is told not to come back.`;
  if (!await confirm('Disconnect this client?', text, 'Disconnect', disconnectSnippets(client.id))) return;
  try {
    await request('DELETE', path('clients', client.id));
    toast(`Disconnected ${client.id}`);
  } catch (error) {
    toast(sayError(error), true);
  }
  poll.now();
}

function patterns(list) {
  const rest = list.length - maxPatterns;
  return list.slice(0, maxPatterns).join('  ') + (rest > 0 ? `  and ${whole(rest)} more` : '') || '–';
}

/** startClients makes the table. */
export function startClients() {
  const poll = new Poll(load, $('clients-notice'));
  show = table('clients-table', (client) => client.id, (client) => {
    const end = button('quiet danger', 'Disconnect…', () => disconnect(client, poll));
    end.setAttribute('aria-label', `Disconnect… ${client.id}`);
    const id = cell('id', element('span', 'whole', client.id), element('span', 'tag'));
    id.title = client.user_agent ?? '';
    return [id, cell(), cell('whole', client.transport), cell('id whole', client.remote_address), cell('patterns'),
      cell('whole'), cell('number'), cell('number'), cell('number'), cell('actions', end)];
  }, (cells, client) => {
    setText(cells[0].lastChild, client.id === getClient().id ? 'this page' : '');
    setText(cells[1], client.user ?? '–'); // who signs in gets one
    const text = patterns(client.subscriptions);
    if (cells[4].textContent !== text) cells[4].replaceChildren(...breakable(text));
    setText(cells[5], ago(client.connected_at));
    cells[5].title = client.connected_at;
    setText(cells[6], whole(client.delivered));
    setText(cells[7], whole(client.dropped));
    setText(cells[8], `${whole(client.queued_bytes)} B`);
  });
  $('clients-search').addEventListener('submit', (event) => event.preventDefault());
  $('clients-search').addEventListener('input', () => {
    limit = firstLimit;
    poll.now();
  });
  $('clients-more').querySelector('button').addEventListener('click', () => {
    limit = nextLimit(limit);
    poll.now();
  });
  $('copy-clients').addEventListener('click', () => offerSnippets('List clients', listSnippets('clients', query())));
  addView('clients', 'clients', { show: () => poll.start(), hide: () => poll.stop() });
  return poll;
}
