// A question before what cannot be undone.
import { offerSnippets } from './copy.js';
import { $ } from './dom.js';

let code;
let settle = () => {};

/** confirm asks, and answers whether the answer was yes. The same as code is offered, too. */
export function confirm(title, text, yes, snippets) {
  settle(false);
  code = snippets;
  $('confirm-title').textContent = title;
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = yes;
  $('confirm').returnValue = 'cancel';
  $('confirm').showModal();
  return new Promise((resolve) => { settle = resolve; });
}

/** startConfirm wires the dialog. */
export function startConfirm() {
  $('confirm').addEventListener('close', () => {
    // The event comes late, perhaps when the next question is asked already.
    if (!$('confirm').open) settle($('confirm').returnValue === 'confirm');
  });
  $('confirm-copy').addEventListener('click', () => {
    const title = $('confirm-yes').textContent;
    $('confirm').close('cancel');
    offerSnippets(title, code);
  });
}
