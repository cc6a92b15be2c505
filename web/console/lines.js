// A list of very many lines of the same height, of which only those are elements that can be seen.

const beyond = 8; // lines above and below those that can be seen

/**
 * Lines shows items in a box, a listbox. Items have a `seq` that rises; make makes the element of one, and choose is told
 * which one somebody wants to see closely, or undefined.
 */
export class Lines {
  #box;
  #rows;
  #probe;
  #make;
  #choose;
  #items = [];
  #chosen;
  #follow = true;              // stay at the end when lines come
  #rowHeight = 0;              // as it was when it was seen
  #at = 0;                     // where it is scrolled to, also while it cannot be seen

  constructor(box, { make, choose, moved }) {
    this.#box = box;
    this.#make = make;
    this.#choose = choose;
    this.#probe = document.createElement('div');
    this.#probe.className = 'probe';
    this.#probe.setAttribute('aria-hidden', 'true');
    this.#rows = document.createElement('div');
    this.#rows.className = 'rows';
    this.#rows.setAttribute('role', 'presentation');
    box.append(this.#probe, this.#rows);
    box.addEventListener('scroll', () => {
      // The event comes late: where the list itself went, nobody has scrolled, whatever has changed its size since.
      if (box.scrollTop !== this.#at) this.#follow = this.atEnd;
      this.#at = box.scrollTop;
      this.#draw();
      moved();
    }, { passive: true });
    box.addEventListener('keydown', (event) => this.#key(event));
    this.#rows.addEventListener('click', (event) => {
      const seq = Number(event.target.closest('[role=option]')?.dataset.seq);
      const item = this.#items.find((one) => one.seq === seq);
      if (item) this.choose(item);
    });
    new ResizeObserver(() => {
      this.show(this.#items);
      moved();
    }).observe(box);
  }

  get atEnd() { return this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < (this.#height || 1); }

  /** height is that of a line, 0 while the list cannot be seen. */
  get #height() { return this.#probe.offsetHeight; }

  toEnd() {
    this.#follow = true;
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#at = this.#box.scrollTop;
  }

  /** show shows these items. gone: so many went at the beginning, and who reads on is to see the same as before. */
  show(items, gone = 0) {
    this.#items = items;
    if (this.#height > 0) this.#rowHeight = this.#height;
    this.#at = Math.max(0, this.#at - gone * this.#rowHeight);
    if (!this.#height) return; // nobody sees it: it is drawn when that changes
    this.#rows.style.height = `${items.length * this.#height}px`;
    if (this.#follow) this.toEnd();
    else this.#box.scrollTop = this.#at;
    this.#draw();
  }

  /** choose marks an item, brings it into view, and tells; without one, nothing is marked any more. */
  choose(item) {
    this.#chosen = item?.seq;
    if (item) this.#reveal(this.#items.indexOf(item));
    this.#draw();
    this.#choose(item);
  }

  #reveal(index) {
    const top = index * this.#height;
    if (top < this.#box.scrollTop) this.#box.scrollTop = top;
    const bottom = top + this.#height;
    if (bottom > this.#box.scrollTop + this.#box.clientHeight) this.#box.scrollTop = bottom - this.#box.clientHeight;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || this.#items.length === 0) return;
    const last = this.#items.length - 1;
    const page = Math.max(1, Math.floor(this.#box.clientHeight / this.#height) - 1);
    const at = this.#items.findIndex((item) => item.seq === this.#chosen);
    const to = {
      ArrowDown: at < 0 ? 0 : at + 1, ArrowUp: at < 0 ? last : at - 1, Home: 0, End: last,
      PageDown: at + page, PageUp: at < 0 ? last - page : at - page,
    }[event.key];
    if (to !== undefined) this.choose(this.#items[Math.min(last, Math.max(0, to))]);
    else if (event.key === 'Escape' && at >= 0) this.choose(undefined);
    else return;
    event.preventDefault();
  }

  #draw() {
    const height = this.#height;
    if (!height) return;
    const from = Math.max(0, Math.floor(this.#box.scrollTop / height) - beyond);
    const to = Math.min(this.#items.length, Math.ceil((this.#box.scrollTop + this.#box.clientHeight) / height) + beyond);
    this.#rows.style.paddingTop = `${from * height}px`;
    let row = this.#rows.firstElementChild;
    let active = null;
    for (let i = from; i < to; i++) {
      const item = this.#items[i];
      while (row && Number(row.dataset.seq) < item.seq) row = remove(row);
      let mine = row;
      if (row && Number(row.dataset.seq) === item.seq) {
        row = row.nextElementSibling;
      } else {
        mine = this.#make(item);
        mine.setAttribute('role', 'option');
        mine.dataset.seq = item.seq;
        mine.id = `line-${item.seq}`;
        this.#rows.insertBefore(mine, row);
      }
      mine.setAttribute('aria-posinset', i + 1);
      mine.setAttribute('aria-setsize', this.#items.length);
      mine.setAttribute('aria-selected', String(item.seq === this.#chosen));
      if (item.seq === this.#chosen) active = mine.id;
    }
    while (row) row = remove(row);
    if (active) this.#box.setAttribute('aria-activedescendant', active);
    else this.#box.removeAttribute('aria-activedescendant');
  }
}

function remove(row) {
  const next = row.nextElementSibling;
  row.remove();
  return next;
}
