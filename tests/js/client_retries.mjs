// Which requests the TypeScript client sends again: node client_retries.mjs <its dist/src/retrying.js>
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { retrying } = await import(pathToFileURL(process.argv[2]).href);
const soon = { "Retry-After": "0.001" };
const key = { "Idempotency-Key": "one" };

/** The status that comes of these answers ("away" is none at all), and the bodies that were sent. */
async function asked(answers, init) {
  const bodies = [];
  const ask = async (request) => {
    bodies.push(await request.text());
    const answer = answers[bodies.length - 1];
    if (answer === "away") throw new TypeError("fetch failed");
    return answer;
  };
  const request = new Request("http://gateway/api", init);
  const came = await retrying(3, ask)(request).then((response) => response.status, (error) => error.message);
  return [came, bodies];
}

const busy = () => new Response("later", { status: 503, headers: soon });
const done = () => new Response("{}", { status: 200 });
const post = (headers) => ({ method: "POST", body: "mint", headers });

assert.deepEqual(await asked([busy(), "away", done()], {}), [200, ["", "", ""]]);
assert.deepEqual(await asked([busy(), done()], post(key)), [200, ["mint", "mint"]]);
assert.deepEqual(await asked([busy()], post({})), [503, ["mint"]], "without a key nobody knows what a second one makes");
assert.deepEqual(await asked(["away"], post({})), ["fetch failed", ["mint"]]);
assert.deepEqual(await asked([busy(), busy(), busy()], {}), [503, ["", "", ""]]);
assert.deepEqual(await asked([new Response("", { status: 404 })], {}), [404, [""]]);
const quota = new Response("", { status: 429, headers: { "Retry-After": "900" } });
assert.deepEqual(await asked([quota], {}), [429, [""]], "a quarter of an hour is not waited for");
