// Light or dark: as the system has it, or as somebody likes it better. theme.js sets it before the page is drawn.
import { $ } from './dom.js';
import { storage } from './storage.js';

const next = { system: 'light', light: 'dark', dark: 'system' };

const chosen = () => document.documentElement.dataset.theme ?? 'system';

function show() {
  const text = `Colours: ${chosen()}`;
  $('theme').setAttribute('aria-label', text);
  $('theme').title = text;
  $('theme').dataset.chosen = chosen();
}

/** startTheme wires the button. */
export function startTheme() {
  $('theme').addEventListener('click', () => {
    const theme = next[chosen()];
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    storage.set('theme', theme);
    show();
  });
  show();
}
