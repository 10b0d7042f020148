// Charts of a time axis as inline SVG, with what they show as a table beside them. They are drawn as wide as their place
// is, so that their texts keep their size on a phone. Knows neither the API nor the page; colours are in the sheet.

import { fill, h } from "./dom.js";

/**
 * One line or one kind of bars. Bars of a chart stand on one another, the first one below; lines lie over them.
 * @typedef {{name: string, kind: "bar" | "line", look: string, values: (number | null)[]}} Series
 * @typedef {{title: string, about: string, empty: string, step: number, times: Date[], series: Series[], tell: (value: number) => string, rounds?: number[]}} Chart
 * `step` is in seconds; a line has a gap where its value is null; `tell` writes a value with its unit; `rounds` are the
 * values, the least first, by which the grid may go up: else 1, 2, 2.5, 5 and their tens.
 */

const HEIGHT = 200;
const INSIDE = { top: 10, right: 6, bottom: 24, left: 52 };
const GRID_LINES = 4;
/** Pixels between two times below a chart. */
const TIMES_APART = 64;
let charts = 0;

/** A place for charts: each that is shown takes the place of the one before, and nothing else on the page moves. */
export class Figure {
  #id = `chart-${(charts += 1)}`;
  #caption = h("figcaption");
  #canvas = h("div", { class: "canvas" });
  #table = h("div");
  /** @type {Chart | null} */
  #chart = null;

