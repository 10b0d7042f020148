// Addresses of other places: the explorer of the configured cluster, and IPFS.

import { h, short } from "./dom.js";
import { kindOf } from "./search.js";

/**
 * A link to a transaction or an account.
 * @param {import("./app.js").Config} config
 * @param {"tx" | "address"} kind
 * @param {string} id
 * @param {string} [text]
 */
export function explorer(config, kind, id, text) {
  const href = config.explorer.replace("{kind}", kind).replace("{id}", encodeURIComponent(id));
  return h("a", { href, target: "_blank", rel: "noreferrer", title: id }, text ?? short(id));
}

/**
 * A text of somebody else's: a link where it is an address or a transaction, else itself.
 * @param {import("./app.js").Config} config
 * @param {string} text
 */
export function linked(config, text) {
  const kind = kindOf(text);
  if (kind === "signature") return explorer(config, "tx", text);
  return kind === "address" ? explorer(config, "address", text) : text;
}

/**
 * Where a picture can be shown from; null where this page may not load it.
 * @param {import("./app.js").Config} config
 * @param {string | undefined} uri
 */
export function picture(config, uri) {
  if (uri?.startsWith("ipfs://")) return `${config.gateway.replace(/\/$/, "")}/ipfs/${uri.slice(7)}`;
  if (uri?.startsWith("ar://")) return `https://arweave.net/${uri.slice(5)}`;
  return uri?.startsWith("https://") ? uri : null;
}

/** A small picture; an empty place where there is none. @param {string | null} src */
export function thumbnail(src) {
  if (src === null) return h("span", { class: "thumb" });
  return h("img", { class: "thumb", src, alt: "", loading: "lazy", decoding: "async" });
}

/** Whether a caller has a scope. @param {import("./app.js").Me} me @param {"read" | "mint" | "admin"} scope */
export function may(me, scope) {
  return me.scopes.includes(scope) || me.scopes.includes("admin");
}
