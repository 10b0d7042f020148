// A drop: pictures and a table become NFTs of a collection, shown with their cost before they are sent.

import { call, get } from "./api.js";
import { mostEach, toSol } from "./costs.js";
import { duration, empty, facts, field, fill, h, inSol, notice, plural, size } from "./dom.js";
import { dropZone, IMAGES } from "./files.js";
import { may } from "./links.js";
import { liveOperation } from "./live.js";
import { send } from "./sending.js";
import { match, readTable, requests } from "./table.js";

/** Pictures that are shown before a drop; all are minted. */
const THUMBS = 200;
/** Under which the browser remembers the last recipient. */
const RECIPIENT = "mintstream.recipient";

/** @param {import("./app.js").Visit} visit */
export async function dropView(visit) {
  if (!may(visit.me, "mint") || !may(visit.me, "read"))
    return notice("plain", "Minting here needs a key with the scopes mint and read.");
  const { collections } = await get("/api/collections?allowMinting=true&limit=100", visit.signal);
  const open = collections.filter((/** @type {any} */ one) => one.status === "active");
  const wanted = visit.query.get("collection");
  if (wanted !== null && !open.some((/** @type {any} */ one) => one.id === wanted)) {
    // Another one must not stand in for it: whoever asked for this one would mint into that.
    const one = await get(`/api/collections/${encodeURIComponent(wanted)}`, visit.signal);
    const place = h("a", { class: "name", href: `#/collections/${one.id}` }, one.name);
    if (one.status !== "active") return notice("plain", place, ` takes no mints now: it is ${hindrance(one)}.`);
    open.push(one);
  }
  if (!open.length)
    return empty(
      "No collection takes mints now.",
      may(visit.me, "admin") && h("a", { href: "#/collections/new" }, "Create one"),
    );
  return new Drop(open, visit).element;
}

/** Why a collection takes no mints. @param {any} one */
function hindrance(one) {
  if (one.stage !== "created") return "not on chain";
  return one.status === "completed" ? "full" : one.status;
}

