// The form that publishes: it says what will be sent, and where JSON is wrong.
import { connection, getClient, publish } from './connection.js';
import { offerSnippets } from './copy.js';
import { $, answer, element, sayError } from './dom.js';
import { isJSON, locate, parse } from './json.js';
import { recent, remember, startRecent } from './recent.js';
import { goTo } from './route.js';
import { publishSnippets } from './snippets.js';
import { note } from './stream.js';
import { topicsInUse } from './subscriptions.js';

const hint = 'Valid JSON is sent as JSON, other text as a string. Shift+Enter makes a new line.';

let place = -1;                // in what was published lately, while somebody looks through it; -1 is what they write
let draft = '';

/** compose puts a message into the form, to be published when somebody wants to. */
export function compose(topic, data) {
  goTo('#/stream');
  $('topic').value = topic;
  $('data').value = data;
  place = -1;
  describe();
  (topic ? $('data') : $('topic')).focus();
}

const formatted = (text) => JSON.stringify(parse(text), null, 2);

// describe says what the text is. What looks like JSON but is none is probably a mistake.
function describe() {
  const text = $('data').value;
  const json = isJSON(text);
  $('kind').textContent = text === '' ? '' : json ? 'JSON' : 'text';
  $('format').hidden = !json || formatted(text) === text;
  const wrong = !json && /^\s*[[{"]/.test(text) ? locate(text) : undefined;
  $('data-hint').textContent = wrong
    ? `Not JSON, so it goes as text: line ${wrong.line}, column ${wrong.column} should be ${wrong.expected}.` : hint;
  $('data-hint').classList.toggle('warn', Boolean(wrong));
  answer('publish-answer', '', false, $('topic'));
}

async function submit() {
  const topic = $('topic').value;
  const text = $('data').value;
  if (getClient().state === 'closed') {
    answer('publish-answer', 'Not connected', true);
    return;
  }
  answer('publish-answer', getClient().state === 'connected' ? '' : 'Waits for the connection', false, $('topic'));
  if (document.activeElement === $('data')) $('data').select();
  place = -1;
  remember({ topic, text });
  knowTopics();
  try {
    const { id } = await publish(topic, isJSON(text) ? parse(text) : text);
    answer('publish-answer', `Published to ${topic} as ${id}`, false, $('topic'));
  } catch (error) {
    note('error', `Error ${sayError(error)} (publish to ${topic})`);
    answer('publish-answer', sayError(error), true, error.code === 'invalid_topic' ? $('topic') : undefined);
  }
}

// browse goes up and down in what was published lately; it answers whether there was anywhere to go.
function browse(step) {
  const list = recent();
  const to = place + step;
  if (to < -1 || to >= list.length) return false;
  if (place === -1) draft = $('data').value;
  place = to;
  if (to >= 0) $('topic').value = list[to].topic;
  $('data').value = to < 0 ? draft : list[to].text;
  describe();
  return true;
}

function key(event) {
  if (event.isComposing) return;
  const { selectionStart: begin, selectionEnd: end, value } = $('data');
  const free = place >= 0 || value === '';
  if (event.key === 'Enter' && !event.shiftKey) $('publish').requestSubmit();
  // In a text of several lines the arrows move between them first.
  else if (event.key === 'ArrowUp' && free && !value.slice(0, begin).includes('\n') && browse(1)) /* done */;
  else if (event.key === 'ArrowDown' && free && !value.slice(end).includes('\n') && browse(-1)) /* done */;
  else return;
  event.preventDefault();
}

/** knowTopics offers the topics that somebody has used. */
export function knowTopics() {
  const topics = new Set([...topicsInUse(), ...recent().map(({ topic }) => topic)]);
  $('topics-known').replaceChildren(...[...topics].slice(0, 30).map((topic) => {
    const option = element('option');
    option.value = topic;
    return option;
  }));
}

/** startPublish wires the form. */
export function startPublish() {
  startRecent(({ topic, text }) => compose(topic, text));
  $('publish').addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  $('data').addEventListener('input', () => {
    place = -1;
    describe();
  });
  $('data').addEventListener('keydown', key);
  $('topic').addEventListener('input', () => answer('publish-answer', '', false, $('topic')));
  $('format').addEventListener('click', () => {
    $('data').value = formatted($('data').value);
    describe();
    $('data').focus();
  });
  $('copy-publish').addEventListener('click', () => {
    const text = $('data').value || 'hello';
    offerSnippets('Publish', publishSnippets($('topic').value || 'news.eu', isJSON(text) ? parse(text) : text));
  });
  connection.addEventListener('up', knowTopics);
  describe(); // a reload may bring the text back
}
