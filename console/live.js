// One operation as it happens: its NFTs with their states, cancelling and retrying. Shown by drops and by operations.

import { ApiError, call, follow, get, pause, timeline } from "./api.js";
import { bar } from "./bar.js";
import { duration, empty, facts, fill, h, moment, notice, pill, plural, say, short } from "./dom.js";
import { explorer, may, picture, thumbnail } from "./links.js";
import { STATES, Story, sentenceOf } from "./story.js";

/** Rows that are shown at first; a page of a thousand pictures helps nobody. */
const ROWS = 100;
/** Between two looks at the status, which knows what events do not: why it waits, and for how long. */
const HINT_SECONDS = 10;

/**
 * Returns an operation's panel, which follows it until the visit ends. Raises ApiError when it cannot be seen.
 * @param {string} id
 * @param {import("./app.js").Visit} visit
 */
export async function liveOperation(id, visit) {
  const story = new Story();
  const { data: status, message } = await call("GET", `/api/mint/status/${id}`, { signal: visit.signal });
  for await (const event of timeline(id, visit.signal)) story.add(event);
  story.expect(status.progress.total);
  const panel = new Panel(id, story, visit);
  panel.tell(status, message);
  panel.paint(story.items);
  panel.nameCollection().catch(() => {}); // stop: its id stands there already
  const listen = async () => {
    for await (const event of follow(id, story.sequence, visit.signal, (trouble) => panel.interrupted(trouble))) {
      panel.later(story.add(event));
    }
  };
  const ask = async () => {
    while (!story.closing && !visit.signal.aborted) {
      await pause(HINT_SECONDS, visit.signal);
      if (story.closing || visit.signal.aborted) return;
      try {
        const now = await call("GET", `/api/mint/status/${id}`, { signal: visit.signal });
        panel.tell(now.data, now.message);
      } catch (error) {
        if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
        // Come back at the next look: the events tell that the server is away.
      }
    }
  };
  // Both end with the visit, and what goes wrong in them is told in the panel.
  listen().catch((error) => panel.complain(error));
  ask().catch(() => {}); // stop: the hints end; the events go on, and tell what is wrong
  return panel.element;
}

