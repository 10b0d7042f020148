// Mint one NFT, wait for it, list the operations, and read an error: node example.js <api> <key> <collection> <wallet>
import { mintstream } from "./src/index.js";

declare const process: { argv: string[] };

const [api = "", key = "", collectionId = "", recipient = ""] = process.argv.slice(2);
const client = mintstream(api, key);
const image = "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

const minted = await client.POST("/api/mint/single", {
  body: { collectionId, recipient, metadata: { name: "From TypeScript", image } },
  params: { header: { Prefer: "wait=60", "Idempotency-Key": `example-ts-${recipient}` } },
});
if (minted.error) throw new Error(minted.error.code);
const { transactionId, assetIds } = minted.data.data;

// The answer has waited for the mint already; what lists and statuses tell may be a moment behind.
let status = await client.GET("/api/mint/status/{transactionId}", { params: { path: { transactionId } } });
while (!status.data?.data.endTime) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  status = await client.GET("/api/mint/status/{transactionId}", { params: { path: { transactionId } } });
}
console.log(status.data.data.status, JSON.stringify(assetIds));

const listed = await client.GET("/api/mint/operations", { params: { query: { recipient } } });
console.log(listed.data?.data.operations.map((operation) => operation.transactionId === transactionId).join(" "));

const nobody = "00000000-0000-0000-0000-000000000000";
const failed = await client.GET("/api/mint/status/{transactionId}", { params: { path: { transactionId: nobody } } });
console.log(failed.error?.code);
