// The console, put together.
import { startActivity } from './activity.js';
import { startClients } from './clients.js';
import { startConfirm } from './confirm.js';
import { connection, startConnection } from './connection.js';
import { startCopy } from './copy.js';
import { $ } from './dom.js';
import { startMessage } from './message.js';
import { startPublish } from './publish.js';
import { addView, startRoute } from './route.js';
import { startStream } from './stream.js';
import { startSubscriptions, subscribe } from './subscriptions.js';
import { startTheme } from './themes.js';
import { startTopic } from './topic.js';
import { startTopics } from './topics.js';

startTheme();
startStream();
startMessage();
startSubscriptions();
startPublish();
startCopy();
startConfirm();
addView('stream', 'stream');
const polls = [startTopics(), startTopic(), startClients(), startActivity()];
startRoute();
startConnection();
// Who has signed in may see more.
connection.addEventListener('replaced', () => polls.forEach((poll) => poll.now()));

// A link can say what to listen to: /?topic=news.*&topic=chat.>&last=10
const wanted = new URLSearchParams(location.search);
if (wanted.has('topic')) {
  const last = wanted.get('last');
  const since = wanted.get('since');
  const options = last ? { last: Number(last) || last } : since ? { since } : {}; // what is no number the server refuses
  const topics = [...new Set(wanted.getAll('topic'))];
  $('pattern').value = topics.join(' ');
  subscribe(topics, options).catch(() => {}); // the stream says why not
}
