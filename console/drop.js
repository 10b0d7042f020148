// A drop: pictures and a table become NFTs of a collection. What is sent is sent with idempotency keys, so that a
// request whose answer was lost, or a page that was closed in the middle, can be sent again and mints nothing twice.

import { ApiError, call, get, pause, Unreachable } from "./api.js";
import { mostEach, toSol } from "./costs.js";
import { duration, empty, facts, field, fill, h, inSol, notice, plural, size } from "./dom.js";
import { may } from "./links.js";
import { liveOperation } from "./live.js";
import { match, readTable, requests } from "./table.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
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
  if (!open.length)
    return empty(
      "No collection takes mints now.",
      may(visit.me, "admin") && h("a", { href: "#/collections/new" }, "Create one"),
    );
  return new Drop(open, visit).element;
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
    this.before = h(
      "form",
      { class: "stack", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), this.#send()) },
      h(
        "section",
        { class: "card two" },
        field("Collection", this.collection),
        field("Recipient", this.recipient, "The wallet that will own the NFTs."),
      ),
      this.#zone(),
      this.preview,
    );
    this.sent = h("div", { class: "stack" });
    this.element = h("div", { class: "stack" }, this.before, this.sent);
    visit.signal.addEventListener("abort", () => this.urls.forEach((url) => URL.revokeObjectURL(url)));
  }

  get chosen() {
    return this.collections.find((one) => one.id === this.collection.value);
  }

  #zone() {
    const accept = [...IMAGES, ".csv", ".json"].join(",");
    /** @param {string} text @param {Record<string, any>} more */
    const picker = (text, more) => {
      const input = h("input", {
        type: "file",
        multiple: true,
        "aria-label": text,
        onchange: () => this.#take([...(input.files ?? [])]),
        ...more,
      });
      return h("label", null, input, h("span", { class: "button" }, text));
    };
    const zone = h(
      "section",
      {
        class: "card zone",
        "aria-label": "Files",
        ondragover: (/** @type {DragEvent} */ event) => (event.preventDefault(), zone.classList.add("over")),
        ondragleave: () => zone.classList.remove("over"),
        ondrop: async (/** @type {DragEvent} */ event) => {
          event.preventDefault();
          zone.classList.remove("over");
          await this.#take(await dropped(/** @type {DataTransfer} */ (event.dataTransfer)));
        },
      },
      h("h2", null, "Drop a folder of images here"),
      h(
        "p",
        { class: "muted" },
        "With a CSV or JSON of names and attributes beside them: a column ",
        h("code", null, "file"),
        ", a column ",
        h("code", null, "name"),
        ", and every further column is an attribute.",
      ),
      h(
        "div",
        { class: "row" },
        picker("Choose files", { accept }),
        picker("Choose a folder", { webkitdirectory: true }),
      ),
    );
    return zone;
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
        `The collection has ${plural(places, "place")} left now. The minter makes further trees as they fill up; where it may not, the rest fails and can be minted again.`,
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
      pairs.length > 0 && h("section", { class: "card stack" }, takes, tight, h("div", { class: "row" }, this.mint)),
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
    this.mint.disabled =
      !this.pairs.length ||
      this.problems.length > 0 ||
      !/^[1-9A-HJ-NP-Za-km-z]{32,44}$/.test(this.recipient.value.trim());
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
    const recipient = this.recipient.value.trim();
    const collection = this.chosen.id;
    localStorage.setItem(RECIPIENT, recipient);
    const parts = requests(this.pairs);
    const memory = `mintstream.drop ${await this.#fingerprint(collection, recipient)}`;
    const drop = localStorage.getItem(memory) ?? crypto.randomUUID();
    localStorage.setItem(memory, drop);
    this.before.hidden = true;
    const told = h("p", { role: "status" });
    const sending = h("section", { class: "card stack" }, told);
    fill(this.sent, sending);
    for (const [number, pairs] of parts.entries()) {
      fill(told, parts.length > 1 ? `Sending request ${number + 1} of ${parts.length}…` : "Sending…");
      let operation;
      try {
        operation = await this.#request(`console-${drop}-${number}`, collection, recipient, pairs, told);
      } catch (error) {
        if (this.visit.signal.aborted) return;
        fill(
          sending,
          notice("bad", /** @type {Error} */ (error).message),
          h("button", { onclick: () => ((this.before.hidden = false), fill(this.sent)) }, "Back to the drop"),
        );
        return;
      }
      this.sent.append(await liveOperation(operation, this.visit));
    }
    localStorage.removeItem(memory);
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

  /**
   * Sends one request until it is answered. Raises ApiError when it is refused.
   * @param {string} key
   * @param {string} collection
   * @param {string} recipient
   * @param {import("./table.js").Pair[]} pairs
   * @param {Element} told
   * @returns {Promise<string>} the operation
   */
  async #request(key, collection, recipient, pairs, told) {
    const form = new FormData();
    form.set("collectionId", collection);
    form.set("recipient", recipient);
    form.set("nfts", JSON.stringify(pairs.map(({ nft }) => sparse(nft))));
    for (const { image } of pairs) form.append("images", image);
    const saying = told.textContent;
    for (;;) {
      try {
        const answer = await call("POST", "/api/mint/batch", {
          form,
          headers: { "Idempotency-Key": key },
          signal: this.visit.signal,
        });
        return answer.data.transactionId;
      } catch (error) {
        const waits =
          error instanceof Unreachable
            ? 3
            : error instanceof ApiError && [429, 503].includes(error.status)
              ? error.retryAfter
              : null;
        if (waits === null) throw error;
        // Again, with the same key: whether the request was carried out or not, its NFTs are minted once.
        fill(told, `${/** @type {Error} */ (error).message}; trying again in ${duration(waits)}`);
        await pause(waits, this.visit.signal);
        this.visit.signal.throwIfAborted();
        fill(told, saying);
      }
    }
  }

  /**
   * By which the same drop is known again after this page was closed.
   * @param {string} collection
   * @param {string} recipient
   */
  async #fingerprint(collection, recipient) {
    const what = this.pairs.map(({ nft, image }) => [nft, image.name, image.size, image.lastModified]);
    const bytes = new TextEncoder().encode(JSON.stringify([collection, recipient, what]));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(digest.slice(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

/** What is not empty. @param {Record<string, any>} nft */
function sparse(nft) {
  return Object.fromEntries(Object.entries(nft).filter(([, value]) => value !== "" && value.length !== 0));
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

/** The files of what was dropped, those of folders too. @param {DataTransfer} transfer @returns {Promise<File[]>} */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map(filesOf))).flat();
}

/** @param {any} entry @returns {Promise<File[]>} */
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  /** @type {File[]} */
  const found = [];
  for (;;) {
    // A reader tells some entries at a time, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(filesOf))).flat());
  }
}
