// What can be done here can be done elsewhere: the dialog that shows it as code.
import { copyText } from './clipboard.js';
import { $ } from './dom.js';

let snippets = {};

const language = () => document.querySelector('[name=language]:checked').value;

function show() {
  $('copy-code').textContent = snippets[language()];
  $('copy-code').scrollTop = 0;
  const needsToken = Object.values(snippets).some((code) => code.includes('TOKEN'));
  $('copy-hint').textContent = needsToken ? 'It expects your token in the environment variable TOKEN.' : '';
}

/** offerSnippets shows code, by language. */
export function offerSnippets(title, code) {
  snippets = code;
  $('copy-title').textContent = title;
  show();
  $('copy').showModal();
}

/** startCopy wires the dialog. */
export function startCopy() {
  for (const choice of document.querySelectorAll('[name=language]')) choice.addEventListener('change', show);
  $('copy-close').addEventListener('click', () => $('copy').close());
  $('copy-now').addEventListener('click', () => copyText(snippets[language()]));
}
