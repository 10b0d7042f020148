// The public API as this page calls it. The credential is in an HttpOnly cookie, which counts only beside `X-Console`.

const HEADERS = { "X-Console": "1" };

/** A refusal, as the API tells it. */
export class ApiError extends Error {
  /** @param {number} status @param {any} body @param {number} retryAfter seconds */
  constructor(status, body, retryAfter) {
    // What is not there was named in the address, by nothing that the reader has called by that name.
    const details = (body?.details ?? []).map((/** @type {any} */ one) =>
      [status === 404 ? "" : one.field, one.message].filter(Boolean).join(" "),
    );
    super([body?.error ?? `The server answered ${status}`, details.join("; ")].filter(Boolean).join(": "));
    this.status = status;
    this.code = body?.code ?? "";
    this.retryAfter = retryAfter;
  }
}

/** The server could not be reached, or the answer broke off: nobody knows whether it did what was asked. */
export class Unreachable extends Error {}

/**
 * Returns an answer's whole body. Raises ApiError and Unreachable.
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, form?: FormData, headers?: Record<string, string>, signal?: AbortSignal}} [with_]
 * @returns {Promise<any>}
 */
export async function call(method, path, { body, form, headers = {}, signal } = {}) {
  const told = new Headers({ ...HEADERS, ...headers });
  if (body !== undefined) told.set("Content-Type", "application/json");
  const sent = body === undefined ? form : JSON.stringify(body);
  const response = await reach(path, { method, signal, body: sent, headers: told });
  try {
    return await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("The answer broke off");
  }
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} the answer's data */
export async function get(path, signal) {
  return (await call("GET", path, { signal })).data;
}

/**
 * Yields the events that an operation has by now. Raises ApiError and Unreachable.
 * @param {string} operation
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<any>}
 */
export async function* timeline(operation, signal) {
  for (let after = 0; ;) {
    const page = await get(`/api/mint/operations/${operation}/timeline?after=${after}`, signal);
    yield* page.events;
    if (page.nextAfter === undefined) return;
    after = page.nextAfter;
  }
}

/**
 * Yields an operation's events from behind `after`, and those to come until nothing more can happen. A connection that
 * breaks is made again behind the last event that was seen; `tell` is given what broke it, and null once it stands.
 * Raises ApiError when the operation cannot be followed.
 * @param {string} operation
 * @param {number} after
 * @param {AbortSignal} signal
 * @param {(trouble: Error | null) => void} tell
 * @returns {AsyncGenerator<any>}
 */
export async function* follow(operation, after, signal, tell) {
  while (!signal.aborted) {
    try {
      const response = await reach(`/api/mint/status/${operation}/events?after=${after}`, { signal, headers: HEADERS });
      tell(null);
      for await (const message of messages(response)) {
        if (message.event === "end") return;
        const event = JSON.parse(message.data);
        after = event.sequence;
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      // Come back: the connection broke, the service restarts, or it asks for patience. Anything else stays as it is.
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      tell(error instanceof ApiError || error instanceof Unreachable ? error : new Unreachable("The connection broke"));
      await pause(error instanceof ApiError ? error.retryAfter : 2, signal);
      continue;
    }
    await pause(1, signal);
  }
}

/**
 * The messages of a stream of server-sent events.
 * @param {Response} response
 * @returns {AsyncGenerator<{event: string, data: string}>}
 */
async function* messages(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = new Map(
          block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
        );
        if (fields.has("data")) yield { event: fields.get("event") ?? "message", data: fields.get("data") ?? "" };
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // stop: it is over either way
  }
}

/** @param {number} seconds @param {AbortSignal} [signal] */
export function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve(undefined)), { once: true });
  });
}

/** @param {string} path @param {RequestInit} init */
async function reach(path, init) {
  let response;
  try {
    response = await fetch(path, { ...init, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Unreachable("The server cannot be reached");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  if (path === "/health" && body) return new Response(JSON.stringify(body)); // unavailable is what it has to tell
  throw new ApiError(response.status, body, Number(response.headers.get("Retry-After")) || 2);
}
