// Dead letters: messages that a service gave up on, with what a person can do about each.

import { call, get } from "./api.js";
import { fill, h, moment, notice, pill, plural, say } from "./dom.js";

const PAGE = 50;

/** @param {AbortSignal} signal */
export async function deadLetters(signal) {
  const list = h("ul", { class: "items" });
  const many = h("span");
  const more = h("div");
  const section = h(
    "section",
    { class: "card stack", "aria-label": "Dead letters" },
    h("div", { class: "row between" }, h("h2", null, "Dead letters"), many),
    list,
    more,
  );
  /** @param {number} [cursor] */
  const load = async (cursor = 0) => {
    const { letters, nextCursor } = await get(`/api/dead-letters?limit=${PAGE}&cursor=${cursor}`, signal);
    const shown = letters.map((/** @type {any} */ letter) => entry(letter, signal, () => load()));
    if (cursor) list.append(...shown);
    else fill(list, shown);
    const count = list.children.length;
    const text = nextCursor === undefined ? plural(count, "open one") : `${count} and more`;
    fill(many, count > 0 && h("span", { class: "pill failed" }, text));
    if (!count) fill(more, h("p", { class: "muted" }, "None: every message was handled."));
    else fill(more, nextCursor !== undefined && h("button", { onclick: () => load(nextCursor) }, "Show more"));
  };
  await load();
  return section;
}

/** @param {any} letter @param {AbortSignal} signal @param {() => Promise<void>} reload */
function entry(letter, signal, reload) {
  const told = h("div");
  /** @param {"replay" | "drop"} verb @param {string} question @param {string} done */
  const button = (verb, question, done) => {
    const element = h(
      "button",
      { class: verb === "drop" && "danger", "aria-label": `${named(verb)} letter ${letter.letter}` },
      named(verb),
    );
    element.addEventListener("click", async () => {
      if (!confirm(question)) return;
      element.disabled = true;
      try {
        await call("POST", `/api/dead-letters/${letter.letter}/${verb}`, { signal });
        say(done);
        await reload();
      } catch (error) {
        if (signal.aborted) return;
        element.disabled = false;
        fill(told, notice("bad", /** @type {Error} */ (error).message));
      }
    });
    return element;
  };
  return h(
    "li",
    { class: "letter" },
    h(
      "div",
      { class: "grow stack tight" },
      h("div", { class: "row" }, pill(letter.consumer), h("span", { class: "name mono" }, letter.subject)),
      h("div", { class: "trouble" }, letter.reason),
      h(
        "div",
        { class: "muted" },
        `Given up after ${plural(letter.deliveries, "try", "tries")}, `,
        moment(letter.buriedAt),
      ),
      message(letter.letter, signal),
      told,
    ),
    h(
      "div",
      { class: "row" },
      button(
        "replay",
        "Have this message handled once more? Do so when the cause is mended.",
        `Letter ${letter.letter} is replayed`,
      ),
      button(
        "drop",
        "Take this letter off the list? Its message will never be handled.",
        `Letter ${letter.letter} is dropped`,
      ),
    ),
  );
}

/** The message itself, read when somebody wants to see it. @param {number} number @param {AbortSignal} signal */
function message(number, signal) {
  const text = h("pre", { tabindex: "0" }, "Loading…");
  const details = h("details", null, h("summary", null, "Message"), text);
  const read = async () => {
    try {
      const { payload, payloadEncoding } = await get(`/api/dead-letters/${number}`, signal);
      fill(text, payloadEncoding === "utf-8" ? pretty(payload) : payload);
    } catch (error) {
      if (!signal.aborted) fill(text, /** @type {Error} */ (error).message);
    }
  };
  details.addEventListener("toggle", () => void read(), { once: true });
  return details;
}

/** @param {string} payload */
function pretty(payload) {
  try {
    return JSON.stringify(JSON.parse(payload), null, 2);
  } catch {
    return payload; // shown as it is: what is no JSON may be why it is here
  }
}

/** @param {string} verb */
function named(verb) {
  return verb[0].toUpperCase() + verb.slice(1);
}
