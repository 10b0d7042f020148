// What an operation's events tell of each of its NFTs. Pure: no page, no network.

/** @typedef {"waiting" | "pinned" | "signed" | "confirmed" | "finalized" | "failed" | "cancelled"} ItemState */
/**
 * @typedef {{index: number, name: string, state: ItemState, image?: string, assetId?: string, leafIndex?: number,
 *   signature?: string, code?: string, reason?: string, cure?: string}} Item
 */

/** @type {ItemState[]} */
export const STATES = ["finalized", "confirmed", "signed", "pinned", "waiting", "failed", "cancelled"];

export class Story {
  /** @type {Item[]} */
  items = [];
  /** @type {any[]} */
  events = [];
  /** @type {string | null} */
  collection = null;
  /** @type {string | null} */
  recipient = null;
  /** Whether a caller wants no more of it. */
  cancelled = false;
  /**
   * The closing totals, once every item is settled.
   * @type {{total: number, minted: number, failed: number, cancelled: number} | null}
   */
  closing = null;
  /** The log's sequence of the newest event. */
  sequence = 0;
  /** Items by transaction: a `finalized` names the transaction alone. @type {Map<string, number[]>} */
  #items = new Map();

  /**
   * Takes in the next event; one that was taken in before changes nothing.
   * @param {any} event
   * @returns {Item[]} what changed
   */
  add(event) {
    if (event.sequence <= this.sequence) return [];
    this.sequence = event.sequence;
    this.events.push(event);
    const { data } = event;
    switch (event.type) {
      case "mint.requested.v1":
        return this.#requested(data);
      case "mint.pinned.v1":
        return data.items.map((/** @type {any} */ one) =>
          this.#change(one.index, { state: "pinned", name: one.name, image: one.imageUri }),
        );
      case "mint.signed.v1":
        this.#items.set(`${data.chunk}.${data.tx}`, data.items);
        return data.items.map((/** @type {number} */ index) =>
          this.#change(index, { state: "signed", signature: data.attempt.signature }),
        );
      case "mint.confirmed.v1":
        this.#items.set(
          `${data.chunk}.${data.tx}`,
          data.leaves.map((/** @type {any} */ leaf) => leaf.item),
        );
        return data.leaves.map((/** @type {any} */ leaf) =>
          this.#change(leaf.item, {
            state: "confirmed",
            assetId: leaf.assetId,
            leafIndex: leaf.leafIndex,
            signature: data.signature,
          }),
        );
      case "mint.finalized.v1":
        return (this.#items.get(`${data.chunk}.${data.tx}`) ?? []).map((index) =>
          this.#change(index, { state: "finalized" }),
        );
      case "mint.failed.v1":
        return this.#failed(data.failure);
      case "mint.pin_failed.v1":
        return data.failures.flatMap((/** @type {any} */ failure) => this.#failed(failure));
      case "mint.cancelled.v1":
        this.cancelled = true;
        return [];
      case "mint.completed.v1":
        this.closing = data;
        return [];
      default:
        return [];
    }
  }

  /** How many items are in each state. @returns {Record<ItemState, number>} */
  counts() {
    const counts = /** @type {Record<ItemState, number>} */ (Object.fromEntries(STATES.map((state) => [state, 0])));
    for (const item of this.items) counts[item.state] += 1;
    return counts;
  }

  /** The operation's state in the API's words. */
  get status() {
    if (!this.closing) return this.events.length > 1 ? "processing" : "pending";
    if (this.closing.cancelled) return "cancelled";
    return this.closing.minted ? "completed" : "failed";
  }

  /** Makes room for items that nothing was told of yet. @param {number} total */
  expect(total) {
    for (let index = this.items.length; index < total; index += 1) {
      this.items.push({ index, name: `NFT ${index + 1}`, state: "waiting" });
    }
  }

  /** @param {any} data @returns {Item[]} */
  #requested(data) {
    this.collection = data.collection;
    this.recipient = data.recipient;
    // A stream leaves the request's NFTs out; the timeline has them.
    const names = (data.nfts ?? []).flatMap((/** @type {any} */ nft) => Array(nft.copies).fill(nft.name));
    this.expect(names.length);
    names.forEach((/** @type {string} */ name, /** @type {number} */ index) => (this.items[index].name = name));
    return this.items;
  }

  /** @param {any} failure @returns {Item[]} */
  #failed({ items, code, reason, cure }) {
    const state = code === "cancelled" ? "cancelled" : "failed";
    return items.map((/** @type {number} */ index) => this.#change(index, { state, code, reason, cure }));
  }

  /** @param {number} index @param {Partial<Item>} news @returns {Item} */
  #change(index, news) {
    this.expect(index + 1);
    return Object.assign(this.items[index], news);
  }
}

/** One sentence for an event. @param {any} event @returns {string} */
export function sentenceOf({ type, data }) {
  const part = data.chunk === undefined ? "" : `Chunk ${data.chunk + 1}`;
  const place = data.tx === undefined ? part : `${part}, transaction ${data.tx + 1}`;
  switch (type) {
    case "mint.requested.v1":
      return `Asked for${data.caller ? ` by ${data.caller}` : ""}`;
    case "mint.pinned.v1":
      return `${part}: ${data.items.length} pinned to IPFS`;
    case "mint.pin_failed.v1":
      return `${part}: ${data.failures.map((/** @type {any} */ one) => one.reason).join(" ")}`;
    case "mint.planned.v1":
      return `${part}: packed into ${data.transactions.length} transaction${data.transactions.length === 1 ? "" : "s"}`;
    case "mint.signed.v1":
      return `${place}: signed${data.attempt.number > 1 ? `, attempt ${data.attempt.number}` : ""}`;
    case "mint.confirmed.v1":
      return `${place}: ${data.leaves.length} confirmed in slot ${data.slot}`;
    case "mint.finalized.v1":
      return `${place}: final in slot ${data.slot}`;
    case "mint.failed.v1":
      return `${place}: ${data.failure.reason}`;
    case "mint.cancelled.v1":
      return "Cancelled: nothing more is signed";
    case "mint.completed.v1":
      return `Settled: ${data.minted} minted, ${data.failed} failed, ${data.cancelled} cancelled`;
    default:
      return type;
  }
}
