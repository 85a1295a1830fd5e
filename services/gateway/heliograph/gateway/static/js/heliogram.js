/** The heliogram: the newest signals as flashes on a line, won above, lost below, as long as their R. */

import { colour } from "./dom.js";
import { count } from "./format.js";

const FULL = 100;
const NARROWEST = 8;
const WIDTH = 3;
const LONGEST_R = 2.5;

/** Draw the newest signals, the latest at the right, and describe them in the canvas's label. */
export function drawHeliogram(canvas, records) {
  const ratio = devicePixelRatio;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const middle = height / 2;
  const colours = { win: colour("up"), loss: colour("down"), expired: colour("neutral"), open: colour("sun") };
  pen.fillStyle = colour("line-strong");
  pen.fillRect(0, middle - 0.5, width, 1);
  const step = Math.max(NARROWEST, width / FULL);
  const shown = records.slice(0, Math.floor(width / step));
  shown.forEach((record, index) => {
    const x = width - index * step - WIDTH;
    flash(pen, record.outcome, x, middle, colours);
  });
  canvas.setAttribute("aria-label", describe(shown));
}

function flash(pen, outcome, x, middle, colours) {
  pen.beginPath();
  if (!outcome) {
    pen.fillStyle = colours.open;
    pen.arc(x + WIDTH / 2, middle, 2.6, 0, 2 * Math.PI);
  } else {
    const reach = Math.min(Math.abs(outcome.r_multiple), LONGEST_R) / LONGEST_R;
    const length = 5 + reach * (middle - 9);
    const up = outcome.pnl >= 0;
    pen.fillStyle = colours[outcome.result];
    pen.roundRect(x, up ? middle - 4 - length : middle + 4, WIDTH, length, WIDTH / 2);
  }
  pen.fill();
}

function describe(records) {
  const tally = { win: 0, loss: 0, expired: 0, open: 0 };
  for (const { outcome } of records) tally[outcome?.result ?? "open"] += 1;
  return (
    `The newest ${count(records.length)} signals: ${tally.win} won, ${tally.loss} lost, ` +
    `${tally.expired} expired, ${tally.open} open`
  );
}
