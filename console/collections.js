// Collections: the list, one of them, a new one with its cost, and taking over one that is on chain.

import { ApiError, call, get, pause } from "./api.js";
import { toSol } from "./costs.js";
import { empty, facts, field, fill, h, inSol, moment, notice, pill, plural, say } from "./dom.js";
import { explorer, may, picture, thumbnail } from "./links.js";

/** @param {import("./app.js").Visit} visit */
export async function collectionsView({ config, me, query, signal }) {
  const page = Number(query.get("page")) || 1;
  const { collections, pagination } = await get(`/api/collections?limit=30&page=${page}`, signal);
  const cards = collections.map((/** @type {any} */ one) =>
    h(
      "li",
      { class: "card" },
      thumbnail(picture(config, one.imageUrl)),
      h(
        "div",
        { class: "grow stack" },
        h(
          "div",
          { class: "row between" },
          h("a", { href: `#/collections/${one.id}` }, h("strong", null, one.name)),
          pill(one.status),
        ),
        fullness(one),
      ),
    ),
  );
  /** @param {string} text @param {number} target */
  const turn = (text, target) =>
    target >= 1 && target <= pagination.totalPages && h("a", { href: `#/collections?page=${target}` }, text);
  return h(
    "div",
    { class: "stack" },
    may(me, "admin") &&
      h(
        "div",
        { class: "row" },
        h("a", { class: "button main", href: "#/collections/new" }, "New collection"),
        h("a", { class: "button", href: "#/collections/import" }, "Import one"),
      ),
    cards.length ? h("ul", { class: "cards" }, cards) : empty("There is no collection yet."),
    h("div", { class: "row" }, turn("Newer", page - 1), turn("Older", page + 1)),
  );
}

/** @param {any} one */
function fullness(one) {
  const bar = h("progress", { max: one.capacity || 1, value: one.minted, "aria-label": "minted" });
  return h(
    "div",
    null,
    bar,
    h("div", { class: "muted" }, `${one.minted.toLocaleString("en")} of ${one.capacity.toLocaleString("en")} minted`),
  );
}

/** @param {import("./app.js").Visit} visit */
export async function collectionView(visit) {
  const place = h("div", { class: "stack" });
  /** @param {any} one @param {Node} [note] */
  const show = (one, note) => fill(place, ...detail(one, visit, show, note));
  const look = async () => {
    const one = await get(`/api/collections/${visit.id}`, visit.signal);
    show(one);
    return one.stage === "requested";
  };
  const watch = async () => {
    do await pause(2, visit.signal);
    while (!visit.signal.aborted && (await look()));
  };
  if (await look()) watch().catch(() => {}); // stop: what is shown stays; a visit asks anew
  return place;
}

/**
 * What changes it is answered with what it is now; asked anew, the tables may still tell the time before.
 * @param {any} one
 * @param {import("./app.js").Visit} visit
 * @param {(changed: any, note?: Node) => void} show
 * @param {Node} [note]
 */
