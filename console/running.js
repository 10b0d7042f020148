// What runs: every process by its own word, the Solana nodes, and how far each consumer of the log is.

import { call, pause } from "./api.js";
import { empty, fill, h, notice, pill } from "./dom.js";

const REFRESH_SECONDS = 5;
/** Columns of numbers. */
const COUNTS = ["Slot", "Slots behind", "Waiting", "In hand", "Tried again", "Given up"];

/**
 * The three sections, kept up to date for as long as the visit lasts; `told` hears of every report.
 * @param {AbortSignal} signal
 * @param {(system: any) => void} told
 */
export function running(signal, told) {
  const [services, chain, idle] = [h("div"), h("div"), h("div")];
  const busy = h("div", { class: "stack" }, h("p", { class: "loading" }, "Loading…"));
  // Made once: what somebody has opened stays open.
  const others = h("details", { hidden: true }, h("summary", null, "Consumers that have nothing to do"), idle);
  const watch = async () => {
    for (; !signal.aborted; await pause(REFRESH_SECONDS, signal)) {
      if (document.hidden) continue;
      try {
        const system = (await call("GET", "/api/system", { signal })).data;
        const all = consumers(system);
        fill(services, processes(system));
        fill(chain, nodes(system));
        fill(busy, ...working(all));
        fill(idle, lags(all.filter((one) => !isBusy(one))));
        others.hidden = all.every(isBusy);
        told(system);
      } catch (error) {
        if (!signal.aborted) fill(busy, notice("bad", /** @type {Error} */ (error).message));
      }
    }
  };
  void watch();
  return h("div", { class: "stack" }, services, chain, h("section", { class: "card stack" }, busy, others));
}

/** @param {any} system */
function processes(system) {
  const rows = system.processes.map((/** @type {any} */ one) =>
    h(
      "tr",
      null,
      h("td", { "data-label": "Service" }, named(one.service, one.host)),
      h("td", { "data-label": "State" }, pill(one.state)),
      h("td", { "data-label": "What it needs" }, checks(one)),
      h("td", { "data-label": "Reported" }, ago(one.reportedAt)),
      h("td", { "data-label": "Version", class: "muted" }, one.version),
    ),
  );
  const missing = system.missing.filter((/** @type {string} */ name) =>
    system.processes.every((/** @type {any} */ one) => one.service !== name),
  );
  rows.push(
    ...missing.map((/** @type {string} */ name) =>
      h(
        "tr",
        null,
        h("td", { "data-label": "Service" }, h("strong", null, name)),
        h("td", { "data-label": "State" }, pill("missing")),
        h("td", { colspan: 3, class: "muted" }, "No process of it reports."),
      ),
    ),
  );
  const heads = ["Service", "State", "What it needs", "Reported", "Version"];
  const ready = system.processes.every((/** @type {any} */ one) => one.state === "ready");
  return section("Services", heads, rows, system.missing.length ? "away" : ready ? "ok" : "degraded");
}

/** What answers in a few words; what does not, with its reason. @param {any} process */
function checks({ checks }) {
  const failing = checks.filter((/** @type {any} */ one) => !one.ok);
  if (!failing.length)
    return h("span", { class: "muted" }, checks.map((/** @type {any} */ one) => one.name).join(", "));
  return h(
    "ul",
    { class: "plain" },
    failing.map((/** @type {any} */ one) => h("li", { class: "trouble" }, `${one.name}: ${one.error ?? "away"}`)),
  );
}

/** @param {any} system */
function nodes(system) {
  const seen = system.processes.flatMap((/** @type {any} */ one) =>
    one.state === "silent" ? [] : one.nodes.map((/** @type {any} */ node) => ({ ...node, by: one.host })),
  );
  const rows = seen.map((/** @type {any} */ node) =>
    h(
      "tr",
      null,
      h("td", { "data-label": "Node" }, named(node.name, `as ${node.by} sees it`, why(node))),
      h("td", { "data-label": "State" }, pill(condition(node))),
      h("td", { "data-label": "Slot", class: "count" }, node.slot === undefined ? "–" : many(node.slot)),
      h(
        "td",
        { "data-label": "Slots behind", class: "count" },
        node.lagSlots === undefined ? "–" : many(node.lagSlots),
      ),
    ),
  );
  const bad = seen.some((/** @type {any} */ node) => condition(node) !== "ok");
  return section(
    "Solana nodes",
    ["Node", "State", "Slot", "Slots behind"],
    rows,
    bad ? "degraded" : "ok",
    "No process tells of one.",
  );
}

