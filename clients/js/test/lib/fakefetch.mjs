// HTTP without a server: the test answers.

/** fakeFetch takes the place of fetch. Requests wait until the test takes and answers them. */
export function fakeFetch(t) {
  const made = [];
  const waiting = [];

  t.mock.method(globalThis, 'fetch', (url, { method = 'GET', headers, body, signal }) => new Promise((resolve, reject) => {
    const { pathname, searchParams } = new URL(url);
    const request = {
      method, path: pathname, query: searchParams, headers: new Headers(headers), body, signal,

      json: (status, value) => resolve(new Response(JSON.stringify(value), { status })),
      status: (status) => resolve(new Response(null, { status })),
      problem: (status, code) => request.json(status, { code, detail: `it is ${code}` }),
      fail: () => reject(new TypeError('fetch failed')),

      /** Answers with a stream: say(bytes) and end() are for what comes over it. */
      stream() {
        let controller;
        const encoder = new TextEncoder();
        const body = new ReadableStream({ start(c) { controller = c; } });
        signal.addEventListener('abort', () => { try { controller.error(signal.reason); } catch { /* it had ended */ } });
        resolve(new Response(body, { status: 200 }));
        return {
          say: (text) => controller.enqueue(typeof text === 'string' ? encoder.encode(text) : text),
          end: () => controller.close(),
        };
      },
    };
    signal.addEventListener('abort', () => reject(signal.reason));
    requests.count++;
    if (waiting.length) waiting.shift()(request);
    else made.push(request);
  }));

  const requests = {
    count: 0,
    next: () => (made.length ? Promise.resolve(made.shift()) : new Promise((found) => { waiting.push(found); })),
  };
  return requests;
}

/** An event as the server sends it. */
export const event = (frame) => {
  const name = frame.type === 'message' ? '' : `event: ${frame.type}\n`;
  return `${frame.id ? `id: ${frame.id}\n` : ''}${name}data: ${JSON.stringify(frame)}\n\n`;
};
