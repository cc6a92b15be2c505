// The clipboard.
import { element, toast } from './dom.js';

/** copyText puts text into the clipboard. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers have no clipboard for pages over plain HTTP, but they let a page copy what is selected.
    const field = element('textarea', 'unseen');
    field.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(field);
    const before = document.activeElement;
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    before?.focus();
    if (!copied) {
      toast('The browser does not let this page copy', true);
      return;
    }
  }
  toast('Copied');
}
