// What the browser keeps. One that keeps nothing for pages throws at every touch; then nothing is kept.

const attempt = (does) => {
  try {
    return does();
  } catch {
    return undefined;
  }
};

/** storage is for as long as the browser lives, session for as long as the tab. */
export const storage = keeper(() => localStorage);
export const session = keeper(() => sessionStorage);

function keeper(area) {
  return {
    get: (name) => attempt(() => area().getItem(name)) ?? undefined,
    set: (name, text) => { attempt(() => area().setItem(name, text)); },
    remove: (name) => { attempt(() => area().removeItem(name)); },
  };
}
