// Starts the real binary and stops it the way an operator does.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const patience = 30_000; // ms; only a failure ever waits that long

// Whoever ends the tests ends their servers, too: they are ended on exit, which a signal by itself does not bring about.
for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) process.once(signal, () => process.exit(status));

/** environment is this process's without what is Fanfare's: for make and Go, which need a home and the like. */
export const environment = () => Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('FANFARE_')));

/**
 * startServer runs $FANFARE_BIN and resolves when it listens. stop() sends SIGTERM, wants exit status 0 and may be
 * called again. The server runs in an empty directory, so that no config.yaml lying about changes what is tested;
 * or in `cwd`. With `command` it is what that starts in a shell.
 */
export async function startServer({ port = 0, env = {}, command, cwd } = {}) {
  const binary = process.env.FANFARE_BIN;
  assert.ok(binary, 'FANFARE_BIN must name a built fanfare binary');
  const directory = await mkdtemp(join(tmpdir(), 'fanfare-e2e-'));

  const [program, ...args] = command ? ['bash', '-euc', command] : [resolve(binary)];
  const child = spawn(program, args, {
    cwd: cwd ?? directory,
    env: {
      ...(command ? environment() : { PATH: process.env.PATH }),
      FANFARE_SERVER_ADDRESS: `127.0.0.1:${port}`,
      FANFARE_LOG_FORMAT: 'json',
      FANFARE_TRANSPORT_MODE: process.env.FANFARE_TRANSPORT_MODE ?? 'auto',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: Boolean(command), // a group of its own, as a terminal would give it
  });
  const exited = once(child, 'close').finally(() => rm(directory, { recursive: true, force: true }));
  exited.catch(() => {}); // told below
  // When the tests end by an exception.
  const orphan = () => {
    try {
      process.kill(command ? -child.pid : child.pid, 'SIGKILL');
    } catch { /* it is gone */ }
  };
  process.once('exit', orphan);
  const log = [];
  const address = await new Promise((found, failed) => {
    const fail = (why) => failed(new Error(`${why}; the server's log:\n${log.join('\n')}`));
    const timer = setTimeout(fail, patience, 'the server does not listen');
    child.on('error', fail);
    child.on('exit', (code) => fail(`the server exited with status ${code}`));
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      if (!line.includes('"listening"')) return;
      const record = JSON.parse(line);
      if (record.msg !== 'listening') return;
      clearTimeout(timer);
      found(record.address);
    });
  });

  // What Ctrl-C in a terminal does. make and the shell have exit statuses of their own for that.
  const interrupt = async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGINT');
    await exited;
    process.removeListener('exit', orphan);
    assert.match(log.at(-1) ?? '', /"stopped"|make: /, `Ctrl-C ends the server well; its log:\n${log.join('\n')}`);
  };

  const server = {
    address,
    port: Number(address.slice(address.lastIndexOf(':') + 1)),
    url: `http://${address}`,
    ws: `ws://${address}/ws`,
    log,

    async stop() {
      if (command) return interrupt();
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), patience);
      const [code, signal] = await exited;
      process.removeListener('exit', orphan);
      clearTimeout(timer);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, `SIGTERM ends the server well; its log:\n${log.join('\n')}`);
    },

    /** freeze makes the server fall silent with every connection open, as a dead network does. */
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),

    /** publish is curl's part: text goes as text, everything else as JSON. It answers the receipt. */
    async publish(topic, data) {
      const text = typeof data === 'string';
      const response = await fetch(`${server.url}/topics/${encodeURIComponent(topic)}/publish`, {
        method: 'POST',
        headers: { 'Content-Type': text ? 'text/plain' : 'application/json' },
        body: text ? data : JSON.stringify(data),
      });
      const receipt = await response.json();
      assert.equal(response.status, 200, JSON.stringify(receipt));
      return receipt;
    },
  };
  return server;
}

/**
 * quietPort finds a free port that nobody is given by chance (those begin at 32768 on Linux), so that it is still free
 * when a server comes back to it.
 */
export async function quietPort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const probe = createServer().listen(port, '127.0.0.1');
    try {
      await once(probe, 'listening');
      return port;
    } catch {
      // taken
    } finally {
      await new Promise((done) => { probe.close(done); });
    }
  }
}