/** @param {any} node */
function condition(node) {
  if (node.excluded !== undefined) return "excluded";
  if (node.circuit === "opened") return "away";
  if (node.circuit === "half-opened") return "tried";
  return node.restsForSeconds > 0 ? "resting" : "ok";
}

/** @param {any} node */
function why(node) {
  if (node.excluded !== undefined) return node.excluded;
  if (node.circuit === "opened") return "It failed several times in a row and is left alone for a moment.";
  return node.restsForSeconds > 0 && `Over its request budget for another ${Math.ceil(node.restsForSeconds)} s.`;
}

/** The consumers of the log, and the tables as one more for each stream that they show. @param {any} system @returns {any[]} */
function consumers(system) {
  const tables = system.projection.map((/** @type {any} */ one) => ({
    name: `tables of ${one.stream}`,
    description: "indexer writes the tables that lists and totals are read from.",
    state: "there",
    pending: one.messages,
    inHand: 0,
    redelivered: 0,
  }));
  return [...system.consumers, ...tables];
}

/** @param {any} one */
function isBusy(one) {
  return one.state === "missing" || one.pending + one.inHand > 0;
}

/** @param {any[]} all @returns {Node[]} */
function working(all) {
  const busy = all.filter(isBusy);
  const waiting = all.reduce((sum, one) => sum + one.pending, 0);
  const state = all.some((one) => one.state === "missing") ? "away" : waiting ? `${many(waiting)} waiting` : "ok";
  return [
    h("div", { class: "row between" }, h("h2", null, "Consumers of the log"), pill(state)),
    busy.length ? lags(busy) : h("p", { class: "muted" }, "Nothing waits."),
  ];
}

/** @param {any[]} consumers */
function lags(consumers) {
  return grid(
    ["Consumer", "Waiting", "In hand", "Tried again"],
    consumers.map((one) =>
      h(
        "tr",
        null,
        h("td", { "data-label": "Consumer" }, named(one.name, one.description)),
        h(
          "td",
          { "data-label": "Waiting", class: "count" },
          one.state === "missing" ? pill("missing") : many(one.pending),
        ),
        h("td", { "data-label": "In hand", class: "count" }, many(one.inHand)),
        h("td", { "data-label": "Tried again", class: "count" }, many(one.redelivered)),
      ),
    ),
  );
}

/** A name with what it is, below it. @param {string} name @param {...(string | false)} more */
function named(name, ...more) {
  return h(
    "div",
    null,
    h("strong", null, name),
    more.map((text) => text !== false && h("div", { class: "muted" }, text)),
  );
}

/**
 * A table under a title and one word of how it stands.
 * @param {string} title
 * @param {string[]} heads
 * @param {Node[]} rows
 * @param {string} state
 * @param {string} [none] what stands there without rows
 */
export function section(title, heads, rows, state, none = "There is none.") {
  return h(
    "section",
    { class: "card stack" },
    h("div", { class: "row between" }, h("h2", null, title), rows.length > 0 && state !== "" && pill(state)),
    rows.length ? grid(heads, rows) : empty(none),
  );
}

/** @param {string[]} heads @param {Node[]} rows */
function grid(heads, rows) {
  const head = heads.map((name) => h("th", { scope: "col", class: COUNTS.includes(name) && "count" }, name));
  return h("table", null, h("thead", null, h("tr", null, head)), h("tbody", null, rows));
}

/** @param {number} count */
export function many(count) {
  return count.toLocaleString("en");
}

/** @param {string} iso */
function ago(iso) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  return h("time", { datetime: iso, title: iso }, `${seconds} s ago`);
}
