/** Elements without markup: text is only ever set as text, so that no data can become code. */

/**
 * Make an element.
 * @param {string} tag
 * @param {object} props attributes; `class`, `on<event>` listeners, `dataset`; null and false leave one out
 * @param {...(Node|string|number|null)} children
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an element of a drawing; its attributes are numbers and words, never markup. */
export function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** Set a node's text only where it differs: nothing is laid out again in vain. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A definition list from [term, value, class?] rows; a value is a text or a list of texts and elements. */
export function facts(rows, className = "facts") {
  return el(
    "dl",
    { class: className },
    ...rows.map(([term, value, kind]) =>
      el("div", {}, el("dt", {}, term), el("dd", { class: kind ?? null }, ...[value].flat())),
    ),
  );
}

/** The colour that a CSS custom property stands for now, as rgb(). */
export function colour(name) {
  const probe = el("span", { class: "hidden" });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
