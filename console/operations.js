// Operations: the list with its filters, and one of them.

import { get } from "./api.js";
import { empty, field, fill, h, moment, notice, pill, short } from "./dom.js";
import { liveOperation } from "./live.js";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;

/** @param {import("./app.js").Visit} visit */
export async function operationsView({ query, signal }) {
  const collections = (await get("/api/collections?limit=100", signal)).collections;
  /** @type {Map<string, string>} */
  const names = new Map(collections.map((/** @type {any} */ one) => [one.id, one.name]));
  const search = h("input", {
    type: "search",
    placeholder: "operation id or wallet",
    value: query.get("recipient") ?? "",
  });
  const states = ["", "pending", "processing", "completed", "failed", "cancelled"];
  const status = h(
    "select",
    null,
    states.map((state) => h("option", { value: state, selected: state === query.get("status") }, state || "any")),
  );
  const options = [["", "any"], ...names].map(([id, name]) =>
    h("option", { value: id, selected: id === query.get("collectionId") }, name),
  );
  const collection = h("select", null, options);
  const complaint = h("div");

  const apply = () => {
    fill(complaint);
    const text = search.value.trim();
    if (ID.test(text)) return (location.hash = `#/operations/${text}`);
    if (text && !ADDRESS.test(text))
      return fill(complaint, notice("bad", "That is neither an operation's id nor a wallet's address."));
    const wanted = { recipient: text, status: status.value, collectionId: collection.value };
    location.hash = `#/operations?${new URLSearchParams(Object.entries(wanted).filter(([, value]) => value))}`;
  };
  const rows = h("tbody");
  const more = h("button", { onclick: () => load() }, "More");
  /** @type {string | undefined} */
  let cursor;
  const load = async () => {
    const asked = new URLSearchParams(query);
    if (cursor) asked.set("cursor", cursor);
    const page = await get(`/api/mint/operations?${asked}`, signal);
    rows.append(...page.operations.map((/** @type {any} */ one) => row(one, names)));
    cursor = page.nextCursor;
    more.hidden = !cursor;
  };
  await load();
  const heads = ["Status", "Operation", "Collection", "Recipient", "Minted", "Asked for"].map((name) =>
    h("th", { scope: "col" }, name),
  );
  return h(
    "div",
    { class: "stack" },
    h(
      "form",
      { class: "card filters", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), apply()) },
      field("Search", search),
      field("Status", status),
      field("Collection", collection),
      h("button", null, "Show"),
      complaint,
    ),
    rows.children.length
      ? h("div", { class: "card" }, h("table", null, h("thead", null, h("tr", null, heads)), rows), more)
      : empty("No operation is like that.", h("a", { href: "#/drop" }, "Mint something")),
  );
}

/** @param {any} one @param {Map<string, string>} names */
function row(one, names) {
  const trouble = one.failed ? ` · ${one.failed} failed` : "";
  /** @param {string} label @param {...(Node | string)} pieces */
  const cell = (label, ...pieces) => h("td", { "data-label": label }, h("div", null, ...pieces));
  return h(
    "tr",
    null,
    cell("Status", pill(one.status)),
    cell("Operation", h("a", { href: `#/operations/${one.transactionId}` }, short(one.transactionId))),
    cell(
      "Collection",
      h("a", { href: `#/collections/${one.collectionId}` }, names.get(one.collectionId) ?? short(one.collectionId)),
    ),
    cell("Recipient", short(one.recipient)),
    cell("Minted", `${one.completed} of ${one.total}${trouble}`),
    cell("Asked for", moment(one.startTime)),
  );
}

/** @param {import("./app.js").Visit} visit */
export async function operationView(visit) {
  const panel = await liveOperation(visit.id, visit);
  return h("div", { class: "stack" }, h("p", { class: "muted mono" }, visit.id), panel);
}
