// The system: what answers and how fast, totals, the wallet and how far it reaches, and webhooks.

import { call, get, pause } from "./api.js";
import { mostEach, toSol } from "./costs.js";
import { empty, fill, h, inSol, notice, pill, plural } from "./dom.js";
import { may } from "./links.js";

/** `/health` counts towards nobody's limits; everything else here is asked once a visit. */
const HEALTH_SECONDS = 5;
const MEANINGS = /** @type {Record<string, string>} */ ({
  log: "The event log. Without it nothing is taken on.",
  database: "Lists and totals. Minting goes on without it.",
  uploads: "Requests with files need it.",
  solana: "The node that tells the wallet's balance.",
  wallet: "Away means: out of SOL; what is asked for waits until it is topped up.",
});

/** @param {import("./app.js").Visit} visit */
export async function systemView({ config, me, signal }) {
  const health = h("section", { class: "card stack" });
  const watch = async () => {
    for (; !signal.aborted; await pause(HEALTH_SECONDS, signal)) {
      try {
        fill(health, ...shown(await call("GET", "/health", { signal })));
      } catch (error) {
        if (!signal.aborted) fill(health, notice("bad", /** @type {Error} */ (error).message));
      }
    }
  };
  void watch();
  const parts = [await totals(me, signal), health, may(me, "admin") && (await webhooks(signal))];
  return h(
    "div",
    { class: "stack" },
    ...parts,
    h("p", { class: "muted" }, `Mintstream ${config.version} · `, h("a", { href: "/docs" }, "API documentation")),
  );
}

/** @param {any} report */
function shown(report) {
  const rows = Object.entries(report.checks).map(([name, check]) => {
    const { ok, latencyMs } = /** @type {{ok: boolean, latencyMs: number}} */ (check);
    return h(
      "tr",
      null,
      h("td", { "data-label": "What" }, h("strong", null, name)),
      h("td", { "data-label": "State" }, pill(ok ? "ok" : "away")),
      h("td", { "data-label": "Answers in" }, `${latencyMs.toFixed(latencyMs < 10 ? 1 : 0)} ms`),
      h("td", { class: "muted" }, MEANINGS[name] ?? ""),
    );
  });
  const heads = ["What", "State", "Answers in", "Means"].map((name) => h("th", { scope: "col" }, name));
  return [
    h("div", { class: "row between" }, h("h2", null, "Health"), pill(report.status)),
    h("table", null, h("thead", null, h("tr", null, heads)), h("tbody", null, rows)),
  ];
}

/** @param {import("./app.js").Me} me @param {AbortSignal} signal */
async function totals(me, signal) {
  if (!may(me, "read")) return notice("plain", "Totals need a key with the scope read.");
  const [found, { perNft }] = await Promise.all([
    get("/api/stats/overview", signal),
    call("POST", "/api/collections/estimate", { body: {}, signal }).then((answer) => answer.data),
  ]);
  const each = toSol(mostEach(perNft));
  const left = found.walletBalance === undefined ? null : Math.floor(found.walletBalance / each);
  const day = found.last24Hours;
  /** @param {string} name @param {string} number @param {string} [more] */
  const tile = (name, number, more) =>
    h(
      "div",
      { class: "card" },
      h("div", { class: "muted" }, name),
      h("div", { class: "number" }, number),
      more && h("div", { class: "muted" }, more),
    );
  const whole = (/** @type {number} */ number) => number.toLocaleString("en");
  return h(
    "div",
    { class: "tiles" },
    left === null
      ? tile("Wallet", "not known", "no node tells it")
      : tile("Wallet", `${found.walletBalance.toFixed(3)} SOL`),
    tile(
      "Runway",
      left === null ? "not known" : plural(left, "mint"),
      `at ${inSol(each)} each, one a transaction, without priority fees`,
    ),
    tile(
      "Minted in 24 hours",
      whole(day.minted),
      `${plural(day.operations, "operation")}, ${day.successRate}% of NFTs that ended`,
    ),
    tile("Under way", whole(found.activeOperations), "operations"),
    tile(
      "Minted in all",
      whole(found.totalMinted),
      `of ${whole(found.totalCapacity)} in ${plural(found.totalCollections, "collection")}`,
    ),
  );
}

/** @param {AbortSignal} signal */
async function webhooks(signal) {
  const found = await get("/api/webhooks", signal).catch(() => null); // null: this gateway has none
  if (found === null) return null;
  const rows = await Promise.all(
    found.webhooks.map(async (/** @type {any} */ one) => {
      const parked = await get(`/api/webhooks/${one.id}/deliveries?state=parked&limit=100`, signal);
      const many = `${parked.deliveries.length}${parked.nextCursor === undefined ? "" : " or more"}`;
      return h(
        "tr",
        null,
        h("td", { "data-label": "Address" }, h("div", { class: "mono" }, one.url)),
        h("td", { "data-label": "State" }, pill(one.active ? "active" : "paused"), " ", one.disabledReason ?? ""),
        h("td", { "data-label": "Given up" }, many),
      );
    }),
  );
  const heads = ["Address", "State", "Deliveries given up"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "section",
    { class: "card stack" },
    h("h2", null, "Webhooks"),
    rows.length
      ? h("table", null, h("thead", null, h("tr", null, heads)), h("tbody", null, rows))
      : empty("There is none."),
  );
}
