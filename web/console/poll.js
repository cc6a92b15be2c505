// Asking again and again, while somebody looks.
import { $, button, element } from './dom.js';
import { session } from './session.js';

const pause = 2000; // ms between an answer and the next question

/** Poll calls load(signal), and again when it is done, from start to stop, but not in a tab that is not seen. */
export class Poll {
  #load;
  #notice;
  #who;
  #timer = 0;
  #stopped = new AbortController();
  #running = false;

  /** notice is where it says why there is nothing new; who may see it, in the plural. */
  constructor(load, notice, who = 'administrators') {
    this.#load = load;
    this.#notice = notice;
    this.#who = who;
    document.addEventListener('visibilitychange', () => { if (this.#running && !document.hidden) this.now(); });
  }

  start() {
    this.#running = true;
    this.now();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#stopped.abort();
  }

  /** now asks at once; what was asked before does not count any more. */
  async now() {
    this.#stopped.abort();
    clearTimeout(this.#timer);
    if (!this.#running || document.hidden) return;
    const stopped = new AbortController();
    this.#stopped = stopped;
    try {
      await this.#load(stopped.signal);
      if (!stopped.signal.aborted) showNotice(this.#notice, this.#who);
    } catch (error) {
      if (stopped.signal.aborted) return;
      showNotice(this.#notice, this.#who, error);
      // What is forbidden stays so, until somebody signs in.
      if (error.status === 401 || error.status === 403) return;
    }
    if (!stopped.signal.aborted) this.#timer = setTimeout(() => this.now(), pause);
  }
}

function showNotice(notice, who, error) {
  const refused = error?.status === 401 || error?.status === 403;
  const text = !error ? ''
    : error.status === 401 ? `This is for ${who}, and you are not signed in.`
    : error.status === 403 ? `This is for ${who}, and your token does not say that you are one.`
    : error.status === undefined ? 'The server does not answer. What is here is not up to date.'
    : `${error.code}: ${error.message}`;
  notice.hidden = text === '';
  notice.classList.toggle('refused', refused); // what was there before is not theirs any more
  if (notice.dataset.text === text) return;
  notice.dataset.text = text;
  notice.replaceChildren(element('span', '', text));
  if (refused) {
    notice.append(button('quiet', 'Sign in', () => {
      session.dispatchEvent(new Event('needed'));
      if ($('auth').hidden) $('sign-in').click();
      $('token').focus();
    }));
  }
}
