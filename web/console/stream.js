// The stream: what came, what there is to say, and which of it is shown.
import { $, element } from './dom.js';
import { flat } from './json.js';
import { Lines } from './lines.js';
import { showMessage } from './message.js';
import { Spoken } from './spoken.js';
import { clock, count, whole } from './time.js';

const maxLines = 10_000;       // kept; older ones go
const maxText = 32 << 20;      // characters of them all
const maxPreview = 400;        // characters of a message in its line

let kept = [];                 // every line there is, the oldest first
let text = 0;                  // their characters
let shown = [];                // those of them that are shown
let waiting = [];              // lines that the next picture brings
let drawing = false;
let last = 0;                  // the seq of the newest line
let messages = 0;              // that came, since the page was cleared
let cut = 0;                   // lines that had to go
let pausedAt = Infinity;       // the seq after which nothing is shown
let words = [];                // of the filter
const ids = new Set();         // of the messages there are: none is there twice

let list, spoken;

const isPaused = () => pausedAt !== Infinity;

/** note adds a line that says something: kind is info, warn, error or server. */
export function note(kind, what) {
  add({ kind, when: new Date(), text: what });
  if (kind !== 'server') spoken.say(what, (n) => `${n} new lines`);
}

/** received adds a message. It may come by several subscriptions and is shown once. */
export function received({ id, topic, data, time, from, encoding, traceparent, event }) {
  if (ids.has(id)) return;
  ids.add(id);
  messages++;
  const isText = typeof data === 'string';
  add({
    kind: 'message', when: new Date(time), id, topic, time, from, encoding, isText, text: isText ? data : flat(data),
    traceparent, event: event && flat(event),
  });
}

function add(line) {
  line.seq = ++last;
  waiting.push(line);
  if (waiting.length > 2 * maxLines) forget(waiting.splice(0, maxLines));
  if (drawing) return;
  drawing = true;
  if (document.hidden) setTimeout(draw, 200); // no pictures are drawn then
  else requestAnimationFrame(draw);
}

// forget is for lines that have to go.
function forget(lines) {
  cut += lines.length;
  for (const { id } of lines) ids.delete(id);
}

const matches = (line) => {
  if (words.length === 0) return true;
  const all = `${line.topic ?? ''} ${line.text} ${line.id ?? ''} ${line.from ?? ''}`.toLowerCase();
  return words.every((word) => all.includes(word));
};

function draw() {
  drawing = false;
  const fresh = waiting;
  waiting = [];
  for (const line of fresh) text += line.text.length;
  kept.push(...fresh);
  trim();

  shown.push(...fresh.filter((line) => line.seq <= pausedAt && matches(line)));
  const first = kept[0]?.seq ?? 0;
  let away = 0;
  while (away < shown.length && shown[away].seq < first) away++;
  shown.splice(0, away);
  list.show(shown, away);

  const news = fresh.filter((line) => line.kind === 'message' && line.seq <= pausedAt && matches(line));
  for (const line of news) spoken.say(`${line.topic}: ${line.text.slice(0, 200)}`, (n) => `${n} new messages`);
  showCounts();
}

// trim lets the oldest lines go, or in a pause, when somebody reads those, the oldest of what has come since.
function trim() {
  const start = isPaused() ? kept.findLastIndex((line) => line.seq <= pausedAt) + 1 : 0;
  let end = Math.max(start, kept.length - maxLines);
  for (const line of kept.slice(start, end)) text -= line.text.length;
  for (; text > maxText && end < kept.length - 1; end++) text -= kept[end].text.length;
  forget(kept.splice(start, end - start));
}

/** choose makes the list of what is shown anew, after a change of mind. */
function choose() {
  shown = kept.filter((line) => line.seq <= pausedAt && matches(line));
  list.show(shown);
  showCounts();
}

function showCounts() {
  const parts = [messages === 0 ? '' : count(messages, 'message')];
  if (words.length > 0) parts.push(`${count(shown.length, 'line')} shown`);
  if (cut > 0) parts.push(`${isPaused() ? '' : 'the last '}${whole(kept.length)} lines are kept`);
  $('count').textContent = parts.filter(Boolean).join(', ');

  const hidden = kept.filter((line) => line.seq > pausedAt && line.kind === 'message').length;
  $('pause').textContent = isPaused() ? `Resume${hidden ? ` (${whole(hidden)} new)` : ''}` : 'Pause';
  $('pause').classList.toggle('on', isPaused());
  $('no-lines').hidden = shown.length > 0;
  $('no-lines').textContent = words.length > 0 ? 'Nothing matches the filter.' : 'Cleared.';
  showJump();
}

function showJump() { $('jump').hidden = list.atEnd; }

function make(line) {
  const when = element('time', '', clock(line.when).slice(0, 8), element('span', 'ms', clock(line.when).slice(8)));
  when.title = line.when.toString();
  if (line.kind !== 'message') return element('div', `line ${line.kind}`, when, element('span', 'text', line.text));
  const data = element('span', line.isText ? 'data' : 'data json');
  if (line.encoding) data.append(element('span', 'tag', line.encoding), ' ');
  // A line has no room for more, and a long text would cost as much as many lines.
  data.append(line.text.length > maxPreview ? `${line.text.slice(0, maxPreview)}…` : line.text);
  return element('div', 'line message', when, element('span', 'topic', line.topic), data,
    line.from ? element('span', 'from', line.from) : undefined, element('span', 'id', line.id));
}

/** startStream makes the list. */
export function startStream() {
  spoken = new Spoken($('spoken'));
  list = new Lines($('lines'), { make, moved: showJump, choose: (line) => showMessage(line, () => list.choose(undefined)) });
  $('jump').addEventListener('click', () => {
    list.toEnd();
    $('lines').focus();
  });
  $('clear').addEventListener('click', () => {
    [kept, shown, waiting, text, messages, cut] = [[], [], [], 0, 0, 0];
    ids.clear();
    list.choose(undefined);
    list.toEnd();
    choose();
  });
  $('filter').addEventListener('input', () => {
    words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    choose();
  });
  $('pause').addEventListener('click', () => {
    pausedAt = isPaused() ? Infinity : last;
    trim();
    choose();
  });
}
