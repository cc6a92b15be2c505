// A client and the program that it is in: it keeps it alive until close(), and no longer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from '../../../web/e2e/lib/server.mjs';

let server;
before(async () => { server = await startServer(); });
after(() => server?.stop());

const program = fileURLToPath(new URL('lib/program.mjs', import.meta.url));

for (const transport of ['websocket', 'sse']) {
  test(`a program lives as long as its client, over ${transport}`, async () => {
    const child = spawn(process.execPath, [program, server.url, transport], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'ready');
    // It has nothing to do but to wait for this.
    await server.publish(`stop.${transport}`, 'now');
    assert.equal((await lines.next()).value, 'closed');
    assert.deepEqual(await exited, [0, null]);
  });
}

test('a program that closes its client while there is no server ends', async () => {
  const child = spawn(process.execPath, [program, 'http://127.0.0.1:9', 'websocket', 'at once'], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
