// The scenarios that all clients are held to, over each transport. FANFARE_SEED has the cuts where they were.
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { run } from './lib/scenario.mjs';

const scenarios = JSON.parse(await readFile(new URL('../../testdata/scenarios.json', import.meta.url)));
const seed = Number(process.env.FANFARE_SEED ?? Math.floor(Math.random() * 2 ** 32));

for (const transport of ['websocket', 'sse']) {
  test(`over ${transport}, FANFARE_SEED=${seed}`, { concurrency: 4 }, async (t) => {
    await Promise.all(scenarios
      .filter((scenario) => transport === 'websocket' || !scenario.websocket)
      .map((scenario) => t.test(scenario.name, () => run(scenario, transport, seed))));
  });
}
