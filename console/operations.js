// Operations: the list with its search and filters, and one of them.

import { get } from "./api.js";
import { auditSection } from "./audit.js";
import { empty, field, fill, h, moment, notice, pill, short } from "./dom.js";
import { explorer, may } from "./links.js";
import { liveOperation } from "./live.js";
import { kindOf, soughtIn } from "./search.js";

const STATES = ["", "pending", "processing", "completed", "failed", "cancelled"];

/** @param {import("./app.js").Visit} visit */
export async function operationsView({ config, query, signal }) {
  const collections = (await get("/api/collections?limit=100", signal)).collections;
  /** @type {Map<string, string>} */
  const names = new Map(collections.map((/** @type {any} */ one) => [one.id, one.name]));
  const rows = h("tbody");
  const more = h("button", { onclick: () => load() }, "More");
  /** @type {string | undefined} */
  let cursor;
  const load = async () => {
    const asked = new URLSearchParams(query);
    if (cursor) asked.set("cursor", cursor);
    const page = await get(`/api/mint/operations?${asked}`, signal);
    rows.append(...page.operations.map((/** @type {any} */ one) => row(one, names, config, query)));
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
    searchForm(names, query, signal),
    rows.children.length
      ? h("div", { class: "card" }, h("table", null, h("thead", null, h("tr", null, heads)), rows), more)
      : nothing(config, query),
  );
}

/** @param {Map<string, string>} names @param {URLSearchParams} query @param {AbortSignal} signal */
function searchForm(names, query, signal) {
  const search = h("input", {
    type: "search",
    placeholder: "id, wallet, NFT or transaction",
    spellcheck: "false",
    autocomplete: "off",
    value: soughtIn(query),
  });
  const status = h(
    "select",
    null,
    STATES.map((state) => h("option", { value: state, selected: state === query.get("status") }, state || "any")),
  );
  const options = [["", "any"], ...names].map(([id, name]) =>
    h("option", { value: id, selected: id === query.get("collectionId") }, name),
  );
  const collection = h("select", null, options);
  const complaint = h("div");
  const apply = async () => {
    fill(complaint);
    try {
      location.hash = await target(
        search.value.trim(),
        { status: status.value, collectionId: collection.value },
        names,
        signal,
      );
    } catch (error) {
      fill(complaint, notice("bad", /** @type {Error} */ (error).message));
    }
  };
  return h(
    "form",
    { class: "card filters", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), apply()) },
    field("Search", search),
    field("Status", status),
    field("Collection", collection),
    h("button", null, "Show"),
    complaint,
  );
}

/**
 * Where a search leads: to the operation itself where there is but one, or the collection, else to a list. Raises Error with a sentence.
 * @param {string} text
 * @param {Record<string, string>} filters
 * @param {Map<string, string>} collections names by id
 * @param {AbortSignal} signal
 */
async function target(text, filters, collections, signal) {
  const kind = kindOf(text);
  if (text && kind === null) throw new Error("That is no operation's id, wallet, NFT or transaction.");
  if (kind === "operation") return collections.has(text) ? `#/collections/${text}` : `#/operations/${text}`;
  if (kind !== null) {
    const name = kind === "signature" ? "signature" : "assetId";
    const [found] = (await get(`/api/mint/operations?limit=1&${name}=${text}`, signal)).operations;
    if (found) return `#/operations/${found.transactionId}?find=${text}`;
  }
  const wanted = { ...filters, [kind === "signature" ? "signature" : "recipient"]: text };
  return `#/operations?${new URLSearchParams(Object.entries(wanted).filter(([, value]) => value))}`;
}

/** @param {import("./app.js").Config} config @param {URLSearchParams} query */
function nothing(config, query) {
  const text = soughtIn(query);
  if (!text) return empty("No operation is like that.", h("a", { href: "#/drop" }, "Mint something"));
  const link = explorer(config, kindOf(text) === "signature" ? "tx" : "address", text, "Look at it in the explorer");
  return kindOf(text) === "signature"
    ? empty("No operation that you may see has minted anything with this transaction.", link)
    : empty("No operation that you may see has minted this NFT, or minted for this wallet.", link);
}

/**
 * @param {any} one
 * @param {Map<string, string>} names
 * @param {import("./app.js").Config} config
 * @param {URLSearchParams} query
 */
function row(one, names, config, query) {
  const trouble = one.failed ? ` · ${one.failed} failed` : "";
  const find = query.get("assetId") ?? query.get("signature");
  const place = `#/operations/${one.transactionId}${find ? `?find=${encodeURIComponent(find)}` : ""}`;
  /** @param {string} label @param {...(Node | string)} pieces */
  const cell = (label, ...pieces) => h("td", { "data-label": label }, h("div", null, ...pieces));
  return h(
    "tr",
    null,
    cell("Status", pill(one.status)),
    cell("Operation", h("a", { href: place }, short(one.transactionId))),
    cell(
      "Collection",
      h(
        "a",
        { class: "name", href: `#/collections/${one.collectionId}` },
        names.get(one.collectionId) ?? short(one.collectionId),
      ),
    ),
    cell("Recipient", explorer(config, "address", one.recipient)),
    cell("Minted", `${one.completed} of ${one.total}${trouble}`),
    cell("Asked for", moment(one.startTime)),
  );
}

/** @param {import("./app.js").Visit} visit */
export async function operationView(visit) {
  const panel = await liveOperation(visit.id, visit);
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "muted mono" }, visit.id),
    panel,
    may(visit.me, "admin") && auditSection(visit.id, visit),
  );
}
