// The way between a client and the server, which a test can interrupt: a TCP proxy.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** openWay leads to way.target, the port of a server, which may change. */
export async function openWay(target) {
  const pairs = new Set();
  let blocked = false;
  let frozen = false;

  const listener = createServer((client) => {
    if (blocked) return client.resetAndDestroy();
    const server = connect(way.target, '127.0.0.1');
    const pair = { ends: [client, server], frozen };
    pairs.add(pair);
    // Each end that is gone takes the other with it, unless nobody is to be told.
    for (const [one, other] of [[client, server], [server, client]]) {
      one.on('error', () => {});
      one.on('close', () => {
        pair.gone = true;
        if (pair.frozen) return;
        other.destroy();
        pairs.delete(pair);
      });
      if (!pair.frozen) one.pipe(other);
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  const way = {
    target,
    url: `http://127.0.0.1:${listener.address().port}`,

    cut() {
      for (const { ends } of pairs) ends.forEach((end) => end.destroy());
    },

    block() {
      blocked = true;
      way.cut();
    },

    unblock() {
      blocked = false;
    },

    /** Nothing passes any more, and nobody is told. */
    freeze() {
      frozen = true;
      for (const pair of pairs) {
        pair.frozen = true;
        pair.ends.forEach((end) => end.unpipe().pause());
      }
    },

    thaw({ new: onlyNew = false } = {}) {
      frozen = false;
      for (const pair of onlyNew ? [] : pairs) {
        const [client, server] = pair.ends;
        pair.frozen = false;
        client.pipe(server);
        server.pipe(client);
        if (pair.gone) pair.ends.forEach((end) => end.destroy());
      }
    },

    async close() {
      for (const pair of pairs) pair.frozen = false;
      way.cut();
      listener.close();
      await once(listener, 'close');
    },
  };
  return way;
}
