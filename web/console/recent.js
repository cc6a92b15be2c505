// What was published from here lately. It stays in this browser.
import { $, button, element } from './dom.js';
import { storage } from './storage.js';
import { ago } from './time.js';

const most = 50;
const longest = 20_000; // characters of a message that is remembered

/** recent answers the newest first. */
export function recent() {
  try {
    const list = JSON.parse(storage.get('recent') ?? '[]');
    return Array.isArray(list) ? list.filter(({ topic, text }) => typeof topic === 'string' && typeof text === 'string') : [];
  } catch {
    return []; // somebody has been at it
  }
}

/** remember puts a publish before all others, once. */
export function remember({ topic, text }) {
  if (text.length > longest) return;
  const others = recent().filter((one) => one.topic !== topic || one.text !== text);
  storage.set('recent', JSON.stringify([{ topic, text, time: new Date().toISOString() }, ...others].slice(0, most)));
}

function show(use) {
  const list = recent();
  $('recent-list').replaceChildren(...list.map((one) => element('li', '', button('entry', element('span', '',
    element('span', 'topic', one.topic), element('span', 'soft', one.time ? ago(one.time) : ''),
    element('span', 'json', one.text.slice(0, 300))), () => {
    $('recent').close();
    use(one);
  }))));
  $('recent-empty').hidden = list.length > 0;
  $('recent-forget').hidden = list.length === 0;
}

/** startRecent wires the list; use is told which one somebody wants again. */
export function startRecent(use) {
  $('recent-open').addEventListener('click', () => {
    show(use);
    $('recent').showModal();
  });
  $('recent-close').addEventListener('click', () => $('recent').close());
  $('recent-forget').addEventListener('click', () => {
    storage.remove('recent');
    show(use);
    $('recent-close').focus();
  });
}
