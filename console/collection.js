// One collection: how it stands, its flags, its trees, and how it compares with the chain.

import { call, get, pause } from "./api.js";
import { fullness } from "./collections.js";
import { comparisons } from "./comparisons.js";
import { facts, fill, h, moment, notice, pill, plural, say } from "./dom.js";
import { explorer, may, picture, thumbnail } from "./links.js";

/** How long the tables and the comparison may take to follow a count. */
const FOLLOWED_SECONDS = 3;

/** @param {import("./app.js").Visit} visit */
export async function collectionView(visit) {
  const place = h("div", { class: "stack" });
  const compared = h("div", { class: "stack" });
  /** @type {any} */
  let shown = {};
  /**
   * What changes it is answered with what it is now; asked anew, the tables may still tell the time before. Only they
   * know its trees.
   * @param {any} one
   * @param {Node} [note]
   */
  const show = (one, note) => {
    shown = { ...shown, ...one };
    fill(place, ...detail(shown, visit, { show, recount }, note));
  };
  const look = async (/** @type {Node | undefined} */ note) => {
    const one = await get(`/api/collections/${visit.id}`, visit.signal);
    show(one, note);
    const made = one.stage === "created";
    if (made && may(visit.me, "admin")) fill(compared, await comparisons(visit.id, visit));
    return one.stage === "requested" || one.stage === "pinned";
  };
  const watch = async () => {
    do await pause(2, visit.signal);
    while (!visit.signal.aborted && (await look(undefined)));
  };
  const recount = async (/** @type {Node} */ note) => {
    await pause(FOLLOWED_SECONDS, visit.signal);
    if (!visit.signal.aborted) await look(note);
  };
  if (await look(undefined)) watch().catch(() => {}); // stop: what is shown stays; a visit asks anew
  return h("div", { class: "stack" }, h("p", { class: "muted mono" }, visit.id), place, compared);
}

/**
 * @typedef {object} Acts what the page does when something is done
 * @property {(changed: any, note?: Node) => void} show
 * @property {(note: Node) => Promise<void>} recount
 */

/** @param {any} one @param {import("./app.js").Visit} visit @param {Acts} acts @param {Node} [note] */
function detail(one, visit, acts, note) {
  const { config } = visit;
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
        ["Standard", one.standard === "v1" ? "Bubblegum V1, token-metadata" : one.standard && "Bubblegum V2, MPL-Core"],
        ["Collection address", one.collectionAddress && explorer(config, "address", one.collectionAddress)],
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
    made && minting(one, visit, acts, note),
    one.trees?.length > 0 && trees(one.trees, config),
  ];
}

/** @param {any} one @param {import("./app.js").Visit} visit @param {Acts} acts @param {Node} [note] */
function minting(one, { me }, { show, recount }, note) {
  const admin = may(me, "admin");
  const told = h("div", { role: "status" }, note);
  /** @param {string} label @param {string} flag */
  const toggle = (label, flag) => {
    const box = h("input", { type: "checkbox", checked: one[flag], disabled: !admin });
    box.addEventListener("change", async () => {
      try {
        const { data } = await call("PATCH", `/api/collections/${one.id}`, { body: { [flag]: box.checked } });
        say(`${label}: ${box.checked ? "yes" : "no"}`);
        show(data);
      } catch (error) {
        box.checked = !box.checked;
        fill(told, notice("bad", /** @type {Error} */ (error).message));
      }
    });
    return h("label", { class: "check" }, box, label);
  };
  const sync = h("button", { onclick: () => count(one, sync, told, { show, recount }) }, "Count on chain");
  return h(
    "section",
    { class: "card stack" },
    h("h2", null, "Minting"),
    h("div", { class: "row" }, toggle("Takes mints", "allowMinting"), toggle("Public", "isPublic")),
    h(
      "div",
      { class: "row" },
      one.status === "active" && h("a", { class: "button main", href: `#/drop?collection=${one.id}` }, "Mint into it"),
      h("a", { class: "button", href: `#/operations?collectionId=${one.id}` }, "Its operations"),
      admin && sync,
    ),
    told,
  );
}

/**
 * Has a collection counted on chain and tells how that compares.
 * @param {any} one
 * @param {HTMLButtonElement} button
 * @param {Element} told
 * @param {Acts} acts
 */
async function count(one, button, told, { show, recount }) {
  button.disabled = true;
  fill(told, notice("plain", "Counting…"));
  try {
    const { updated } = (await call("POST", `/api/collections/sync/${one.id}`)).data;
    const away = updated.minted - one.minted;
    const drift =
      away === 0
        ? "As many on chain as was shown"
        : away > 0
          ? `The chain has ${plural(away, "NFT")} more than was shown: minted elsewhere, or not yet read from the log`
          : `The chain has ${plural(-away, "NFT")} fewer than was shown: burned, or dropped by a fork`;
    const tree = updated.hasValidTree ? "" : ". Not every tree of the collection is valid";
    const sentence = `${drift}: ${updated.minted.toLocaleString("en")} of ${updated.capacity.toLocaleString("en")}${tree}.`;
    const note = notice("plain", sentence);
    show(updated, note);
    recount(note).catch(() => {}); // stop: what is shown stays
  } catch (error) {
    fill(told, notice("bad", /** @type {Error} */ (error).message));
  }
  button.disabled = false;
}

/** @param {any[]} all @param {import("./app.js").Config} config */
function trees(all, config) {
  const rows = all.map((tree) => {
    /** @param {string} label @param {...(Node | string | number | null)} pieces */
    const cell = (label, ...pieces) => h("td", { "data-label": label }, h("div", null, ...pieces));
    const sizes = [
      `depth ${tree.maxDepth}`,
      tree.maxBufferSize !== undefined && `buffer ${tree.maxBufferSize}`,
      tree.canopyDepth !== undefined && `canopy ${tree.canopyDepth}`,
    ];
    const known = tree.minted !== undefined;
    const bar = h("progress", {
      max: tree.capacity,
      value: tree.minted ?? 0,
      "aria-label": `minted into tree ${tree.number + 1}`,
    });
    return h(
      "tr",
      null,
      cell("Tree", `${tree.number + 1}. `, explorer(config, "address", tree.address)),
      cell("Size", sizes.filter(Boolean).join(" · ")),
      h(
        "td",
        { "data-label": "Minted" },
        h(
          "div",
          { class: "grow" },
          bar,
          h(
            "div",
            { class: "muted" },
            known
              ? `${tree.minted.toLocaleString("en")} of ${tree.capacity.toLocaleString("en")}`
              : `room for ${tree.capacity.toLocaleString("en")}`,
          ),
        ),
      ),
      cell("Left", known ? tree.left.toLocaleString("en") : "–"),
      cell("State", pill(tree.state)),
    );
  });
  const heads = ["Tree", "Size", "Minted", "Left", "State"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "section",
    { class: "card stack", "aria-label": "Trees" },
    h(
      "div",
      { class: "row between" },
      h("h2", null, "Trees"),
      h("span", { class: "muted" }, plural(all.length, "tree")),
    ),
    h("table", { class: "trees" }, h("thead", null, h("tr", null, heads)), h("tbody", null, rows)),
  );
}
