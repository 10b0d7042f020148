// How the NFTs of an operation stand, as one bar with its legend.

import { h } from "./dom.js";
import { STATES } from "./story.js";

/** How many of all are in which state. @param {Record<import("./story.js").ItemState, number>} counts */
export function bar(counts) {
  const told = STATES.filter((state) => counts[state] > 0);
  const parts = told.map((state) => {
    const part = h("span", { class: state });
    part.style.flexGrow = String(counts[state]);
    return part;
  });
  const label = told.map((state) => `${counts[state]} ${state}`).join(", ");
  const legend = told.map((state) => h("li", null, h("span", { class: `dot ${state}` }), `${counts[state]} ${state}`));
  return h(
    "div",
    null,
    h("div", { class: "bar", role: "img", "aria-label": label }, parts),
    h("ul", { class: "legend" }, legend),
  );
}