class Drop {
  /** @param {any[]} collections @param {import("./app.js").Visit} visit */
  constructor(collections, visit) {
    this.collections = collections;
    this.visit = visit;
    /** @type {File[]} */
    this.images = [];
    /** @type {import("./table.js").Row[]} */
    this.rows = [];
    /** @type {string[]} */
    this.refused = [];
    /** @type {import("./table.js").Pair[]} */
    this.pairs = [];
    /** What keeps it from being minted. @type {string[]} */
    this.problems = [];
    /** @type {string[]} */
    this.urls = [];
    const wanted = visit.query.get("collection");
    this.collection = h(
      "select",
      { onchange: () => this.#review() },
      collections.map((one) =>
        h(
          "option",
          { value: one.id, selected: one.id === wanted },
          `${one.name} (${plural(one.capacity - one.minted, "place")} left)`,
        ),
      ),
    );
    const remembered =
      localStorage.getItem(RECIPIENT) ?? (visit.me.caller.startsWith("wallet:") ? visit.me.caller.slice(7) : "");
    this.recipient = h("input", {
      value: remembered,
      autocomplete: "off",
      spellcheck: "false",
      class: "mono",
      required: true,
      placeholder: "wallet address",
      oninput: () => this.#ready(),
    });
    this.preview = h("div", { class: "stack" });
    this.mint = h("button", { class: "main", type: "submit", disabled: true }, "Mint");
    this.lacking = h("small", { role: "status" });
    this.before = h(
      "form",
      { class: "stack", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), this.#send()) },
      h(
        "section",
        { class: "card two" },
        field("Collection", this.collection),
        field("Recipient", this.recipient, "The wallet that will own the NFTs."),
      ),
      dropZone((files) => this.#take(files)),
      this.preview,
    );
    this.sent = h("div", { class: "stack" });
    this.element = h("div", { class: "stack" }, this.before, this.sent);
    visit.signal.addEventListener("abort", () => this.urls.forEach((url) => URL.revokeObjectURL(url)));
  }

  get chosen() {
    return this.collections.find((one) => one.id === this.collection.value);
  }

  /** @param {File[]} files */
  async #take(files) {
    this.images = [];
    this.rows = [];
    this.refused = [];
    for (const file of files.filter((one) => !one.name.startsWith("."))) {
      if (IMAGES.includes(file.type)) this.images.push(file);
      else if (/\.(csv|json)$/i.test(file.name)) {
        try {
          this.rows.push(...readTable(file.name, await file.text()));
        } catch (error) {
          this.refused.push(`${file.name}: ${/** @type {Error} */ (error).message}`);
        }
      } else this.refused.push(`${file.name} is no image that can be minted, and no table`);
    }
    await this.#review();
  }

  /** Shows what would be minted, and what that takes. */
  async #review() {
    if (!this.images.length && !this.refused.length) return;
    const { pairs, problems } = match(this.images, this.rows, this.chosen.name);
    this.pairs = pairs;
    this.problems = [...this.refused, ...problems];
    const total = pairs.reduce((sum, { nft }) => sum + nft.copies, 0);
    const places = this.chosen.capacity - this.chosen.minted;
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = pairs.slice(0, THUMBS).map(({ image }) => URL.createObjectURL(image));
    const gallery = this.urls.map((url, position) => card(url, pairs[position]));
    const tight =
      total > places &&
      notice(
        "plain",
        `The collection has ${plural(places, "place")} left now. The minter makes further trees as they fill up; where it may not, the rest fails and has to be minted into another collection.`,
      );
    const takes = h("div", null, h("p", { class: "muted" }, "Working out the cost…"));
    fill(
      this.preview,
      this.problems.length > 0 &&
        notice(
          "bad",
          "Nothing is minted before this is mended:",
          h(
            "ul",
            null,
            this.problems.slice(0, 20).map((one) => h("li", null, one)),
          ),
        ),
      pairs.length > 0 && h("section", { class: "card stack" }, takes, tight, h("div", { class: "row" }, this.mint, this.lacking)),
      pairs.length > 0 &&
        h(
          "section",
          { class: "card stack" },
          h("h2", null, plural(total, "NFT")),
          h("ul", { class: "gallery" }, gallery),
          pairs.length > THUMBS && empty(`and ${plural(pairs.length - THUMBS, "more", "more")}`),
        ),
    );
    this.mint.textContent = `Mint ${plural(total, "NFT")}`;
    this.#ready();
    fill(takes, pairs.length > 0 && facts(await this.#takes(total)));
  }

  #ready() {
    const known = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/.test(this.recipient.value.trim());
    this.mint.disabled = !this.pairs.length || this.problems.length > 0 || !known;
    fill(this.lacking, known ? "" : "Recipient has to be the address of a wallet.");
  }

  /** What a mint of so many takes. @param {number} total @returns {Promise<[string, string][]>} */
  async #takes(total) {
    const { signal } = this.visit;
    const [{ standard }, { operations }] = await Promise.all([
      get(`/api/collections/${this.chosen.id}`, signal),
      get("/api/mint/operations?status=completed&limit=20", signal),
    ]);
    const { perNft } = (
      await call("POST", "/api/collections/estimate", { body: { standard: standard ?? "v2" }, signal })
    ).data;
    const most = toSol(total * mostEach(perNft));
    const pace = paceOf(operations);
    return [
      ["Costs at most", `${inSol(most)}, without priority fees`],
      [
        "Takes",
        pace === null
          ? "not known before a first drop has ended"
          : `about ${duration(pace * total)}, at the pace of the last drops`,
      ],
      [
        "Uploads",
        `${size(this.pairs.reduce((sum, { image }) => sum + image.size, 0))} in ${plural(requests(this.pairs).length, "request")}`,
      ],
    ];
  }

  async #send() {
    const order = { collection: this.chosen.id, recipient: this.recipient.value.trim(), pairs: this.pairs };
    localStorage.setItem(RECIPIENT, order.recipient);
    this.before.hidden = true;
    const told = h("p", { role: "status" });
    const sending = h("section", { class: "card stack" }, told);
    fill(this.sent, sending);
    try {
      await send(
        order,
        this.visit.signal,
        (text) => fill(told, text),
        async (operation) => this.sent.append(await liveOperation(operation, this.visit)),
      );
    } catch (error) {
      if (this.visit.signal.aborted) return;
      fill(
        sending,
        notice("bad", /** @type {Error} */ (error).message),
        h("button", { onclick: () => ((this.before.hidden = false), fill(this.sent)) }, "Back to the drop"),
      );
      return;
    }
    fill(
      sending,
      h(
        "div",
        { class: "row between" },
        h("p", null, "All is asked for. This page can be left: the mint goes on without it."),
        h("button", { onclick: () => location.reload() }, "Another drop"),
      ),
    );
  }
}

/** @param {string} url @param {import("./table.js").Pair} pair */
function card(url, { nft }) {
  const traits = nft.attributes.map((one) => `${one.trait_type}: ${one.value}`).join(", ");
  return h(
    "li",
    null,
    h("img", { src: url, alt: "", loading: "lazy" }),
    h("div", { class: "name" }, nft.name),
    nft.copies > 1 && h("div", null, `${nft.copies} copies`),
    traits && h("div", { class: "muted" }, traits),
  );
}

/** Seconds for each NFT of recent operations, the middle one; null without any. @param {any[]} operations */
function paceOf(operations) {
  const paces = operations
    .filter((one) => one.endTime)
    .map((one) => (Date.parse(one.endTime) - Date.parse(one.startTime)) / 1000 / one.total)
    .sort((one, other) => one - other);
  return paces.length ? paces[Math.floor(paces.length / 2)] : null;
}
