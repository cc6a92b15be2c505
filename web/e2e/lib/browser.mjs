// Debian's Chromium, headless, and pages that remember what they loaded and what they complained about.
import assert from 'node:assert/strict';
import { access, constants, mkdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const screenshots = fileURLToPath(new URL('../screenshots/', import.meta.url));

async function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
      const path = join(directory, name);
      try {
        await access(path, constants.X_OK);
        return path;
      } catch {
        // the next one
      }
    }
  }
  throw new Error('no Chromium: install it, or name it in the environment variable CHROMIUM');
}

/** launch starts one browser with a profile of its own, which is removed when the browser closes. */
export async function launch(...args) {
  return chromium.launch({
    executablePath: await findChromium(),
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...args,
    ],
    timeout: 60_000,
  });
}

/** openPage makes a page in a context of its own; `page.seen` has the URLs it asked for and what its console said. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(Number(process.env.PATIENCE ?? 30_000));
  page.seen = { urls: [], console: [] };
  context.on('request', (request) => page.seen.urls.push(request.url()));
  page.on('websocket', (socket) => page.seen.urls.push(socket.url()));
  page.on('console', (message) => page.seen.console.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => page.seen.console.push(`exception: ${error}`));
  return page;
}

/**
 * assertClean wants that nothing came from elsewhere and that the browser's console stayed empty, but for the statuses that
 * are expected: the browser complains of each.
 */
export function assertClean(page, server, ...statuses) {
  const foreign = page.seen.urls.filter((url) => !/^(data|blob|about):/.test(url) && new URL(url).host !== server.address);
  assert.deepEqual(foreign, [], 'every request goes to the server itself');
  const expected = statuses.map((status) => `error: Failed to load resource: the server responded with a status of ${status} `);
  const complaints = page.seen.console.filter((line) => !expected.some((beginning) => line.startsWith(beginning)));
  assert.deepEqual(complaints, [], 'the browser has nothing to complain about');
}

/** check wants that what is shown fits, and that axe finds nothing that keeps somebody out. */
export async function check(page, what) {
  const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
  assert.ok(await fits(), `${what}: nothing sticks out at the side`);
  const axe = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
  await page.evaluate(axe); // as the debugger does it, past the page's policy
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
  assert.deepEqual(found, [], `${what}: axe finds nothing`);
}

export async function screenshot(page, name, options) {
  await mkdir(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), ...options });
}

/** openConsole opens the console and waits until the server has greeted it; it answers the client's id. */
export async function openConsole(page, server) {
  await page.goto(server.url);
  return greeting(page);
}

const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

/** greeting waits for the nth pair of greeting lines, one for each connection, and answers the id in them. */
export async function greeting(page, nth = 1) {
  await page.getByRole('status').filter({ hasText: /^Connected$/ }).waitFor();
  await lines(page).getByText('Server message: Hi Client!', { exact: true }).nth(nth - 1).waitFor();
  const hello = lines(page).getByText(new RegExp(`^Server message: Hello Client ${uuid}$`)).nth(nth - 1);
  return (await hello.textContent()).slice('Server message: Hello Client '.length);
}

/** subscribe does what a person does, and waits for the chip. Several patterns have spaces between them. */
export async function subscribe(page, patterns) {
  await page.getByLabel('Topics or patterns').fill(patterns);
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await chip(page, patterns).waitFor();
}

/** publish does what a person does, and waits for the server's receipt. */
export async function publish(page, topic, data) {
  await page.getByLabel('Topic', { exact: true }).fill(topic);
  await page.getByLabel('Data', { exact: true }).fill(data);
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText(`Published to ${topic} as `).waitFor();
}

/** view goes to another part of the console. */
export async function view(page, name) {
  const link = page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name });
  await link.click();
  await link.and(page.locator('[aria-current="page"]')).waitFor();
}

export const chip = (page, patterns) => page.getByRole('button', { name: `Unsubscribe from ${patterns}`, exact: true });

/** lines is the list of messages, as far as it can be seen. */
export const lines = (page) => page.getByRole('listbox', { name: 'Messages' });

/** logged is the part of a line with exactly that text: the data of a message, or what a line says. */
export const logged = (page, text) => lines(page).getByText(text, { exact: true });

/** row is the row of a table that has this text. */
export const row = (page, text) => page.getByRole('row').filter({ hasText: text });
