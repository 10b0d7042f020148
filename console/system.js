// The system: totals, the wallet and how far it reaches, activity, what runs and how far it is, webhooks, dead letters.

import { activity } from "./activity.js";
import { ApiError, call, get, pause, Unreachable } from "./api.js";
import { mostEach, toSol } from "./costs.js";
import { deadLetters } from "./dead.js";
import { fill, h, inSol, notice, pill, plural } from "./dom.js";
import { may } from "./links.js";
import { many, running, section } from "./running.js";

/** `/health` counts towards nobody's limits. */
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
  const reads = may(me, "read");
  const admin = may(me, "admin");
  const [tiles, letters, hooks] = await Promise.all([
    reads
      ? totals(signal).catch((error) => untold("Totals", error))
      : notice("plain", "Totals need a key with the scope read."),
    admin && deadLetters(signal).catch((error) => untold("Dead letters", error)),
    admin && webhooks(signal).catch((error) => ({ element: untold("Webhooks", error), told: () => {} })),
  ]);
  return h(
    "div",
    { class: "stack" },
    tiles,
    reads && activity(signal),
    letters,
    admin && running(signal, (system) => hooks && hooks.told(system)),
    health(signal),
    hooks && hooks.element,
    h("p", { class: "muted" }, `Mintstream ${config.version} · `, h("a", { href: "/docs" }, "API documentation")),
  );
}

/**
 * What stands in the place of a part that cannot be told: when something is away the others are needed the most.
 * Raises what is no trouble of the part alone: the session has ended, or the visit.
 * @param {string} part
 * @param {unknown} error
 */
function untold(part, error) {
  const here = error instanceof Unreachable || (error instanceof ApiError && error.status !== 401);
  if (!here) throw error;
  return notice("bad", `${part}: ${error.message}`);
}

/** @param {AbortSignal} signal */
function health(signal) {
  const place = h("div", { class: "stack" }, h("p", { class: "loading" }, "Loading…"));
  const watch = async () => {
    for (; !signal.aborted; await pause(HEALTH_SECONDS, signal)) {
      try {
        fill(place, answering(await call("GET", "/health", { signal })));
      } catch (error) {
        if (!signal.aborted) fill(place, notice("bad", /** @type {Error} */ (error).message));
      }
    }
  };
  void watch();
  return place;
}

/** @param {any} report */
function answering(report) {
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
  return section("What this gateway needs", ["What", "State", "Answers in", "Means"], rows, report.status);
}

/** @param {AbortSignal} signal */
async function totals(signal) {
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
      many(day.minted),
      `${plural(day.operations, "operation")}, ${day.successRate}% of NFTs that ended`,
    ),
    tile("Under way", plural(found.activeOperations, "operation")),
    tile(
      "Minted in all",
      many(found.totalMinted),
      `of ${many(found.totalCapacity)} in ${plural(found.totalCollections, "collection")}`,
    ),
  );
}

/**
 * The webhooks, and who fills in what waits for each; null where this gateway has none.
 * @param {AbortSignal} signal
 */
async function webhooks(signal) {
  const found = await get("/api/webhooks", signal).catch(() => null); // null: this gateway was set up without them
  if (found === null) return null;
  /** @type {Map<string, HTMLElement>} */
  const waiting = new Map();
  const rows = await Promise.all(
    found.webhooks.map(async (/** @type {any} */ one) => {
      const parked = await get(`/api/webhooks/${one.id}/deliveries?state=parked&limit=100`, signal);
      const given = `${parked.deliveries.length}${parked.nextCursor === undefined ? "" : " or more"}`;
      const cell = h("td", { "data-label": "Waiting", class: "count" }, "…");
      waiting.set(one.id, cell);
      return h(
        "tr",
        null,
        h("td", { "data-label": "Address" }, h("div", { class: "mono" }, one.url)),
        h(
          "td",
          { "data-label": "State" },
          h("div", null, pill(one.active ? "active" : "paused"), " ", one.disabledReason ?? ""),
        ),
        cell,
        h("td", { "data-label": "Given up", class: "count" }, given),
      );
    }),
  );
  return {
    element: section("Webhooks", ["Address", "State", "Waiting", "Given up"], rows, ""),
    /** @param {any} system */
    told: (system) => {
      const queues = new Map(
        system.webhooks.map((/** @type {any} */ one) => [one.webhookId, one.pending + one.inHand]),
      );
      for (const [id, cell] of waiting) fill(cell, many(/** @type {number} */ (queues.get(id) ?? 0)));
    },
  };
}
