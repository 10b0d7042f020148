// The page's frame: who is signed in, where one is, and which view is shown. Views are made anew on every visit.

import { ApiError, call, Unreachable } from "./api.js";
import { h, fill, notice, say } from "./dom.js";
import { collectionView } from "./collection.js";
import { collectionsView } from "./collections.js";
import { dropView } from "./drop.js";
import { loginView } from "./login.js";
import { importView, newCollectionView } from "./making.js";
import { operationView, operationsView } from "./operations.js";
import { systemView } from "./system.js";

/**
 * What a view is given: its part of the address, where it runs, who looks, and a signal that ends with the visit.
 * @typedef {{id: string, query: URLSearchParams, config: Config, me: Me, signal: AbortSignal}} Visit
 * @typedef {{version: string, explorer: string, gateway: string, signIn: boolean}} Config
 * @typedef {{caller: string, scopes: string[]}} Me
 */

/** @type {[RegExp, string, (visit: Visit) => Promise<Node> | Node][]} */
const ROUTES = [
  [/^\/drop$/, "Drop", dropView],
  [/^\/operations$/, "Operations", operationsView],
  [/^\/operations\/([^/]+)$/, "Operation", operationView],
  [/^\/collections$/, "Collections", collectionsView],
  [/^\/collections\/new$/, "New collection", newCollectionView],
  [/^\/collections\/import$/, "Import a collection", importView],
  [/^\/collections\/([^/]+)$/, "Collection", collectionView],
  [/^\/system$/, "System", systemView],
];
const PAGES = ["Drop", "Operations", "Collections", "System"];

const header = /** @type {HTMLElement} */ (document.getElementById("header"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
/** @type {Config} */
let config;
/** @type {Me | null} */
let me = null;
let visit = new AbortController();

async function show() {
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  const [path, search] = (location.hash.slice(1) || "/drop").split("?");
  const known = ROUTES.find(([pattern]) => pattern.test(path));
  const title = me === null ? "Sign in" : (known?.[1] ?? "Nothing here");
  document.title = `${title} · Mintstream`;
  frame(path);
  main.setAttribute("aria-busy", "true");
  const heading = h("h1", { tabindex: "-1" }, title);
  fill(main, heading, h("p", { class: "loading" }, "Loading…"));
  /** @type {Node} */
  let view;
  try {
    if (me === null) view = loginView(config, enter);
    else if (!known) view = notice("plain", "There is no such page. ", h("a", { href: "#/drop" }, "Begin with a drop"));
    else
      view = await known[2]({
        id: known[0].exec(path)?.[1] ?? "",
        query: new URLSearchParams(search),
        config,
        me,
        signal,
      });
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof ApiError && error.status === 401) return leave("The session has ended; sign in again");
    view = notice("bad", sentence(error));
  }
  if (signal.aborted) return;
  fill(main, heading, view);
  main.removeAttribute("aria-busy");
  if (document.activeElement === document.body) heading.focus({ preventScroll: true });
}

/** @param {unknown} error */
function sentence(error) {
  if (error instanceof ApiError || error instanceof Unreachable) return error.message;
  console.error(error);
  return "This page made a mistake; its console tells which.";
}

/** @param {string} path */
function frame(path) {
  const mark = h(
    "a",
    { class: "mark", href: "#/drop" },
    h("img", { src: "/console/icon.svg", alt: "", width: 28, height: 28 }),
    "Mintstream",
  );
  if (me === null) return fill(header, mark);
  const links = PAGES.map((page) => {
    const target = `/${page.toLowerCase()}`;
    return h("a", { href: `#${target}`, "aria-current": path.startsWith(target) && "page" }, page);
  });
  const out = h("button", { class: "quiet", onclick: () => leave("Signed out") }, "Sign out");
  fill(header, mark, h("nav", { "aria-label": "Pages" }, links), h("span", { class: "who" }, me.caller), out);
}

/** @param {Me} caller */
async function enter(caller) {
  me = caller;
  await show();
  main.focus({ preventScroll: true });
}

/** @param {string} why */
async function leave(why) {
  me = null;
  say(why);
  await call("DELETE", "/console/session").catch(() => {}); // go on: the page forgets, and the cookie ends by itself
  await show();
}

/**
 * A mistake of an event handler has no view to stand in: it is told at the foot.
 * @param {PromiseRejectionEvent} event
 */
function onMistake(event) {
  if (event.reason?.name === "AbortError") return event.preventDefault();
  if (event.reason instanceof ApiError && event.reason.status === 401)
    void leave("The session has ended; sign in again");
  else say(sentence(event.reason));
}

/** Begins with what the server tells of itself and of the session; only who has none is asked to sign in. */
async function begin() {
  fill(main, h("p", { class: "loading" }, "Loading…"));
  try {
    config = await call("GET", "/console/config.json");
    me = await signedIn();
  } catch (error) {
    const again = h("div", { class: "row" }, h("button", { onclick: begin }, "Try again"));
    return fill(main, h("h1", null, "Mintstream"), h("div", { class: "stack" }, notice("bad", sentence(error)), again));
  }
  window.addEventListener("hashchange", show);
  await show();
}

/** @returns {Promise<Me | null>} */
async function signedIn() {
  try {
    return (await call("GET", "/api/auth/me")).data;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

window.addEventListener("unhandledrejection", onMistake);
await begin();
