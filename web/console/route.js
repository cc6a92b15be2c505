// Which view is shown: what is behind the # of the address.
import { $ } from './dom.js';

const titles = { stream: '', topics: 'Topics', clients: 'Clients', activity: 'Activity' };

const views = {};              // by name: { show(rest), hide() }
let current;

/** addView names a view's element, and what is to be done when it comes and goes. */
export function addView(id, name, { show = () => {}, hide = () => {} } = {}) {
  views[id] = { name, show, hide };
}

export function goTo(hash) {
  if (location.hash !== hash) location.hash = hash;
}

// find answers the view, and what is behind its name: #/topics/news.eu is a topic.
function find() {
  const [, name, rest] = /^#\/(\w+)(?:\/(.+))?$/.exec(location.hash) ?? [];
  if (name === 'topics' && rest) {
    try {
      return ['topic-view', decodeURIComponent(rest)];
    } catch {
      return ['topics'];
    }
  }
  return Object.hasOwn(titles, name) ? [name] : ['stream'];
}

function follow() {
  const [id, rest] = find();
  const first = current === undefined;
  views[current]?.hide();
  current = id;
  for (const other of Object.keys(views)) $(other).hidden = other !== id;
  const { name, show } = views[id];
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#/${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const title = rest ?? titles[name];
  document.title = title ? `${title} – Fanfare` : 'Fanfare';
  show(rest);
  if (!first) $('main').focus();
}

/** startRoute shows the view that the address names, whenever it changes. */
export function startRoute() {
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address is for views
    $('main').focus();
  });
  addEventListener('hashchange', follow);
  follow();
}
