// Collections: the list. One of them is in collection.js, new ones are in making.js.

import { get } from "./api.js";
import { empty, h, pill } from "./dom.js";
import { may, picture, thumbnail } from "./links.js";

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
          h("a", { class: "name", href: `#/collections/${one.id}` }, h("strong", null, one.name)),
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

/** How full a collection is. @param {any} one */
export function fullness(one) {
  const bar = h("progress", { max: one.capacity || 1, value: one.minted, "aria-label": "minted" });
  return h(
    "div",
    null,
    bar,
    h("div", { class: "muted" }, `${one.minted.toLocaleString("en")} of ${one.capacity.toLocaleString("en")} minted`),
  );
}