function detail(one, visit, show, note) {
  const { config, me } = visit;
  const admin = may(me, "admin");
  const told = h("div", { role: "status" }, note);
  /** @param {string} label @param {string} flag */
  const toggle = (label, flag) => {
    const box = h("input", { type: "checkbox", checked: one[flag], disabled: !admin });
    box.addEventListener("change", async () => {
      try {
        const { data } = await call("PATCH", `/api/collections/${one.id}`, { body: { [flag]: box.checked } });
        say(`${label}: ${box.checked ? "yes" : "no"}`);
        show({ ...one, ...data });
      } catch (error) {
        box.checked = !box.checked;
        fill(told, notice("bad", /** @type {Error} */ (error).message));
      }
    });
    return h("label", { class: "check" }, box, label);
  };
  const sync = h("button", { onclick: () => count(one, sync, told, show) }, "Count on chain");
  const made = one.stage === "created";
  return [
    h(
      "section",
      { class: "card stack" },
      h(
        "div",
        { class: "row" },
        thumbnail(picture(config, one.imageUrl)),
        h("div", { class: "grow" }, h("h2", null, one.name), h("p", { class: "muted" }, one.description || one.symbol)),
        pill(made ? one.status : one.stage),
      ),
      one.stage === "requested" && notice("plain", "It is being made on chain; this page tells when it is."),
      one.stage === "failed" && notice("bad", h("code", null, one.errorCode ?? ""), " ", one.error ?? ""),
      made && fullness(one),
      facts([
        ["Id", h("span", { class: "mono" }, one.id)],
        ["Standard", one.standard === "v1" ? "Bubblegum V1, token-metadata" : one.standard && "Bubblegum V2, MPL-Core"],
        ["Collection address", one.collectionAddress && explorer(config, "address", one.collectionAddress)],
        ["Newest tree", one.treeAddress && explorer(config, "address", one.treeAddress)],
        ["Paid and signed by", one.creatorAddress && explorer(config, "address", one.creatorAddress)],
        [
          "Website",
          one.externalUrl && h("a", { href: one.externalUrl, target: "_blank", rel: "noreferrer" }, one.externalUrl),
        ],
        ["Known to DAS", one.supportsDAS ? "yes" : "no"],
        ["Asked for", moment(one.createdAt)],
        ["Changed", moment(one.updatedAt)],
      ]),
    ),
    made &&
      h(
        "section",
        { class: "card stack" },
        h("h2", null, "Minting"),
        h("div", { class: "row" }, toggle("Takes mints", "allowMinting"), toggle("Public", "isPublic")),
        h(
          "div",
          { class: "row" },
          one.allowMinting && h("a", { class: "button main", href: `#/drop?collection=${one.id}` }, "Mint into it"),
          h("a", { class: "button", href: `#/operations?collectionId=${one.id}` }, "Its operations"),
          admin && sync,
        ),
        told,
      ),
  ];
}

/**
 * Has a collection counted on chain and tells how that compares.
 * @param {any} one
 * @param {HTMLButtonElement} button
 * @param {Element} told
 * @param {(changed: any, note?: Node) => void} show
 */
async function count(one, button, told, show) {
  button.disabled = true;
  fill(told, notice("plain", "Counting…"));
  try {
    const { updated } = (await call("POST", `/api/collections/sync/${one.id}`)).data;
    const away = updated.minted - one.minted;
    const drift =
      away === 0
        ? "Chain and tables agree"
        : away > 0
          ? `The chain has ${plural(away, "NFT")} more than was shown: minted elsewhere, or not yet read from the log`
          : `The chain has ${plural(-away, "NFT")} fewer than was shown: burned, or dropped by a fork`;
    const tree = updated.hasValidTree ? "" : ". No tree of the collection is valid";
    const sentence = `${drift}: ${updated.minted.toLocaleString("en")} of ${updated.capacity.toLocaleString("en")}${tree}.`;
    show({ ...one, ...updated }, notice("plain", sentence));
  } catch (error) {
    fill(told, notice("bad", /** @type {Error} */ (error).message));
  }
  button.disabled = false;
}

