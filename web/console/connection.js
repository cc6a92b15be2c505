// The connection to the server: it says how it is, and comes back. One client of the SDK stands behind it, and another
// one takes its place when somebody signs in, or does not want to wait for it.
import { connect } from '../client.js';
import { $, answer, setText } from './dom.js';
import { parse } from './json.js';
import { base, getToken, session, setToken } from './session.js';
import { note } from './stream.js';

/**
 * connection tells by the events 'up', 'down' and 'replaced', in which case its subscriptions have to be made anew; and by
 * 'caught-up' that all has come of what these topics (detail) began with, or have missed.
 */
export const connection = new EventTarget();

let client;
let countdown = 0;             // a timer
let complained = false;        // that the connection was lost, since it was there the last time
let signingIn = false;
let greeting = '';             // what the server said at first

const reasons = {
  1001: 'the server is going away',
  1006: 'it broke off',
  1009: 'the message was too big',
  4001: 'this page was too slow',
  4002: 'no sign of life from this page',
  4003: 'the token has expired',
};
const finals = { unauthorized: ['Not authorized', 4500], disconnected: ['Disconnected by an administrator', 4501] };

export const getClient = () => client;

// read is for the SDK, which keeps the greeting to itself, and the end of all but the first replay.
const read = (text) => {
  const frame = parse(text);
  if (frame?.type === 'welcome') greeting = frame.message;
  if (frame?.type === 'caught_up') connection.dispatchEvent(new CustomEvent('caught-up', { detail: frame.topics ?? [frame.topic] }));
  return frame;
};

/** open connects with the token that there is now, in place of the client before. */
export function open() {
  const before = client;
  const mine = connect(base, { token: getToken() || undefined, parse: read });
  client = mine;
  const on = (type, does) => mine.addEventListener(type, ({ detail }) => { if (client === mine) does(detail); });
  on('connecting', () => (complained ? show('retrying', 'Connection lost, reconnecting', 'now') : show('connecting', 'Connecting')));
  on('connected', connected);
  on('disconnected', disconnected);
  on('closed', closed);
  show('connecting', 'Connecting');
  if (before) {
    connection.dispatchEvent(new Event('replaced'));
    before.close();
  }
}

/** publish is the SDK's; what waits for its answer outlives a client. */
export async function publish(topic, data, key = crypto.getRandomValues(new Uint32Array(4)).join('-')) {
  const mine = client;
  try {
    return await mine.publish(topic, data, { key });
  } catch (error) {
    if (error.code === 'closed' && client !== mine) return publish(topic, data, key);
    throw error;
  }
}

function connected({ id, transport }) {
  complained = false;
  show('connected', 'Connected');
  if (greeting) note('server', `Server message: ${greeting}`);
  greeting = '';
  if (id) note('server', `Server message: Hello Client ${id}`);
  else note('info', `Connected over ${transport}`);
  if (signingIn) {
    signingIn = false;
    note('info', 'Signed in');
    hideSignIn();
  }
  showSignIn();
  connection.dispatchEvent(new Event('up'));
}

function disconnected({ code, reason, retryIn }) {
  if (!complained) note('warn', `Connection lost: ${reasons[code] ?? (reason || 'closed')} (${code})`);
  complained = true;
  connection.dispatchEvent(new Event('down'));
  count(performance.now() + retryIn);
}

function closed({ error }) {
  if (!error) return;
  const [text, why] = finals[error.code] ?? ['Disconnected by the server', error.message];
  note('error', `${text} (${why}). This page stays away until you connect again.`);
  show('off', text);
  connection.dispatchEvent(new Event('down'));
  if (error.code === 'unauthorized') {
    const refused = getToken() !== '';
    setToken('');
    openSignIn(refused ? 'The server refuses this token, or it has expired.' : '');
  }
  signingIn = false;
}

function show(state, text, wait = '') {
  clearTimeout(countdown);
  setText($('state'), text);
  $('wait').textContent = wait;
  $('status').dataset.state = state;
  const offer = state === 'lost' || state === 'retrying' || state === 'off';
  if (!offer && document.activeElement === $('connect')) $('main').focus();
  $('connect').hidden = !offer;
}

function count(until) {
  const left = until - performance.now();
  show('lost', 'Connection lost, reconnecting', left > 0 ? `in ${Math.ceil(left / 1000)} s` : 'now');
  if (left > 0) countdown = setTimeout(count, left % 1000 || 1000, until);
}

// Who they are is asked for only when that is needed.

function openSignIn(text = '') {
  $('auth').hidden = false;
  answer('auth-answer', text, text !== '', $('token'));
  showSignIn();
}

function hideSignIn() {
  if ($('auth').contains(document.activeElement)) $('main').focus();
  $('auth').hidden = true;
  $('token').value = '';
  answer('auth-answer', '', false, $('token'));
  showSignIn();
}

function showSignIn() {
  const isSignedIn = getToken() !== '';
  if (isSignedIn) $('sign-in').hidden = false;
  setText($('sign-in'), isSignedIn ? 'Change token' : 'Sign in');
  $('sign-out').hidden = !isSignedIn;
  $('sign-in').setAttribute('aria-expanded', String(!$('auth').hidden));
}

/** startConnection wires the top of the page and connects. */
export function startConnection() {
  $('connect').addEventListener('click', open);
  $('sign-in').addEventListener('click', () => {
    if (!$('auth').hidden) {
      hideSignIn();
      return;
    }
    openSignIn();
    $('token').focus();
  });
  $('sign-out').addEventListener('click', () => {
    setToken('');
    showSignIn();
    $('sign-in').focus();
    note('info', 'Signed out');
    open();
  });
  $('auth').addEventListener('submit', (event) => {
    event.preventDefault();
    setToken($('token').value.trim());
    answer('auth-answer', '', false, $('token'));
    signingIn = true;
    open();
  });
  session.addEventListener('needed', () => {
    $('sign-in').hidden = false;
    if (getToken() === '' && $('auth').hidden) openSignIn();
  });
  open();
}
