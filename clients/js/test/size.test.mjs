// What a page has to load: minified and compressed, at most 6 KiB.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { transform } from 'esbuild';

const most = 6 * 1024; // bytes

test('the client is small', async (t) => {
  const source = await readFile(new URL('../client.js', import.meta.url), 'utf8');
  const { code } = await transform(source, { minify: true, format: 'esm', target: 'es2022' });
  const gzip = gzipSync(code, { level: 9 }).length;
  t.diagnostic(`minified ${code.length} bytes, gzip ${gzip}, brotli ${brotliCompressSync(code).length}`);
  assert.ok(gzip <= most, `${gzip} bytes with gzip, at most ${most}`);
});
