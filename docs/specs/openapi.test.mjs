// docs/openapi.json as public tools see it: Redocly's linter, and the types that openapi-typescript makes of it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const run = (tool, ...args) => spawnSync(here(`node_modules/.bin/${tool}`), args, {
  encoding: 'utf8', env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
});

/** inDirectory runs what needs a place for files. */
async function inDirectory(act) {
  const directory = await mkdtemp(join(tmpdir(), 'fanfare-specs-'));
  try {
    return await act(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function problemsOf(file) {
  const { stdout, stderr } = run('redocly', 'lint', '--config', here('redocly.yaml'), '--format=json', file);
  const { totals, problems } = JSON.parse(stdout || assert.fail(stderr));
  assert.equal(totals.errors + totals.warnings, problems.length);
  return problems.map(({ ruleId, message, location }) => `${ruleId} at ${location[0]?.pointer}: ${message}`);
}

test('the linter finds nothing wrong', () => assert.deepEqual(problemsOf(here('../openapi.json')), []));

test('it would, if something had no summary', () => inDirectory(async (directory) => {
  const document = JSON.parse(await readFile(here('../openapi.json'), 'utf8'));
  delete document.paths['/livez'].get.summary;
  await writeFile(join(directory, 'openapi.json'), JSON.stringify(document));
  assert.match(problemsOf(join(directory, 'openapi.json')).join(), /operation-summary at #\/paths\/~1livez/);
}));

test('the types of openapi-typescript compile, and say what is wrong', () => inDirectory(async (directory) => {
  const generated = run('openapi-typescript', here('../openapi.json'), '--output', join(directory, 'fanfare.d.ts'));
  assert.equal(generated.status, 0, generated.stderr);
  const compile = () => run('tsc', '--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom', '--module', 'nodenext',
    join(directory, 'program.ts'));
  await copyFile(here('program.ts'), join(directory, 'program.ts'));
  const compiled = compile();
  assert.equal(compiled.status, 0, compiled.stdout);

  const program = await readFile(here('program.ts'), 'utf8');
  await writeFile(join(directory, 'program.ts'), program.replaceAll('receipt.id', 'receipt.color'));
  assert.match(compile().stdout, /'color' does not exist/);
}));
