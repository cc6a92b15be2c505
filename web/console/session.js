// Who the user is, and requests in their name.
import { parse } from './json.js';
import { session as tab } from './storage.js';

/** base is where the server is. */
export const base = new URL('.', document.baseURI);

// The token is kept until the tab is closed, so that a reload does not ask for it again, and nowhere else.
let token = tab.get('token') ?? '';

export const getToken = () => token;

export function setToken(text) {
  token = text;
  if (token) tab.set('token', token);
  else tab.remove('token');
}

/** session tells by the event 'needed' that the server wants to know who somebody is. */
export const session = new EventTarget();

/** Problem is an answer of the server that says no: RFC 9457. */
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server answered ${status}`);
    this.status = status;
    this.code = problem.code;
  }
}

/** path makes one of words that may have any characters. */
export const path = (...words) => words.map(encodeURIComponent).join('/');

/**
 * request asks the server and answers what it says, or throws a Problem. Where nobody asked for it (optional), nobody has to
 * say who they are for it.
 */
export async function request(method, target, { query = {}, signal, optional = false } = {}) {
  const url = new URL(target, base);
  for (const [name, value] of Object.entries(query)) if (value !== '') url.searchParams.set(name, value);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(url, { method, headers, signal });
  const text = await response.text();
  if (!response.ok) {
    if (response.status === 401 && !optional) session.dispatchEvent(new Event('needed'));
    throw new Problem(response.status, readProblem(text));
  }
  return response.headers.get('Content-Type')?.startsWith('application/json') ? parse(text) : text;
}

function readProblem(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {}; // of a proxy, perhaps
  }
}