  constructor() {
    const details = h("details", null, h("summary", null, "As a table"), this.#table);
    this.element = h("figure", { class: "chart" }, this.#caption, this.#canvas, details);
    // It is told once when the observing begins, and of every other width after that; it ends with the element.
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
  }

  /** @param {Chart} chart */
  show(chart) {
    this.#chart = chart;
    const legend = chart.series.map(({ name, look }) => h("li", null, h("span", { class: `dot ${look}` }), name));
    fill(this.#caption, h("h3", null, chart.title), h("ul", { class: "legend" }, legend));
    fill(this.#table, table(chart));
    this.#draw();
  }

  #draw() {
    const width = Math.floor(this.#canvas.clientWidth);
    if (this.#chart !== null && width > 0) fill(this.#canvas, drawn(this.#chart, this.#id, width));
  }
}

/** @param {Chart} chart */
function table({ title, times, series, tell }) {
  const rows = times
    .map((time, place) => ({ time, values: series.map(({ values }) => values[place]) }))
    .filter(({ values }) => values.some((value) => value));
  if (!rows.length) return h("p", { class: "muted" }, "There is nothing to show.");
  const heads = ["From", ...series.map(({ name }) => name)].map((name) => h("th", { scope: "col" }, name));
  return h(
    "table",
    null,
    h("caption", { class: "hidden" }, title),
    h("thead", null, h("tr", null, heads)),
    h(
      "tbody",
      null,
      rows.map(({ time, values }) =>
        h(
          "tr",
          null,
          h("td", { "data-label": "From" }, clock(time)),
          values.map((value, place) =>
            h("td", { "data-label": series[place].name }, value === null ? "–" : tell(value)),
          ),
        ),
      ),
    ),
  );
}

/** @param {Chart} chart @param {string} id @param {number} width pixels */
function drawn(chart, id, width) {
  const { times, series } = chart;
  const top = scaleOf(chart);
  const wide = (width - INSIDE.left - INSIDE.right) / times.length;
  const high = HEIGHT - INSIDE.top - INSIDE.bottom;
  const left = (/** @type {number} */ place) => INSIDE.left + place * wide;
  const y = (/** @type {number} */ value) => INSIDE.top + high * (1 - value / top);
  const bars = series.filter(({ kind }) => kind === "bar");
  const nothing = series.every(({ values }) => values.every((value) => !value));
  const lines = nothing ? [] : series.filter(({ kind }) => kind === "line");
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-labelledby": `${id}-t ${id}-d` },
    s("title", { id: `${id}-t` }, chart.title),
    s("desc", { id: `${id}-d` }, nothing ? chart.empty : `${chart.about} ${summary(chart)}`),
    ...grid(chart, top, width, y),
    ...axis(times, left, wide, width),
    ...times.flatMap((_, place) => stacked(bars, place, left(place), wide, y)),
    ...lines.flatMap(({ look, values }) => line(look, values, (place) => left(place) + wide / 2, y)),
    ...times.map((time, place) =>
      s(
        "rect",
        { class: "hit", x: left(place), y: INSIDE.top, width: wide, height: high },
        s("title", {}, hint(chart, time, place)),
      ),
    ),
    nothing &&
      s(
        "text",
        { class: "nothing", x: width / 2, y: INSIDE.top + (high * 3) / 8 + 5, "text-anchor": "middle" },
        chart.empty,
      ),
  );
}

/** The value at the top: a round one that nothing goes beyond. @param {Chart} chart */
function scaleOf({ times, series, rounds = [] }) {
  const bars = series.filter(({ kind }) => kind === "bar");
  const heights = times.map((_, place) => bars.reduce((sum, { values }) => sum + (values[place] ?? 0), 0));
  const highest = Math.max(...heights, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const least = highest / GRID_LINES || 1;
  return (rounds.find((one) => one >= least) ?? round(least)) * GRID_LINES;
}

/** The least of 1, 2, 2.5, 5 and their tens that is no less. @param {number} value */
export function round(value) {
  const ten = 10 ** Math.floor(Math.log10(value));
  return /** @type {number} */ ([1, 2, 2.5, 5, 10].find((one) => one * ten >= value * 0.999999)) * ten;
}

/** @param {Chart} chart @param {number} top @param {number} width @param {(value: number) => number} y */
function grid({ tell }, top, width, y) {
  return Array.from({ length: GRID_LINES + 1 }, (_, number) => (top / GRID_LINES) * number).flatMap((value) => [
    s("line", { class: "grid", x1: INSIDE.left, x2: width - INSIDE.right, y1: y(value), y2: y(value) }),
    s("text", { x: INSIDE.left - 6, y: y(value) + 4, "text-anchor": "end" }, tell(value)),
  ]);
}

/** @param {Date[]} times @param {(place: number) => number} left @param {number} wide @param {number} width */
function axis(times, left, wide, width) {
  const minutes = times.length > 1 ? (times[1].getTime() - times[0].getTime()) / 60_000 : 1;
  const every =
    [5, 10, 15, 30, 60, 120, 180, 240, 360, 720].find((one) => (one / minutes) * wide >= TIMES_APART) ?? 720;
  return times.flatMap((time, place) => {
    const minute = time.getHours() * 60 + time.getMinutes();
    const x = left(place);
    if (minute % every !== 0 || x > width - INSIDE.right - TIMES_APART / 3) return [];
    return [
      s("line", { class: "tick", x1: x, x2: x, y1: HEIGHT - INSIDE.bottom, y2: HEIGHT - INSIDE.bottom + 4 }),
      s("text", { x, y: HEIGHT - 6, "text-anchor": "middle" }, clock(time)),
    ];
  });
}

/** @param {Series[]} bars @param {number} place @param {number} x @param {number} wide @param {(value: number) => number} y */
function stacked(bars, place, x, wide, y) {
  const gap = Math.min(3, wide / 5);
  let below = 0;
  return bars.flatMap(({ look, values }) => {
    const value = values[place] ?? 0;
    if (value === 0) return [];
    const [low, high] = [y(below), y((below += value))];
    // At least a pixel and a half: one failure among thousands has to be seen.
    const tall = Math.max(1.5, low - high);
    return [s("rect", { class: look, x: x + gap / 2, y: low - tall, width: wide - gap, height: tall, rx: 1 })];
  });
}

/** @param {string} look @param {(number | null)[]} values @param {(place: number) => number} x @param {(value: number) => number} y */
function line(look, values, x, y) {
  /** @type {[number, number][][]} */
  const runs = [[]];
  values.forEach((value, place) => {
    if (value === null) runs.push([]);
    else runs[runs.length - 1].push([x(place), y(value)]);
  });
  return runs
    .filter((run) => run.length)
    .map((run) =>
      run.length === 1
        ? s("circle", { class: `point ${look}`, cx: run[0][0], cy: run[0][1], r: 3 })
        : s("polyline", { class: `line ${look}`, points: run.map((point) => point.join(",")).join(" ") }),
    );
}

/** @param {Chart} chart @param {Date} time @param {number} place */
function hint({ step, series, tell }, time, place) {
  const values = series.map(({ name, values }) => `${name}: ${tellOr(values[place], tell)}`);
  return [`${clock(time)} to ${clock(new Date(time.getTime() + step * 1000))}`, ...values].join("\n");
}

/** The highest and the last value of each, for who cannot see it. @param {Chart} chart */
function summary({ series, times, tell }) {
  return series
    .map(({ name, values }) => {
      const highest = Math.max(...values.map((value) => value ?? 0));
      if (highest === 0) return `${name}: none.`;
      return `${name}: ${tell(highest)} at most, at ${clock(times[values.indexOf(highest)])}; ${tellOr(values[values.length - 1], tell)} now.`;
    })
    .join(" ");
}

/** @param {number | null} value @param {(value: number) => string} tell */
function tellOr(value, tell) {
  return value === null ? "none" : tell(value);
}

/** Hours and minutes in the reader's own zone. @param {Date} time */
function clock(time) {
  return time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** An element of SVG. @param {string} tag @param {Record<string, string | number>} attributes @param {...(Node | string | false)} pieces */
function s(tag, attributes, ...pieces) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes))
    element.setAttribute(name, typeof value === "number" ? String(Math.round(value * 100) / 100) : value);
  element.append(...pieces.filter((piece) => piece !== false));
  return element;
}
