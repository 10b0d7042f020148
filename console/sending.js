// Sending a drop: with idempotency keys that the browser remembers until all of it is taken on, so that a request whose
// answer was lost, or a page that was closed in the middle, is sent again and mints nothing twice.

import { ApiError, call, pause, Unreachable } from "./api.js";
import { duration } from "./dom.js";
import { requests } from "./table.js";

/**
 * What is minted for whom.
 * @typedef {{collection: string, recipient: string, pairs: import("./table.js").Pair[]}} Order
 */

/**
 * Sends the order, one request after another; `told` hears how it goes, `taken` of every operation that was taken on.
 * Raises ApiError when a request is refused; sending the same order again goes on there.
 * @param {Order} order
 * @param {AbortSignal} signal
 * @param {(text: string) => void} told
 * @param {(operation: string) => Promise<void>} taken
 */
export async function send(order, signal, told, taken) {
  const parts = requests(order.pairs);
  const memory = `mintstream.drop ${await fingerprint(order)}`;
  const drop = localStorage.getItem(memory) ?? crypto.randomUUID();
  localStorage.setItem(memory, drop);
  for (const [number, pairs] of parts.entries()) {
    const saying = parts.length > 1 ? `Sending request ${number + 1} of ${parts.length}…` : "Sending…";
    await taken(await request(`console-${drop}-${number}`, { ...order, pairs }, signal, told, saying));
  }
  localStorage.removeItem(memory);
}

/**
 * Sends one request until it is answered. Raises ApiError when it is refused.
 * @param {string} key
 * @param {Order} order
 * @param {AbortSignal} signal
 * @param {(text: string) => void} told
 * @param {string} saying
 * @returns {Promise<string>} the operation
 */
async function request(key, { collection, recipient, pairs }, signal, told, saying) {
  const form = new FormData();
  form.set("collectionId", collection);
  form.set("recipient", recipient);
  form.set("nfts", JSON.stringify(pairs.map(({ nft }) => sparse(nft))));
  for (const { image } of pairs) form.append("images", image);
  for (;;) {
    told(saying);
    try {
      const answer = await call("POST", "/api/mint/batch", {
        form,
        headers: { "Idempotency-Key": key },
        signal,
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
      told(`${/** @type {Error} */ (error).message}; trying again in ${duration(waits)}`);
      await pause(waits, signal);
      signal.throwIfAborted();
    }
  }
}

/** By which the same order is known again after this page was closed. @param {Order} order */
async function fingerprint({ collection, recipient, pairs }) {
  const what = pairs.map(({ nft, image }) => [nft, image.name, image.size, image.lastModified]);
  const bytes = new TextEncoder().encode(JSON.stringify([collection, recipient, what]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.slice(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What is not empty. @param {Record<string, any>} nft */
function sparse(nft) {
  return Object.fromEntries(Object.entries(nft).filter(([, value]) => value !== "" && value.length !== 0));
}
