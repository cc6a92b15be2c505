// How much of a list is shown. It is asked for every two seconds, so there is an end to it.
import { $, setText } from './dom.js';
import { whole } from './time.js';

const most = 1000;

export const firstLimit = 100;

/** nextLimit is how much who wants more is shown. */
export const nextLimit = (limit) => (limit === firstLimit ? 500 : most);

/** showMore offers more of a list, or says that there is too much of it; next is there if there is more. */
export function showMore(id, next, limit) {
  const more = $(id);
  more.hidden = !next;
  more.querySelector('button').hidden = limit >= most;
  const text = `These are the first ${whole(limit)}.`;
  setText(more.querySelector('span'), limit >= most ? `${text} Narrow them with the filter.` : text);
}
