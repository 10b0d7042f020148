// Asks again what has no answer yet, where that can make nothing twice. Not done here: which request has which key.

/** Answers that say nothing about the request itself. */
const PASSING = new Set([429, 502, 503, 504]);
/** Milliseconds before the second try, doubled before each further one; an answer's Retry-After comes first. */
const PAUSE = 500;
/** Who is told to wait for longer than so many milliseconds is better told than kept waiting. */
const LONGEST = 30_000;

/**
 * Returns a `fetch` that tries a request up to `tries` times: one that only reads, or that has an `Idempotency-Key`,
 * which makes a repetition the same request. Any other is sent once.
 */
export function retrying(tries: number, ask: typeof fetch = fetch): (request: Request) => Promise<Response> {
  return async (request) => {
    const most = request.method === "GET" || request.headers.has("Idempotency-Key") ? tries : 1;
    for (let attempt = 1; ; attempt += 1) {
      let pause = PAUSE * 2 ** (attempt - 1);
      try {
        const response = await ask(request.clone());
        if (attempt >= most || !PASSING.has(response.status)) return response;
        pause = Number(response.headers.get("Retry-After")) * 1000 || pause;
        if (pause > LONGEST) return response;
        await response.body?.cancel();
      } catch (error) {
        if (attempt >= most || request.signal.aborted) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
}
