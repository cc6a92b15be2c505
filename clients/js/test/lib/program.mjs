// The program of process.test.mjs: it waits for one message, or for the first failure, and closes its client.
import WebSocket from 'ws';
import { connect } from '../../client.js';

const [url, transport, atOnce] = process.argv.slice(2);
const client = connect(url, { WebSocket, transports: [transport] });
const subscription = client.subscribe(`stop.${transport}`, {
  onMessage() {
    client.close();
    console.log('closed');
  },
});
if (atOnce) client.addEventListener('disconnected', () => client.close());
else subscription.ready.then(() => console.log('ready'));
