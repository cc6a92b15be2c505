// The command line in a shell, with jq, as it stands in the README.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startServer } from './lib/server.mjs';

let server;
before(async () => { server = await startServer(); });
after(() => server?.stop());

/** shell runs a script that finds fanfare in its path, and the server in its environment. It answers standard output. */
async function shell(script) {
  const { stdout } = await promisify(execFile)('sh', ['-ec', script], {
    env: { PATH: `${dirname(process.env.FANFARE_BIN)}:${process.env.PATH}`, FANFARE_URL: server.url },
    timeout: 30_000,
  });
  return stdout;
}

test('lines go in, and jq gets messages', async () => {
  const receipts = await shell("printf 'a\\nb\\n' | fanfare pub news");
  assert.deepEqual(receipts.trim().split('\n').map((line) => JSON.parse(line).topic), ['news', 'news']);
  assert.equal(await shell("fanfare sub 'news' --last 2 --count 2 | jq .data"), '"a"\n"b"\n');
});

test('a reader that leaves ends it', async () => {
  assert.equal(await shell("fanfare sub 'news' --last 2 | head -n 1 | jq -r .data"), 'a\n');
});

test('jq can ask the lists', async () => {
  assert.equal(await shell("fanfare topics 'news' | jq -r .name"), 'news\n');
});
