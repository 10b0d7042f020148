// How a collection compares with the chain: the counts, what differs and why, and what differed before.

import { get } from "./api.js";
import { empty, facts, h, moment, notice, pill, plural } from "./dom.js";
import { linked } from "./links.js";

/** @param {string} id @param {import("./app.js").Visit} visit */
export async function comparisons(id, { config, signal }) {
  const all = (await get(`/api/collections/${id}/drift?limit=20`, signal)).comparisons;
  const [newest, ...before] = all;
  return h(
    "section",
    { class: "card stack", "aria-label": "Compared with the chain" },
    h("div", { class: "row between" }, h("h2", null, "Compared with the chain"), newest && pill(stateOf(newest))),
    newest ? [...counts(newest), differences(newest, config)] : empty("It was not compared yet."),
    before.length > 0 &&
      h(
        "details",
        null,
        h("summary", null, `${plural(before.length, "comparison")} before that came out differently`),
        h(
          "ul",
          { class: "items" },
          before.map((/** @type {any} */ one) => earlier(one, config)),
        ),
      ),
  );
}

/** @param {any} comparison */
function stateOf({ differences }) {
  if (differences.some((/** @type {any} */ one) => one.alarm)) return "alarm";
  return differences.length ? "differs" : "agrees";
}

/** @param {any} one */
function counts(one) {
  const number = (/** @type {number | undefined} */ value) => value?.toLocaleString("en");
  const known = facts([
    ["Confirmed by the log", number(one.log)],
    ["In the tables", number(one.projection)],
    ["Minted, say the trees", number(one.chain)],
    ["Seen being minted", number(one.observed)],
    ["Still in their trees", number(one.living)],
    ["Shown by DAS", number(one.das) ?? "it did not answer"],
  ]);
  return [
    known,
    h("p", { class: "muted" }, "It came out so at ", moment(one.time), `, as of slot ${number(one.slot)}.`),
  ];
}

/** @param {any} comparison @param {import("./app.js").Config} config */
function differences({ differences: all }, config) {
  if (!all.length) return notice("good", "Log, tables, trees and DAS agree.");
  return h(
    "ul",
    { class: "items" },
    all.map((/** @type {any} */ one) =>
      h(
        "li",
        null,
        h(
          "div",
          { class: "grow" },
          h("div", { class: "name" }, `${one.count.toLocaleString("en")} ${one.kind.replaceAll("_", " ")}`),
          h("p", { class: one.alarm ? "trouble" : "" }, one.explanation),
          h(
            "div",
            { class: "examples muted" },
            one.examples.map((/** @type {string} */ example) => h("span", null, linked(config, example))),
          ),
        ),
        one.alarm && pill("alarm"),
      ),
    ),
  );
}

/** @param {any} one @param {import("./app.js").Config} config */
function earlier(one, config) {
  return h(
    "li",
    null,
    h(
      "div",
      { class: "grow stack" },
      h("div", { class: "row between" }, moment(one.time), pill(stateOf(one))),
      one.differences.length > 0 && differences(one, config),
    ),
  );
}
