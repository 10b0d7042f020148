// What a person may paste into the search box, and where it leads. Pure: no page, no network.

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;
const SIGNATURE = /^[1-9A-HJ-NP-Za-km-z]{64,88}$/;

/**
 * What a text is by its shape: 16, 32 or 64 bytes. A wallet and an NFT are addresses, which nothing in the text tells apart.
 * @param {string} text
 * @returns {"operation" | "address" | "signature" | null}
 */
export function kindOf(text) {
  if (ID.test(text)) return "operation";
  if (ADDRESS.test(text)) return "address";
  return SIGNATURE.test(text) ? "signature" : null;
}

/** The names under which the list can be asked for what is searched: the API's own. */
export const SOUGHT = ["recipient", "assetId", "signature"];

/** What a list was searched for, or nothing. @param {URLSearchParams} query */
export function soughtIn(query) {
  return SOUGHT.map((name) => query.get(name)).find((value) => value) ?? "";
}
