// docs/asyncapi.json as the AsyncAPI initiative's own parser sees it: a document without errors and warnings.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';

async function diagnosticsOf(text) {
  const { diagnostics } = await new Parser().parse(text);
  return diagnostics
    .filter(({ severity }) => severity <= DiagnosticSeverity.Warning)
    .map(({ code, path, message }) => `${code} at /${path.join('/')}: ${message}`);
}

const source = new URL('../asyncapi.json', import.meta.url);

test('the parser finds nothing wrong', async () => {
  assert.deepEqual(await diagnosticsOf(await readFile(source, 'utf8')), []);
});

test('it would, if an operation had a message that does not exist', async () => {
  const document = JSON.parse(await readFile(source, 'utf8'));
  delete document.channels.ws.messages.pong;
  assert.match((await diagnosticsOf(JSON.stringify(document))).join('\n'), /operations\/ping/);
});