class Panel {
  /** @param {string} id @param {Story} story @param {import("./app.js").Visit} visit */
  constructor(id, story, visit) {
    this.id = id;
    this.story = story;
    this.visit = visit;
    this.limit = ROWS;
    /** An asset or a transaction that was searched for: only its NFTs are shown at first. */
    this.sought = visit.query.get("find");
    /** @type {Map<number, HTMLElement>} */
    this.rows = new Map();
    /** @type {Set<import("./story.js").Item>} */
    this.due = new Set();
    this.waiting = false;
    this.only = h(
      "select",
      { "aria-label": "NFTs to show", onchange: () => this.arrange() },
      [["", "all"], ...STATES.map((state) => [state, state])].map(([value, text]) => h("option", { value }, text)),
    );
    this.head = h("div", { class: "stack" });
    this.hint = h("div");
    this.complaint = h("div");
    this.broken = h("div", { role: "status" });
    /** The collection's name, once it is known. */
    this.collection = "";
    this.list = h("ol", { class: "items", "aria-label": "NFTs" });
    this.more = h("div");
    this.found = h("div");
    this.timeline = h("ol", { class: "timeline" });
    this.told = 0;
    this.cancel = h("button", { class: "danger", onclick: () => this.#cancel() }, "Cancel what is not signed yet");
    this.retry = h("button", { class: "main", onclick: () => this.#retry() }, "Mint the failed ones again");
    this.element = h(
      "div",
      { class: "stack operation", "data-operation": id },
      h(
        "section",
        { class: "card stack" },
        this.head,
        this.hint,
        this.broken,
        this.complaint,
        h("div", { class: "row" }, this.cancel, this.retry),
      ),
      h(
        "section",
        { class: "card stack" },
        h("div", { class: "row between" }, h("h2", null, "NFTs"), h("label", { class: "row" }, "Show", this.only)),
        this.found,
        this.list,
        this.more,
      ),
      h("details", { class: "card" }, h("summary", null, h("h2", null, "Timeline")), this.timeline),
    );
  }

  /** Takes note of changes; they are shown with the next frame. @param {import("./story.js").Item[]} items */
  later(items) {
    for (const item of items) this.due.add(item);
    if (this.waiting) return;
    this.waiting = true;
    // A timer beside the frame: browsers make no frames for tabs in the background.
    const run = () => {
      if (!this.waiting) return;
      this.waiting = false;
      const due = [...this.due];
      this.due.clear();
      this.paint(due);
    };
    requestAnimationFrame(run);
    setTimeout(run, 500);
  }

  /** @param {import("./story.js").Item[]} items */
  paint(items) {
    const { story, visit } = this;
    const counts = story.counts();
    const minted = counts.confirmed + counts.finalized;
    fill(
      this.head,
      h(
        "div",
        { class: "row between" },
        h("div", { class: "row" }, pill(story.status), h("strong", null, `${minted} of ${story.items.length} minted`)),
        // In a drop it is the way to the operation; on its own page the id stands above.
        visit.id !== this.id && h("a", { href: `#/operations/${this.id}` }, short(this.id)),
      ),
      bar(counts),
      facts([
        [
          "Collection",
          story.collection &&
            h("a", { href: `#/collections/${story.collection}` }, this.collection || short(story.collection)),
        ],
        ["Recipient", story.recipient && explorer(visit.config, "address", story.recipient)],
        ["Asked for", story.events.length && moment(story.events[0].time)],
        ["Settled", story.closing && moment(story.events.findLast((event) => event.type === "mint.completed.v1").time)],
      ]),
    );
    const mayMint = may(visit.me, "mint");
    this.cancel.hidden = !mayMint || story.cancelled || story.closing !== null;
    this.retry.hidden = !mayMint || !story.closing || counts.failed === 0;
    if (story.closing) fill(this.hint);
    for (const item of items) {
      const row = this.rows.get(item.index);
      if (row) fill(row, this.#row(item));
    }
    this.#tellEvents();
    if (this.only.value || this.sought || this.rows.size < Math.min(this.limit, story.items.length)) this.arrange();
  }

  /** Puts the rows that are wanted in place. */
  arrange() {
    const { sought } = this;
    const wanted = this.story.items.filter(
      (item) =>
        (!this.only.value || item.state === this.only.value) &&
        (!sought || item.assetId === sought || item.signature === sought),
    );
    const all = h(
      "button",
      { class: "quiet", onclick: () => ((this.sought = null), this.arrange(), this.only.focus()) },
      "Show all",
    );
    fill(this.found, sought && h("div", { class: "row muted" }, "What was searched for: ", short(sought), all));
    const shown = wanted.slice(0, this.limit);
    this.rows = new Map(shown.map((item) => [item.index, h("li", null, this.#row(item))]));
    fill(this.list, [...this.rows.values()]);
    const rest = wanted.length - shown.length;
    fill(
      this.more,
      !wanted.length && empty("None is in this state."),
      rest > 0 &&
        h(
          "button",
          { onclick: () => ((this.limit = Infinity), this.arrange()) },
          `Show ${plural(rest, "more", "more")}`,
        ),
    );
  }

  /** What the status knows beside the events. @param {any} status @param {string | undefined} message */
  tell(status, message) {
    const left = status.progress.estimatedTimeLeft;
    fill(
      this.hint,
      message && notice("plain", message),
      left !== undefined && h("p", { class: "muted" }, `About ${duration(left)} left`),
    );
  }

  /** Puts the collection's name in the place of its id. Raises ApiError and Unreachable. */
  async nameCollection() {
    if (!this.story.collection) return;
    this.collection = (await get(`/api/collections/${this.story.collection}`, this.visit.signal)).name;
    this.paint([]);
  }

  /** Says that what is shown may be old, and when it no longer is. @param {Error | null} trouble */
  interrupted(trouble) {
    if (Boolean(trouble) === this.broken.hasChildNodes()) return;
    fill(this.broken, trouble && notice("plain", `${trouble.message}. What is shown may be old; trying again…`));
  }

  /** @param {any} error */
  complain(error) {
    if (!this.visit.signal.aborted) fill(this.complaint, notice("bad", error.message));
  }

  /** @param {import("./story.js").Item} item */
  #row(item) {
    const { config } = this.visit;
    const trouble =
      item.state === "failed" &&
      h(
        "p",
        { class: "trouble" },
        h("code", null, item.code ?? ""),
        " ",
        item.reason ?? "",
        item.cure && ` ${item.cure}`,
      );
    return [
      thumbnail(picture(config, item.image)),
      h(
        "div",
        { class: "grow" },
        h("div", { class: "name" }, item.name),
        trouble,
        h(
          "div",
          { class: "muted row" },
          item.assetId && h("span", null, "asset ", explorer(config, "address", item.assetId)),
          item.signature && h("span", null, "transaction ", explorer(config, "tx", item.signature)),
        ),
      ),
      pill(item.state),
    ];
  }

  #tellEvents() {
    for (const event of this.story.events.slice(this.told)) {
      this.timeline.append(
        h(
          "li",
          null,
          moment(event.time),
          h(
            "div",
            { class: "grow" },
            h(
              "details",
              null,
              h("summary", null, sentenceOf(event)),
              h("pre", { tabindex: "0" }, JSON.stringify(event, null, 2)),
            ),
          ),
          h("span", { class: "muted" }, event.producer.name),
        ),
      );
    }
    this.told = this.story.events.length;
  }

  async #cancel() {
    if (!confirm("Cancel this operation? What is signed already is followed to its end.")) return;
    this.cancel.disabled = true;
    try {
      await call("DELETE", `/api/mint/cancel/${this.id}`);
      say("Cancelled: nothing more is signed");
    } catch (error) {
      this.complain(error);
    }
    this.cancel.disabled = false;
  }

  async #retry() {
    this.retry.disabled = true;
    try {
      const answer = await call("POST", `/api/mint/retry/${this.id}`);
      location.hash = `#/operations/${answer.data.transactionId}`;
    } catch (error) {
      this.complain(error);
    }
    this.retry.disabled = false;
  }
}
