// How busy the server is, by what it says of itself at /metrics.
import { Chart } from './chart.js';
import { offerSnippets } from './copy.js';
import { $, element, setText } from './dom.js';
import { Poll } from './poll.js';
import { addView } from './route.js';
import { request } from './session.js';
import { listSnippets } from './snippets.js';
import { whole } from './time.js';

const transports = ['websocket', 'sse', 'ndjson', 'poll'];

let before;                    // the sample before
let rates, clients, tiles;

/** readMetrics answers the values of Prometheus' text format, by name and labels as they are written there. */
export function readMetrics(text) {
  const values = new Map();
  for (const [, name, value] of text.matchAll(/^([a-zA-Z_:][\w:]*(?:\{[^\n]*\})?) (\S+)/gm)) values.set(name, Number(value));
  return values;
}

const sum = (values, name) =>
  [...values].filter(([key]) => key === name || key.startsWith(`${name}{`)).reduce((all, [, value]) => all + value, 0);

const size = (bytes) => {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
};

async function load(signal) {
  const values = readMetrics(await request('GET', 'metrics', { signal }));
  const now = {
    at: performance.now(), published: sum(values, 'fanfare_messages_published_total'), delivered: sum(values, 'fanfare_messages_delivered_total'),
  };
  const byTransport = Object.fromEntries(transports.map((name) => [name, values.get(`fanfare_clients{transport="${name}"}`) ?? 0]));
  // A counter that went back is that of another process.
  if (before && now.published >= before.published && now.delivered >= before.delivered) {
    const seconds = (now.at - before.at) / 1000;
    rates.add({ published: (now.published - before.published) / seconds, delivered: (now.delivered - before.delivered) / seconds });
  }
  before = now;
  clients.add(byTransport);
  showTiles({
    Clients: whole(sum(values, 'fanfare_clients')),
    Subscriptions: whole(sum(values, 'fanfare_subscriptions')),
    'Subscribed topics': whole(sum(values, 'fanfare_subscribed_topics')),
    Published: whole(now.published),
    Delivered: whole(now.delivered),
    Dropped: whole(sum(values, 'fanfare_messages_dropped_total')),
    'In outboxes': size(sum(values, 'fanfare_outbox_bytes')),
    Memory: size(sum(values, 'process_resident_memory_bytes')),
  });
  const started = values.get('process_start_time_seconds');
  setText($('activity-count'), started ? `since ${new Date(started * 1000).toLocaleString()}` : '');
}

function showTiles(values) {
  if (!tiles) {
    tiles = Object.fromEntries(Object.keys(values).map((name) => [name, element('dd')]));
    $('tiles').append(...Object.entries(tiles).map(([name, value]) => element('div', 'tile', element('dt', '', name), value)));
  }
  for (const [name, value] of Object.entries(values)) setText(tiles[name], value);
}

/** startActivity makes the charts. */
export function startActivity() {
  const perSecond = (n) => `${n >= 10 || Number.isInteger(n) ? whole(Math.round(n)) : n.toFixed(1)}/s`;
  rates = new Chart($('chart-rates'), 'Messages per second', { published: 'Published', delivered: 'Delivered' }, perSecond);
  clients = new Chart($('chart-clients'), 'Clients', { websocket: 'WebSocket', sse: 'SSE', ndjson: 'NDJSON', poll: 'Long poll' }, whole);
  const poll = new Poll(load, $('activity-notice'));
  $('copy-metrics').addEventListener('click', () => offerSnippets('Metrics', listSnippets('metrics', {})));
  addView('activity', 'activity', { show: () => poll.start(), hide: () => poll.stop() });
  return poll;
}