/** @param {import("./app.js").Visit} visit */
export function newCollectionView({ me, signal }) {
  if (!may(me, "admin")) return notice("plain", "Collections are made with a key of scope admin.");
  const name = h("input", { required: true, maxlength: 32, name: "name" });
  const symbol = h("input", { required: true, maxlength: 10, name: "symbol" });
  const description = h("textarea", { rows: 3, name: "description" });
  const image = h("input", { type: "file", accept: "image/png,image/jpeg,image/gif,image/webp", required: true });
  const standard = h(
    "select",
    null,
    h("option", { value: "v2" }, "V2: MPL-Core"),
    h("option", { value: "v1" }, "V1: token-metadata"),
  );
  const depth = h(
    "select",
    null,
    [3, 5, 14, 15, 16, 17, 18, 19, 20, 24].map((one) =>
      h("option", { value: one, selected: one === 14 }, `${(2 ** one).toLocaleString("en")} NFTs`),
    ),
  );
  const trees = h("input", { type: "number", min: 1, max: 16, value: 1, required: true });
  const cost = h("div", { role: "status" });
  const complaint = h("div");
  const button = h("button", { class: "main" }, "Create");

  const estimate = async () => {
    const body = {
      standard: standard.value,
      tree: { maxDepth: Number(depth.value) },
      trees: Number(trees.value) || 1,
      ...(name.value && { name: name.value }),
    };
    try {
      const found = (await call("POST", "/api/collections/estimate", { body, signal })).data;
      const { lamports } = found;
      const sol = (/** @type {number} */ one) => inSol(toSol(one));
      fill(
        cost,
        facts([
          ["Costs", h("strong", { class: "number" }, inSol(found.totalSol))],
          ["Room for", plural(found.capacity, "NFT")],
          [
            "Rents, kept in its accounts",
            sol(lamports.collectionRent + lamports.treeRent + lamports.treeConfigRent + lamports.lookupTableRent),
          ],
          [
            "Fees",
            `${sol(lamports.networkFee + lamports.protocolFee)} in ${plural(found.transactions, "transaction")}`,
          ],
          ["For each NFT, when full", sol(found.perNft.creation)],
        ]),
      );
    } catch (error) {
      if (error instanceof ApiError) fill(cost, notice("bad", error.message));
      else throw error;
    }
  };
  const key = crypto.randomUUID(); // one form is one collection, however often it is sent
  const send = async () => {
    const form = new FormData();
    const tree = JSON.stringify({ maxDepth: Number(depth.value) });
    const values = {
      name: name.value,
      symbol: symbol.value,
      description: description.value,
      standard: standard.value,
      tree,
      trees: trees.value,
    };
    for (const [field_, value] of Object.entries(values)) if (value) form.set(field_, value);
    if (image.files?.[0]) form.set("image", image.files[0]);
    await submit(button, complaint, "/api/collections", { form, headers: { "Idempotency-Key": key } });
  };
  for (const control of [standard, depth, trees, name]) control.addEventListener("change", estimate);
  void estimate();
  return h(
    "form",
    { class: "two", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), send()) },
    h(
      "section",
      { class: "card stack" },
      field("Name", name),
      field("Symbol", symbol),
      field("Description", description),
      field("Image", image),
    ),
    h(
      "section",
      { class: "card stack" },
      field("Standard", standard),
      field("Size of a tree", depth, "One tree takes about one transaction in each slot."),
      field("Trees", trees),
      cost,
      button,
      complaint,
    ),
  );
}

/** @param {import("./app.js").Visit} visit */
export function importView({ me }) {
  if (!may(me, "admin")) return notice("plain", "Collections are imported with a key of scope admin.");
  const address = h("input", { required: true, class: "mono", spellcheck: "false" });
  const trees = h("textarea", { rows: 3, class: "mono", spellcheck: "false" });
  const complaint = h("div");
  const button = h("button", { class: "main" }, "Import");
  const send = async () => {
    const treeAddresses = trees.value.split(/\s+/).filter(Boolean);
    await submit(button, complaint, "/api/collections/import", {
      body: { collectionAddress: address.value.trim(), treeAddresses },
    });
  };
  return h(
    "form",
    { class: "card stack narrow", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), send()) },
    h(
      "p",
      { class: "muted" },
      "A collection on chain that the minter's wallet is the authority of. It is read and judged; nothing is signed, and it costs nothing.",
    ),
    field("Address of the collection", address),
    field("Its trees", trees, "One a line. Left empty, those of its assets are found."),
    button,
    complaint,
  );
}

/** @param {HTMLButtonElement} button @param {Element} complaint @param {string} path @param {object} with_ */
async function submit(button, complaint, path, with_) {
  button.disabled = true;
  fill(complaint);
  try {
    location.hash = `#/collections/${(await call("POST", path, with_)).data.id}`;
  } catch (error) {
    fill(complaint, notice("bad", /** @type {Error} */ (error).message));
  }
  button.disabled = false;
}
