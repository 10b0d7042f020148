// The source document's way of minting, as a peer to measure against: the official client, one mintToCollectionV1 a
// transaction, sendAndConfirm, one after another or PARALLEL at a time.
//
//   WALLET=<base58 keypair> node official_mints.mjs RPC_URL TREE COLLECTION COUNT PARALLEL
//
// Prints {"mints", "seconds", "failed"} as JSON.
import { createUmi } from '@metaplex-foundation/umi-bundle-defaults';
import { generateSigner, keypairIdentity, publicKey } from '@metaplex-foundation/umi';
import { base58 } from '@metaplex-foundation/umi/serializers';
import { mintToCollectionV1, mplBubblegum } from '@metaplex-foundation/mpl-bubblegum';

const [endpoint, tree, collection, count, parallel] = process.argv.slice(2);
const umi = createUmi(endpoint, 'confirmed').use(mplBubblegum());
const wallet = umi.eddsa.createKeypairFromSecretKey(base58.serialize(process.env.WALLET));
umi.use(keypairIdentity(wallet));
const leafOwner = generateSigner(umi).publicKey;

async function mint(number) {
  const metadata = {
    name: `Peer #${number}`,
    symbol: 'PEER',
    uri: `ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq`,
    sellerFeeBasisPoints: 0,
    collection: { key: publicKey(collection), verified: false },
    creators: [{ address: umi.identity.publicKey, share: 100, verified: false }],
  };
  const builder = mintToCollectionV1(umi, {
    leafOwner,
    merkleTree: publicKey(tree),
    collectionMint: publicKey(collection),
    metadata,
  });
  const { result } = await builder.sendAndConfirm(umi, {
    send: { skipPreflight: true },
    confirm: { commitment: 'confirmed' },
  });
  return result.value.err === null;
}

let next = 0;
let failed = 0;
async function worker() {
  while (next < Number(count)) {
    next += 1;
    if (!(await mint(next))) failed += 1;
  }
}

const began = performance.now();
await Promise.all(Array.from({ length: Number(parallel) }, worker));
console.log(JSON.stringify({ mints: Number(count), seconds: (performance.now() - began) / 1000, failed }));
// web3.js keeps its WebSocket open for reconnects; nothing is left to wait for.
process.exit(0);
