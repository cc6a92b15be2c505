// The types are those that an application needs, and that client.js has.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as client from '../client.js';

test('an application that uses everything compiles, and what is wrong does not', async () => {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
  const flags = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom,dom.iterable'];
  const { code, output } = await new Promise((done) => {
    execFile(process.execPath, [tsc, ...flags, 'usage.ts'], { cwd: here }, (error, output) => done({ code: error?.code ?? 0, output }));
  });
  assert.equal(code, 0, output);
});

test('what the types export is there', () => {
  assert.deepEqual(Object.keys(client).sort(), ['Client', 'FanfareError', 'connect']);
});
