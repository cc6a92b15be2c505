// How times are written.

const pad = (n, width = 2) => String(n).padStart(width, '0');

/** clock is the time of the day, to the millisecond. */
export const clock = (when) =>
  `${pad(when.getHours())}:${pad(when.getMinutes())}:${pad(when.getSeconds())}.${pad(when.getMilliseconds(), 3)}`;

/** ago says how long ago something was, roughly. */
export function ago(time) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
  if (seconds < 5) return 'just now';
  if (seconds < 100) return `${seconds} s ago`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export const whole = (n) => n.toLocaleString('en');

/** count says how many there are of something. */
export const count = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;
