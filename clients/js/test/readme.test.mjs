// The examples of README.md are programs, and print what stands below them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from '../../../web/e2e/lib/server.mjs';

const directory = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(`${directory}/README.md`, 'utf8');
const examples = [...page.matchAll(/\*\*([^*]+)\*\*(?:(?!```js)[^])*?```js\n([^]*?)```\n```text\n([^]*?)```/g)];

test('every example is found', () => {
  assert.ok(examples.length >= 7);
  assert.equal(examples.length, page.split('```js').length - 1);
});

for (const [, name, program, output] of examples) {
  test(`example: ${name}`, async (t) => {
    const server = await startServer();
    t.after(server.stop);
    const printed = await new Promise((done, failed) => {
      const args = ['--input-type=module', '--eval', program.replaceAll('http://localhost:8080', server.url)];
      execFile(process.execPath, args, { cwd: directory }, (error, text) => (error ? failed(error) : done(text)));
    });
    assert.equal(printed, output);
  });
}
