// What is read out to who cannot see it.
import { setText } from './dom.js';

/** Spoken reads out what is new: the last of it, and how much there was, at most once a second. */
export class Spoken {
  #element;
  #waiting = [];
  #timer = 0;

  constructor(element) { this.#element = element; }

  /** say reads a text out, or, with others of that second, what many(n) says of them. */
  say(text, many) {
    this.#waiting.push(text);
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      const n = this.#waiting.length;
      setText(this.#element, n === 1 ? this.#waiting[0] : `${many(n)}; the last: ${this.#waiting.at(-1)}`);
      this.#waiting = [];
      this.#timer = 0;
    }, 1000);
  }
}
