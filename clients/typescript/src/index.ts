// A client of one gateway. All types are those of schema.d.ts, which is generated from the OpenAPI document.
import createClient from "openapi-fetch";
import { retrying } from "./retrying.js";
import type { components, paths } from "./schema.d.ts";

export type Schemas = components["schemas"];
/** Every error has this shape; `code` is stable, so branch on it. */
export type Failure = Schemas["Failure"];
/** An API key, which belongs on a server, or the token that `POST /api/auth/login` gives a page for its wallet. */
export type Credential = string | { token: string };

/**
 * Returns a client; every call answers `{ data }` or `{ error }`, and never throws for an answer of the API. What has
 * no answer is asked again, up to `tries` times, if it only reads or has an `Idempotency-Key`; then it throws.
 */
export function mintstream(baseUrl: string, credential: Credential, tries = 5) {
  const headers: Record<string, string> =
    typeof credential === "string" ? { "X-API-Key": credential } : { Authorization: `Bearer ${credential.token}` };
  return createClient<paths>({ baseUrl, headers, fetch: retrying(tries) });
}
