// Tables that change while somebody looks at them: rows stay the same elements, so that no focus and no selection is lost.
import { element } from './dom.js';

/**
 * table answers a function that shows items in the table with this id. key names an item; make(item) answers the cells
 * of its row; update(cells, item) says what is in them now. cells are td elements.
 */
export function table(id, key, make, update) {
  const whole = document.getElementById(id);
  const body = whole.tBodies[0];
  const labels = [...whole.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = new Map();
  keepRoles(whole);

  return (items) => {
    const keys = new Set(items.map(key));
    for (const [name, { row }] of rows) {
      if (keys.has(name)) continue;
      if (row.contains(document.activeElement)) whole.closest('.scroll').focus();
      row.remove();
      rows.delete(name);
    }
    let before = body.firstElementChild;
    for (const item of items) {
      let known = rows.get(key(item));
      if (!known) {
        const cells = make(item);
        known = { cells, row: element('tr', '', ...cells) };
        known.row.setAttribute('role', 'row');
        cells.forEach((cell, i) => {
          cell.setAttribute('role', 'cell');
          cell.dataset.label = labels[i]; // where the head has no room
        });
        rows.set(key(item), known);
      }
      update(known.cells, item);
      if (known.row === before) before = before.nextElementSibling;
      else body.insertBefore(known.row, before);
    }
  };
}

// keepRoles says that it is a table, whatever the style makes of it on a small screen.
function keepRoles(whole) {
  whole.setAttribute('role', 'table');
  for (const part of [whole.tHead, whole.tBodies[0]]) part.setAttribute('role', 'rowgroup');
  whole.tHead.rows[0].setAttribute('role', 'row');
  for (const cell of whole.tHead.rows[0].cells) cell.setAttribute('role', 'columnheader');
}

export const cell = (className = '', ...children) => element('td', className, ...children);
