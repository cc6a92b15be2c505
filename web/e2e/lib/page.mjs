// The code on a page of documentation, to be run as a reader would run it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { environment } from './server.mjs';

export const root = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * readPage reads a page's blocks of code: `lang` is what stands behind the fence, `name` the word after that, if there is one.
 * The ports of the page become those that the test has: `ports` is by the page's.
 */
export async function readPage(path, ports = {}) {
  const page = await readFile(join(root, path), 'utf8');
  const text = page.replace(/\b\d+\b/g, (number) => ports[number] ?? number);
  const blocks = [...text.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)]
    .map(([, lang, name, code]) => ({ lang, name, code }));
  return {
    blocks,

    /** block is the only block of that language with that name, or that begins with that. */
    block(lang, begin) {
      const found = blocks.filter((b) => b.lang === lang && (b.name === begin || b.code.startsWith(begin)));
      assert.equal(found.length, 1, `${path} has one block of ${lang} that is or begins with ${begin}`);
      return found[0].code;
    },

    /** shell runs a block and answers what it printed. */
    async shell(code, { cwd = root, env = {} } = {}) {
      const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', code], {
        cwd, env: { ...environment(), FANFARE_URL: `http://localhost:${ports[8080]}`, ...env }, timeout: 120_000,
      });
      return stdout;
    },

    /** save writes the blocks that have a file's name into a directory. */
    async save(directory) {
      for (const { name, code } of blocks) {
        if (!name || !extname(name)) continue;
        await mkdir(join(directory, dirname(name)), { recursive: true });
        await writeFile(join(directory, name), code);
      }
    },
  };
}

/** serveFiles is `python3 -m http.server`: the files of a directory, on a port. */
export async function serveFiles(directory, port) {
  const files = createServer(async (request, response) => {
    try {
      const name = new URL(request.url, 'http://localhost').pathname.replace(/\/$/, '/index.html');
      if (name === '/favicon.ico') {
        response.writeHead(204).end();
        return;
      }
      response.setHeader('Content-Type', extname(name) === '.html' ? 'text/html' : 'text/plain');
      response.end(await readFile(join(directory, name)));
    } catch {
      response.writeHead(404).end();
    }
  }).listen(port, 'localhost');
  await once(files, 'listening');
  return {
    url: `http://localhost:${port}`,
    stop: () => new Promise((done) => { files.close(done); files.closeAllConnections(); }),
  };
}
