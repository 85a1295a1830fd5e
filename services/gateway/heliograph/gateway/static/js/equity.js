/** The sum of results over time, and how far it lies under its highest point so far. */

import { AreaSeries, LineSeries, createChart } from "/static/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { colour } from "./dom.js";

const NS = 1e9;

/** Each day's distance to the highest sum up to it, zero or below; the first height is the start's zero. */
export function drawdowns(sums) {
  let peak = 0;
  return sums.map((sum) => {
    peak = Math.max(peak, sum);
    return sum - peak;
  });
}

const points = (days, values) => days.map(({ ts }, index) => ({ time: ts / NS, value: values[index] }));

function options(unit) {
  return {
    autoSize: true,
    layout: {
      background: { color: "transparent" },
      textColor: colour("ink-3"),
      fontFamily: getComputedStyle(document.body).fontFamily,
      fontSize: 12,
      attributionLogo: false,
      panes: { separatorColor: colour("line"), separatorHoverColor: colour("line-strong") },
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colour("line") } },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderColor: colour("line") },
    handleScroll: { vertTouchDrag: false },
    localization: { priceFormatter: (value) => `${value.toFixed(1)} ${unit}` },
  };
}

/** The chart of both, empty until it is given days. */
export class EquityChart {
  #chart;
  #equity;
  #under;
  #fitted = false;

  constructor(container, unit) {
    const plain = { priceLineVisible: false };
    this.#chart = createChart(container, options(unit));
    this.#equity = this.#chart.addSeries(LineSeries, { ...plain, lineWidth: 2, color: colour("sun-text") });
    this.#equity.createPriceLine({ price: 0, color: colour("line-strong"), lineWidth: 1, axisLabelVisible: false });
    const soft = colour("down-soft");
    const area = { ...plain, lineWidth: 1, lineColor: colour("down"), topColor: soft, bottomColor: soft, invertFilledArea: true };
    this.#under = this.#chart.addSeries(AreaSeries, area, 1);
    this.#chart.panes()[1].setStretchFactor(0.45);
  }

  /** @param {{ts: number, sum: number}[]} days oldest first; where the reader has zoomed to stays */
  show(days) {
    const sums = days.map(({ sum }) => sum);
    this.#equity.setData(points(days, sums));
    this.#under.setData(points(days, drawdowns(sums)));
    if (!this.#fitted) this.#chart.timeScale().fitContent();
    this.#fitted = true;
  }

  remove() {
    this.#chart.remove();
  }
}
