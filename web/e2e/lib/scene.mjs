// A server that has something to show: topics, listeners and messages as somebody might have them.
import { connect } from './client.mjs';

/** scene fills a server, and answers what is to be closed in the end. */
export async function scene(server) {
  const clients = [];
  for (const [patterns, n] of [[['orders.eu', 'orders.us'], 2], [['chat.room.42'], 3], [['sensors.>'], 1], [['news.*', 'news.eu.sport'], 1]]) {
    for (let i = 0; i < n; i++) {
      const client = await connect(server.ws, { headers: { 'User-Agent': 'scene/1.0' } });
      client.send({ action: 'subscribe', topics: patterns, ref: 1 });
      await client.next();
      clients.push(client);
    }
  }
  const events = new AbortController();
  const response = await fetch(`${server.url}/events?topic=prices.*`, { headers: { 'User-Agent': 'dashboard/2.1' }, signal: events.signal });
  await response.body.getReader().read();

  for (let i = 0; i < 12; i++) {
    await server.publish(`sensors.berlin.room-${i % 4}`, { celsius: 20 + i / 10, humidity: 40 + i });
    await server.publish('prices.btc', { bid: 67_310.5 + i, ask: 67_312 + i });
  }
  await server.publish('news.eu.sport', 'Kick-off at eight. See you there!');
  await server.publish('orders.us', { order: 1041, total: '19.90', items: ['tea'] });
  return {
    async close() {
      events.abort();
      for (const client of clients) await client.close();
    },
  };
}

/** publishes sends what comes while somebody watches. */
export async function publishes(server) {
  await server.publish('news.eu.sport', 'Kick-off at eight. See you there!');
  await server.publish('sensors.berlin.temperature', { celsius: 21.4, at: '2026-11-23T17:00:00Z' });
  await server.publish('chat.room.42', { from: 'ann', text: 'Did everyone get this?' });
  await server.publish('chat.room.42', { from: 'bob', text: 'Loud and clear!' });
  await server.publish('orders.eu', { order: 1042, total: '249.00', items: ['lamp', 'desk'], express: true });
  await server.publish('news.science', {
    headline: 'A comet, seen with the naked eye', where: 'low in the west, an hour after sunset',
    tags: ['astronomy', 'tonight'], sources: 3,
  });
  await server.publish('sensors.berlin.temperature', { celsius: 21.6, at: '2026-11-23T17:01:00Z' });
}
