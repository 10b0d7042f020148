// Elements and texts of the page. Everything that comes from elsewhere becomes text nodes: no markup is ever parsed.

/** @typedef {Node | string | number | null | undefined | false} Piece */

/**
 * Makes an element. Functions become listeners (`onclick`), `true` an attribute without a value; what is null,
 * undefined or false is left out.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any> | null} [attributes]
 * @param {...(Piece | Piece[])} pieces
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes, ...pieces) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(pieces));
  return element;
}

/**
 * Puts pieces in the place of everything that `parent` holds.
 * @param {Element} parent
 * @param {...(Piece | Piece[])} pieces
 */
export function fill(parent, ...pieces) {
  parent.replaceChildren(...present(pieces));
}

/** @param {(Piece | Piece[])[]} pieces @returns {(Node | string)[]} */
function present(pieces) {
  return pieces
    .flat()
    .filter((piece) => piece !== null && piece !== undefined && piece !== false)
    .map((piece) => (piece instanceof Node ? piece : String(piece)));
}

/** A labelled control. @param {string} label @param {HTMLElement} control @param {string} [hint] */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", null, label), control, hint && h("small", null, hint));
}

/** A state as a coloured word. @param {string} state */
export function pill(state) {
  return h("span", { class: `pill ${state}` }, state);
}

/** A message in the page itself. @param {"bad" | "good" | "plain"} kind @param {...Piece} pieces */
export function notice(kind, ...pieces) {
  return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, ...pieces);
}

/** Facts with their names. @param {[string, Piece | Piece[]][]} rows */
export function facts(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "");
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
}

/** What stands where a list has nothing. @param {string} text @param {...Piece} more */
export function empty(text, ...more) {
  return h("p", { class: "empty" }, text, " ", ...more);
}

/** A moment's word at the page's foot, also spoken. @param {string} text */
export function say(text) {
  const place = /** @type {HTMLElement} */ (document.getElementById("notes"));
  const note = h("p", null, text);
  place.append(note);
  setTimeout(() => note.remove(), 6000);
}

/** A long id with its middle left out; whole on hover and when it is copied. @param {string} id */
export function short(id) {
  return h("span", { class: "id", title: id }, id.length > 14 ? `${id.slice(0, 6)}…${id.slice(-5)}` : id);
}

/** @param {number} count @param {string} one @param {string} [many] */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** @param {number} sol */
export function inSol(sol) {
  return `${sol.toLocaleString("en", { maximumFractionDigits: 6 })} SOL`;
}

/** @param {number} bytes */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return "under a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** A moment, in the reader's own zone. @param {string} iso */
export function moment(iso) {
  const time = new Date(iso);
  const text = time.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return h("time", { datetime: iso, title: iso }, text);
}
