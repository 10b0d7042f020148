// A client of one gateway. All types are those of schema.d.ts, which is generated from the OpenAPI document.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

export type Schemas = components["schemas"];
/** Every error has this shape; `code` is stable, so branch on it. */
export type Failure = Schemas["Failure"];

/** Returns a client; every call answers `{ data }` or `{ error }`, and never throws for an answer of the API. */
export function mintstream(baseUrl: string, apiKey: string) {
  return createClient<paths>({ baseUrl, headers: { "X-API-Key": apiKey } });
}
