// A chart of a few lines over the last minutes.
import { element, setText } from './dom.js';

const space = 'http://www.w3.org/2000/svg';
const most = 90;               // points
const gap = 10_000;            // ms without a point after which a line is interrupted

const svg = (name, attributes) => {
  const e = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
};

/** roof is the round number above which nothing is. */
export function roof(value) {
  if (value <= 4) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 8, 10].find((n) => n * power >= value) * power;
}

/** Chart draws series, by name with their titles, into a figure; say writes a value. */
export class Chart {
  #points = [];
  #series;
  #title;
  #say;
  #svg;
  #top;
  #begin;
  #hovered;

  constructor(figure, title, series, say) {
    this.#title = title;
    this.#say = say;
    this.#svg = svg('svg', { viewBox: '0 0 1000 200', preserveAspectRatio: 'none', role: 'img' });
    for (const y of [0, 50, 100, 150, 200]) this.#svg.append(svg('line', { class: 'grid', x1: 0, x2: 1000, y1: y, y2: y }));
    this.#series = Object.entries(series).map(([name, label], i) => {
      const line = svg('path', { class: `series series-${i + 1}` });
      this.#svg.append(line);
      return { name, label, line, value: element('strong', '', '–'), sample: `series-${i + 1}` };
    });
    this.#hovered = svg('line', { class: 'hovered', y1: 0, y2: 200 });
    this.#svg.append(this.#hovered);
    this.#top = element('span', 'top-value');
    this.#begin = element('span');
    const legend = element('ul', 'legend', ...this.#series.map(({ label, value, sample }) => {
      const key = svg('svg', { viewBox: '0 0 20 8', 'aria-hidden': 'true' });
      key.append(svg('path', { class: `series ${sample}`, d: 'M0 4H20' }));
      return element('li', '', key, `${label} `, value);
    }));
    figure.append(element('figcaption', '', element('h3', '', title), legend), element('div', 'plot', this.#top, this.#svg),
      element('div', 'axis', this.#begin, element('span', '', 'now')));
    this.#svg.addEventListener('pointermove', (event) => this.#hover(event.offsetX / this.#svg.clientWidth));
    this.#svg.addEventListener('pointerleave', () => this.#hover());
    this.#draw();
  }

  /** add adds a point of all series, for now. */
  add(values) {
    this.#points.push({ at: performance.now(), values });
    if (this.#points.length > most) this.#points.shift();
    this.#draw();
  }

  #draw() {
    const points = this.#points;
    const end = performance.now();
    const begin = Math.min(points[0]?.at ?? end, end - 60_000);
    const top = roof(Math.max(0, ...points.flatMap(({ values }) => Object.values(values))));
    const x = (at) => ((at - begin) / (end - begin)) * 1000;
    const y = (value) => 200 - (value / top) * 196;
    for (const { name, line } of this.#series) {
      line.setAttribute('d', points.map(({ at, values }, i) =>
        `${i === 0 || at - points[i - 1].at > gap ? 'M' : 'L'}${x(at).toFixed(1)} ${y(values[name]).toFixed(1)}`).join(''));
    }
    setText(this.#top, this.#say(top));
    setText(this.#begin, `${Math.round((end - begin) / 60_000)} min ago`);
    this.#hover();
    const parts = this.#series.map(({ name, label }) => {
      const values = points.map((point) => point.values[name]);
      return values.length ? `${label} now ${this.#say(values.at(-1))}, at most ${this.#say(Math.max(...values))}` : `${label}: nothing yet`;
    });
    this.#svg.setAttribute('aria-label', `${this.#title} over the last minutes. ${parts.join('. ')}.`);
  }

  // hover shows the values at a place from 0 to 1, or the newest.
  #hover(place) {
    const points = this.#points;
    let point = points.at(-1);
    this.#hovered.setAttribute('visibility', place === undefined || !point ? 'hidden' : 'visible');
    if (place !== undefined && point) {
      const end = performance.now();
      const begin = Math.min(points[0].at, end - 60_000);
      const at = begin + place * (end - begin);
      point = points.reduce((best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best));
      const x = ((point.at - begin) / (end - begin)) * 1000;
      this.#hovered.setAttribute('x1', x);
      this.#hovered.setAttribute('x2', x);
    }
    for (const { name, value } of this.#series) setText(value, point ? this.#say(point.values[name]) : '–');
  }
}
