// The audit of one operation: asked for by a button, because it asks nodes and IPFS gateways about every NFT.

import { get } from "./api.js";
import { duration, fill, h, notice, pill, plural } from "./dom.js";
import { linked } from "./links.js";

/** The gateway gives up after so long (docs/audit.md). */
const MOST_SECONDS = 60;
/** Findings of one question that are shown at first. */
const SHOWN = 50;
const WORST = ["broken", "unknown", "proven"];
const SENTENCES = /** @type {Record<string, string>} */ ({
  proven: "Log, tables, chain and content agree.",
  broken: "Something was looked at and is wrong.",
  unknown: "Nothing is wrong, but not everything could be looked at.",
});
/** What is proven when a question is: as docs/audit.md tells it. */
const MEANINGS = /** @type {Record<string, string>} */ ({
  "one request": "It was asked for exactly once.",
  readable: "Every message can be read.",
  "second copy": "Every message equals its copy in the database.",
  archive: "What left the log for the archive is what was archived.",
  cause: "Every event names an event that was there before it.",
  intended: "Every confirmed transaction was on the log before it was sent.",
  "on chain": "The node knows every transaction, in the slot that the log tells.",
  final: "No fork can drop a transaction any more.",
  leaf: "The transaction minted the NFT, with the metadata that was pinned.",
  "minted once": "No NFT was minted twice, and each that the log calls minted is in exactly one transaction.",
  content: "The bytes behind each URI have its CID.",
  root: "The NFT's proof leads to a root of its tree.",
  row: "The tables say of the operation and every NFT what the log says.",
  totals: "The closing numbers are those of the NFTs.",
});

/** @param {string} id @param {import("./app.js").Visit} visit */
export function auditSection(id, visit) {
  const told = h("div", { class: "stack", role: "status" });
  const button = h("button", { onclick: () => run() }, "Audit it");
  const run = async () => {
    button.disabled = true;
    const begun = performance.now();
    const seconds = () => (performance.now() - begun) / 1000;
    const elapsed = h("span", { "aria-live": "off" });
    const tick = () => fill(elapsed, `${Math.floor(seconds())} s of at most ${MOST_SECONDS}`);
    tick();
    const timer = setInterval(tick, 1000);
    fill(
      told,
      h("progress", { "aria-label": "Audit" }),
      h("p", { class: "muted" }, "Reading the log and its copy, asking the chain and IPFS about every NFT: ", elapsed),
    );
    try {
      const report = await get(`/api/audit/operations/${id}`, visit.signal);
      fill(told, ...verdict(report, seconds(), visit.config));
      fill(button, "Audit it again");
    } catch (error) {
      if (!visit.signal.aborted) fill(told, notice("bad", /** @type {Error} */ (error).message));
    } finally {
      clearInterval(timer);
      button.disabled = false;
    }
  };
  return h(
    "section",
    { class: "card stack", "aria-label": "Audit" },
    h(
      "div",
      { class: "row between" },
      h(
        "div",
        { class: "grow" },
        h("h2", null, "Audit"),
        h("p", { class: "muted" }, "Is what the log says of this operation so, on chain, in the tables and on IPFS?"),
      ),
      button,
    ),
    told,
  );
}

/** @param {any} report @param {number} seconds @param {import("./app.js").Config} config */
function verdict(report, seconds, config) {
  /** @type {Map<string, any[]>} */
  const questions = new Map();
  for (const finding of report.findings) {
    questions.set(finding.question, [...(questions.get(finding.question) ?? []), finding]);
  }
  const kind = report.verdict === "proven" ? "good" : report.verdict === "broken" ? "bad" : "plain";
  const looked = `${plural(report.findings.length, "answer")} to ${plural(questions.size, "question")} in ${duration(seconds)}.`;
  return [
    notice(kind, h("strong", null, `${report.verdict}: `), SENTENCES[report.verdict] ?? "", ` ${looked}`),
    h(
      "ul",
      { class: "findings" },
      [...questions].map(([name, findings]) => question(name, findings, config)),
    ),
  ];
}

/** @param {string} name @param {any[]} findings @param {import("./app.js").Config} config */
function question(name, findings, config) {
  const worst = WORST.find((one) => findings.some((finding) => finding.verdict === one)) ?? "unknown";
  const proven = findings.filter((finding) => finding.verdict === "proven").length;
  const sorted = [...findings].sort((one, other) => WORST.indexOf(one.verdict) - WORST.indexOf(other.verdict));
  const list = h("ul", { class: "items" });
  const details = h(
    "details",
    { open: worst === "broken" },
    h(
      "summary",
      null,
      pill(worst),
      h("span", { class: "grow" }, h("strong", null, name), " ", h("span", { class: "muted" }, MEANINGS[name] ?? "")),
      h("span", { class: "muted" }, `${proven.toLocaleString("en")} of ${findings.length.toLocaleString("en")}`),
    ),
    list,
  );
  /** @param {number} most */
  const show = (most) => {
    const rest = sorted.length - most;
    fill(
      list,
      sorted.slice(0, most).map((finding) => answer(finding, config)),
      rest > 0 && h("li", null, h("button", { onclick: () => show(Infinity) }, `Show ${plural(rest, "more", "more")}`)),
    );
  };
  // A thousand rows that nobody opens cost nothing.
  if (details.open) show(SHOWN);
  else details.addEventListener("toggle", () => show(SHOWN), { once: true });
  return h("li", null, details);
}

/** @param {any} finding @param {import("./app.js").Config} config */
function answer(finding, config) {
  return h(
    "li",
    null,
    h("span", { class: "grow mono" }, linked(config, finding.about)),
    finding.reason && h("span", { class: "trouble" }, finding.reason),
    pill(finding.verdict),
  );
}
