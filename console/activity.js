// What was minted in the last hour and day, and how long it took, as charts.

import { get, pause } from "./api.js";
import { Figure } from "./charts.js";
import { fill, h, notice } from "./dom.js";

/** How long a chart stands: a minute is its smallest stretch. */
const REFRESH_SECONDS = 60;
/** Seconds by which the scale of a time goes up, so that it has whole minutes and hours where it has any. */
const ROUND_SECONDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600];
const SPANS = /** @type {const} */ ({ hour: "Last hour", day: "Last day" });

/** @param {AbortSignal} signal */
export function activity(signal) {
  /** @type {keyof typeof SPANS} */
  let span = "hour";
  const [minted, taken] = [new Figure(), new Figure()];
  const trouble = h("div");
  const show = async () => {
    const asked = span;
    try {
      const series = await get(`/api/stats/series?span=${asked}`, signal);
      if (asked !== span) return;
      minted.show(throughput(series));
      taken.show(latency(series));
      fill(trouble);
    } catch (error) {
      if (!signal.aborted) fill(trouble, notice("bad", /** @type {Error} */ (error).message));
    }
  };
  const choices = Object.entries(SPANS).map(([key, text]) => {
    const choose = () => {
      span = /** @type {keyof typeof SPANS} */ (key);
      for (const each of choices) each.setAttribute("aria-pressed", String(each === button));
      return show();
    };
    const button = h("button", { class: "quiet", "aria-pressed": String(key === span), onclick: choose }, text);
    return button;
  });
  const watch = async () => {
    // Nobody looks at a page in the background; its requests would count all the same.
    for (; !signal.aborted; await pause(REFRESH_SECONDS, signal)) if (!document.hidden) await show();
  };
  void watch();
  return h(
    "section",
    { class: "card stack" },
    h(
      "div",
      { class: "row between" },
      h("h2", null, "Activity"),
      h("div", { class: "segments", role: "group", "aria-label": "Time" }, choices),
    ),
    trouble,
    h("div", { class: "two" }, minted.element, taken.element),
  );
}

/** @param {any} series @returns {import("./charts.js").Chart} */
function throughput(series) {
  const of = (/** @type {string} */ name) => series.points.map((/** @type {any} */ point) => point[name]);
  const each = series.span === "hour" ? "minute" : "hour";
  const span = SPANS[/** @type {keyof typeof SPANS} */ (series.span)].toLowerCase();
  return {
    title: `NFTs by the ${each}`,
    about: `How many NFTs were accepted, confirmed and failed in each ${each} of the ${span}.`,
    empty: `Nothing was minted in the ${span}.`,
    step: series.stepSeconds,
    times: times(series),
    tell: (value) => value.toLocaleString("en", { maximumFractionDigits: 1 }),
    series: [
      { name: "confirmed", kind: "bar", look: "good", values: of("confirmed") },
      { name: "failed", kind: "bar", look: "bad", values: of("failed") },
      { name: "accepted", kind: "line", look: "busy", values: of("accepted") },
    ],
  };
}

/** @param {any} series @returns {import("./charts.js").Chart} */
function latency(series) {
  const of = (/** @type {string} */ name) => series.points.map((/** @type {any} */ point) => point[name] ?? null);
  return {
    title: "Time to confirmed",
    about: "How long NFTs took from being accepted to being confirmed on chain.",
    empty: "Nothing was confirmed.",
    step: series.stepSeconds,
    times: times(series),
    rounds: ROUND_SECONDS,
    // To two digits: half a minute more, or half an hour, is not to be told as a whole one.
    tell: (value) => {
      const [size, unit] = value < 90 ? [1, "s"] : value < 5400 ? [60, "min"] : [3600, "h"];
      return `${Number((value / size).toPrecision(2))} ${unit}`;
    },
    series: [
      { name: "half of them within", kind: "line", look: "accent", values: of("p50Seconds") },
      { name: "95% within", kind: "line", look: "late", values: of("p95Seconds") },
    ],
  };
}

/** @param {any} series @returns {Date[]} */
function times(series) {
  return series.points.map((/** @type {any} */ point) => new Date(point.at));
}
