/** The bars around a signal with its levels, its entry and its exit. */

import {
  CandlestickSeries, HistogramSeries, LineStyle, createChart, createSeriesMarkers,
} from "/static/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { colour } from "./dom.js";

const NS = 1e9;
const BARS_BEFORE = 60;
const BARS_AFTER = 15;
const SPARSE = 1.6; // markets close: so much more time than bars
const DAY_S = 86_400;
const OPEN_BARS = 45;
const NAMED_PX = 480;
const INTERVAL_S = { "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14_400, "1d": DAY_S, "1w": 7 * DAY_S };

/** The span of time to ask bars for, in nanoseconds. */
export function spanOf(signal) {
  const step = (INTERVAL_S[signal.interval] ?? DAY_S) * NS * SPARSE;
  const end = signal.outcome?.exit_bar_ts ?? signal.bar_ts + OPEN_BARS * step;
  return {
    from: BigInt(Math.max(0, Math.floor(signal.bar_ts - BARS_BEFORE * step))),
    to: BigInt(Math.floor(end + BARS_AFTER * step)),
  };
}

function palette() {
  const names = ["ink-3", "line", "up", "down", "sun-text", "neutral"];
  return Object.fromEntries(names.map((name) => [name, colour(name)]));
}

function options(colours, interval) {
  return {
    autoSize: true,
    layout: {
      background: { color: "transparent" },
      textColor: colours["ink-3"],
      fontFamily: getComputedStyle(document.body).fontFamily,
      fontSize: 12,
      attributionLogo: false,
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colours.line } },
    rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.1, bottom: 0.2 } },
    timeScale: { borderColor: colours.line, timeVisible: INTERVAL_S[interval] < DAY_S, secondsVisible: false, rightOffset: 9 },
    handleScroll: { vertTouchDrag: false },
  };
}

/** The lines of entry, stop and target; named where that hides no bars, the legend names them everywhere. */
function levels(series, signal, colours, named) {
  const line = (price, color, name, lineStyle) =>
    series.createPriceLine({ price, color, title: named ? name : "", lineStyle, lineWidth: 1, axisLabelVisible: true });
  line(signal.target, colours.up, "target", LineStyle.Dashed);
  line(signal.entry, colours["sun-text"], "entry", LineStyle.Solid);
  line(signal.stop, colours.down, "stop", LineStyle.Dashed);
}

/** Marks of the entry and the exit; a bar that is not archived yet gets none, rather than its neighbour. */
function marks(signal, bars, colours) {
  const buy = signal.action === "BUY";
  const found = [
    {
      time: signal.bar_ts / NS,
      position: buy ? "belowBar" : "aboveBar",
      shape: buy ? "arrowUp" : "arrowDown",
      color: colours["sun-text"],
      text: signal.action,
    },
  ];
  const { outcome } = signal;
  if (outcome) {
    found.push({
      time: outcome.exit_bar_ts / NS,
      position: buy ? "aboveBar" : "belowBar",
      shape: "circle",
      color: { win: colours.up, loss: colours.down }[outcome.result] ?? colours.neutral,
      text: `exit ${outcome.exit.toFixed(2)}`,
    });
  }
  return found.filter(({ time }) => bars.ts.includes(time * NS));
}

/** Whether the bars hold those that the signal speaks of. */
export function isWhole(signal, bars) {
  const last = signal.outcome?.exit_bar_ts ?? signal.bar_ts;
  return bars.ts.length > 0 && bars.ts.at(-1) >= last;
}

/**
 * Draw the bars of a signal.
 * @returns {() => void} takes the chart away
 */
export function drawChart(container, signal, bars) {
  const colours = palette();
  const chart = createChart(container, options(colours, signal.interval));
  const candles = chart.addSeries(CandlestickSeries, {
    upColor: colours.up, downColor: colours.down, wickUpColor: colours.up, wickDownColor: colours.down,
    borderVisible: false, priceLineVisible: false, lastValueVisible: false,
    autoscaleInfoProvider: (original) => withLevels(original(), signal),
  });
  const row = (index) => ({
    time: bars.ts[index] / NS, open: bars.open[index], high: bars.high[index], low: bars.low[index], close: bars.close[index],
  });
  candles.setData(bars.ts.map((_, index) => row(index)));
  const volume = chart.addSeries(HistogramSeries, {
    priceScaleId: "volume", priceFormat: { type: "volume" }, color: colours.line, priceLineVisible: false, lastValueVisible: false,
  });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
  volume.setData(bars.ts.map((ts, index) => ({ time: ts / NS, value: bars.volume[index] })));
  levels(candles, signal, colours, container.clientWidth >= NAMED_PX);
  createSeriesMarkers(candles, marks(signal, bars, colours));
  chart.timeScale().fitContent();
  return () => chart.remove();
}

/** The price scale holds the levels too, wherever the bars are. */
function withLevels(info, signal) {
  if (!info?.priceRange) return info;
  const { minValue, maxValue } = info.priceRange;
  return {
    ...info,
    priceRange: {
      minValue: Math.min(minValue, signal.stop, signal.target),
      maxValue: Math.max(maxValue, signal.stop, signal.target),
    },
  };
}
