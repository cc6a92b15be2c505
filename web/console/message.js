// One message, as it is: all of its data, and what can be done with it.
import { copyText } from './clipboard.js';
import { $, breakable, element } from './dom.js';
import { parse, pretty } from './json.js';
import { compose } from './publish.js';

const maxText = 500_000; // characters of data that are shown

let close = () => {};
let line;

/** showMessage shows a line closely; without one, nothing. closed is for when somebody has seen enough. */
export function showMessage(chosen, closed) {
  line = chosen;
  close = closed;
  $('message').hidden = !line;
  if (!line) return;
  const isMessage = line.kind === 'message';
  $('message-topic').replaceChildren(...(isMessage ? breakable(line.topic) : ['This page']));
  if (isMessage) $('message-topic').href = `#/topics/${encodeURIComponent(line.topic)}`;
  else $('message-topic').removeAttribute('href');
  const facts = { Time: line.time ?? line.when.toISOString(), Id: line.id, From: line.from, Encoding: line.encoding, Trace: line.traceparent, Event: line.event };
  $('message-facts').replaceChildren(...Object.entries(facts).filter(([, value]) => value)
    .map(([name, value]) => element('div', '', element('dt', '', name), element('dd', '', value))));
  const text = whole();
  $('message-data').textContent = text.length > maxText
    ? `${text.slice(0, maxText)}… (${text.length.toLocaleString('en')} characters in all)` : text;
  $('message-data').scrollTop = 0;
  $('message-again').hidden = !isMessage || Boolean(line.encoding);
}

// whole is the data as somebody wants to read it.
const whole = () => (line.kind !== 'message' || line.isText ? line.text : pretty(parse(line.text), 80));

/** startMessage wires its buttons. */
export function startMessage() {
  $('message-close').addEventListener('click', () => {
    close();
    $('lines').focus();
  });
  $('message-copy').addEventListener('click', () => copyText(whole()));
  $('message-again').addEventListener('click', () => compose(line.topic, whole()));
}
