// Small things that all parts of the page need.

export const $ = (id) => document.getElementById(id);

/** element makes one. What it says is text, never markup. */
export function element(name, className, ...children) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...children.filter((child) => child !== undefined));
  return e;
}

/** button makes one that does something. */
export function button(className, label, does) {
  const e = element('button', className, label);
  e.type = 'button';
  e.addEventListener('click', does);
  return e;
}

/** icon makes a drawing for a button: a path in a square of 16. */
export function icon(d) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', d);
  svg.append(path);
  return svg;
}

/** setText leaves alone what is right already: no selection is lost, and nothing is announced twice. */
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

/** breakable is a topic that is rather broken after a dot than within a word. */
export function breakable(topic) {
  return topic.split(/(?<=\.)/).flatMap((word) => [word, element('wbr')]);
}

/** answer shows what became of a form. bad: something is wrong; with a field, it is the field's fault. */
export function answer(id, text, bad = false, field = undefined) {
  setText($(id), text);
  $(id).classList.toggle('bad', bad);
  field?.setAttribute('aria-invalid', String(bad));
}

let toasting = 0;

/** toast says for a while what was done. */
export function toast(text, bad = false) {
  clearTimeout(toasting);
  (document.querySelector('dialog[open]') ?? document.body).append($('toast')); // nothing else is seen or heard while it is open
  $('toast').classList.toggle('bad', bad);
  $('toast').textContent = text;
  toasting = setTimeout(() => { $('toast').textContent = ''; }, 6000);
}

/** sayError is how an error is shown: its code, by which it can be found, and what it says. */
export const sayError = (error) => (error.code ? `${error.code}: ${error.message}` : error.message);
