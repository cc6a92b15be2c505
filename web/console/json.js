// JSON with its digits: a number that JavaScript cannot hold stays as it was written (where the browser lets us).

const exact = (key, value, context) =>
  typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    ? JSON.rawJSON(context.source) : value;

/** parse is JSON.parse, but for such numbers, which become JSON.rawJSON. */
export const parse = (text) => JSON.parse(text, exact);

export const isJSON = (text) => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

/** flat writes a value on one line, with spaces. */
export const flat = (value) =>
  // A line break inside a string is escaped, so these are only the formatter's own.
  JSON.stringify(value ?? null, null, 1).replace(/\n */g, ' ');

/** pretty keeps on one line what fits there, and breaks the rest into lines, as deep as it must. */
export function pretty(value, width = 96, indent = '') {
  const line = flat(value);
  if (indent.length + line.length <= width || typeof value !== 'object' || JSON.isRawJSON?.(value)) return line;
  const deeper = `${indent}  `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const parts = Array.isArray(value) ? value.map((v) => pretty(v, width, deeper))
    : Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${pretty(v, width, deeper)}`);
  return `${open}\n${parts.map((part) => deeper + part).join(',\n')}\n${indent}${close}`;
}

const space = /[ \t\n\r]*/y;
const literal = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

/**
 * locate answers where a text stops to be JSON, and what would be right there; undefined if it does not. Browsers say
 * that in different ways, and some not at all.
 */
export function locate(text) {
  let at = 0;
  const skip = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.test(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  const fail = (expected) => { throw { expected }; };
  const skipString = (what) => {
    if (text[at] !== '"') fail(what);
    if (!skip(string)) fail('a string that ends on its line, with \\ only before what may follow it');
    skip(space);
  };
  const take = (character) => {
    if (text[at] !== character) return false;
    at++;
    skip(space);
    return true;
  };

  // What is open, from the outside in: deep values need no deep stack.
  const open = [];
  const value = () => {
    for (;;) {
      if (take('{')) {
        if (take('}')) return;
        open.push('}');
        name();
      } else if (take('[')) {
        if (take(']')) return;
        open.push(']');
      } else if (text[at] === '"') {
        skipString('a value');
        return;
      } else {
        if (!skip(literal)) fail('a value');
        skip(space);
        return;
      }
    }
  };
  const name = () => {
    skipString('a name in double quotes');
    if (!take(':')) fail('a colon');
  };

  try {
    skip(space);
    value();
    while (open.length > 0) {
      const close = open.at(-1);
      if (take(close)) {
        open.pop();
      } else if (take(',')) {
        if (close === '}') name();
        value();
      } else {
        fail(`a comma or ${close}`);
      }
    }
    if (at < text.length) fail('nothing more');
    return undefined;
  } catch (failure) {
    if (!failure.expected) throw failure;
    const before = text.slice(0, at).split('\n');
    return { line: before.length, column: before.at(-1).length + 1, at, expected: failure.expected };
  }
}
