// New collections: one that is made, with its cost before, and one that is on chain and is taken over.

import { ApiError, call } from "./api.js";
import { toSol } from "./costs.js";
import { facts, field, fill, h, inSol, notice, plural } from "./dom.js";
import { may } from "./links.js";

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
