/** Tables: the same on every page, sortable where it helps, a list of cards on a phone. */

import { el } from "./dom.js";

/**
 * A column of a table.
 * @typedef {{name: string, cell: (row) => any, kind?: string, label?: string, sort?: (row) => number|string|null}} Column
 */

function bodyRow(columns, row) {
  const cells = columns.map(({ cell, kind, name, label }, index) =>
    el(index ? "td" : "th", { class: kind ?? null, scope: index ? null : "row", dataset: { label: label ?? name } }, cell(row)),
  );
  return el("tr", {}, ...cells);
}

const wrap = (name, caption, head, body) =>
  el(
    "div",
    { class: "panel table-wrap", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: `grid-table stackable ${name}` }, el("caption", { class: "hidden" }, caption), el("thead", {}, head), body),
  );

/** A plain table. */
export function table(name, caption, columns, rows) {
  const head = el("tr", {}, ...columns.map((column) => el("th", { scope: "col", class: column.kind ?? null }, column.name)));
  return wrap(name, caption, head, el("tbody", {}, ...rows.map((row) => bodyRow(columns, row))));
}

const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);

/** Rows in the order that a column gives; those without a value come last either way. */
export function ordered(rows, value, descending) {
  const known = rows.filter((row) => value(row) !== null && value(row) !== undefined);
  const unknown = rows.filter((row) => !known.includes(row));
  const sorted = known.sort((a, b) => compare(value(a), value(b)));
  return [...(descending ? sorted.reverse() : sorted), ...unknown];
}

/** A table whose heads are buttons that sort it; `order` ({by, descending}) is kept by the caller. */
export function sortable(name, caption, columns, rows, order) {
  const body = el("tbody", {});
  const heads = columns.map((column) => {
    const turn = () => {
      order.descending = order.by === column.name ? !order.descending : Boolean(column.kind);
      order.by = column.name;
      fill();
    };
    const button = column.sort ? el("button", { type: "button", class: "sort", onclick: turn, dataset: { key: `sort ${column.name}` } }, column.name) : column.name;
    return el("th", { scope: "col", class: column.kind ?? null }, button);
  });
  function fill() {
    const chosen = columns.find((column) => column.name === order.by);
    body.replaceChildren(...ordered([...rows], chosen.sort, order.descending).map((row) => bodyRow(columns, row)));
    heads.forEach((head, index) => {
      const sorted = columns[index].name === order.by ? (order.descending ? "descending" : "ascending") : null;
      if (sorted) head.setAttribute("aria-sort", sorted);
      else head.removeAttribute("aria-sort");
    });
  }
  fill();
  return wrap(name, caption, el("tr", {}, ...heads), body);
}
