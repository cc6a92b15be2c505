// An application, for types.test.mjs: it is compiled, and never run.
import { Client, connect, FanfareError, type Message, type Receipt, type Subscription } from '../client.js';

interface Price { value: number }

const client: Client = connect('https://fanfare.example', { token: async () => 'a token', transports: ['websocket', 'sse'] });
connect({ token: 'an API key', parse: (text) => JSON.parse(text) as unknown });
connect(new URL('https://fanfare.example'));

client.addEventListener('connecting', ({ detail }) => { const attempt: number = detail.attempt; return attempt; });
client.addEventListener('connected', ({ detail }) => { const transport: 'websocket' | 'sse' = detail.transport; return transport; });
client.addEventListener('disconnected', ({ detail }) => { const time: number = detail.retryIn + detail.code; return time; });
client.addEventListener('lost', ({ detail }) => { const topics: string[] = detail.subscription.topics; return topics; });
client.addEventListener('closed', ({ detail }) => { const code: string | undefined = detail.error?.code; return code; });

const prices: Subscription<Price> = client.subscribe<Price>(['price.*', 'rate'], {
  since: 'all', overflow: 'latest', buffer: 10, signal: new AbortController().signal,
  onLost: ({ reason }) => { if (reason === 'gap') console.log(reason); },
  onDropped: ({ topic, count }) => console.log(topic, count),
  onCaughtUp: () => {},
  onEnd: (error?: FanfareError) => console.log(error?.code),
});
client.subscribe<Price>('price.a', { last: 3, onMessage: ({ data }) => data.value.toFixed(2) });
client.subscribe('room', {
  presence: true,
  onPresence: (event) => (event.type === 'presence' ? event.clients.length : event.client_id.length),
});

export async function main(): Promise<void> {
  await prices.ready;
  for await (const message of prices) {
    const { id, topic, data, time, from, encoding }: Message<Price> = message;
    console.log(id, topic, data.value, time, from, encoding);
    const { traceparent, tracestate, event } = message;
    console.log(traceparent, tracestate, event?.type.length, event?.source, event?.subject);
    break;
  }
  const cursor: string | undefined = prices.cursor;
  prices.unsubscribe();
  const receipt: Receipt = await client.publish('price.a', { value: 1 }, { key: cursor, timeout: 1_000 });
  const users = (await client.presence('room')).map(({ user }) => user);
  console.log(receipt.duplicate, users, client.id, client.state === 'connected');
  client.close();
}

// @ts-expect-error: there is no such policy
client.subscribe('a', { overflow: 'drop_newest' });
// @ts-expect-error: the data of a message is what the application says it is
client.subscribe<Price>('a', { onMessage: ({ data }) => data.name });
// @ts-expect-error: there is no such event
client.addEventListener('open', ({ detail }) => detail.attempt);
// @ts-expect-error: the state is the client's own affair
client.state = 'closed';
