// Mints one compressed NFT of each version with the official client, unchanged, against a cluster, and reads them back.
//
//   node tests/js/umi_mint.mjs RPC_URL
//
// Prints one JSON object: what the client parsed from its own transactions and what DAS says of the assets.
import { createUmi } from '@metaplex-foundation/umi-bundle-defaults';
import { generateSigner, keypairIdentity, none, sol } from '@metaplex-foundation/umi';
import { base58 } from '@metaplex-foundation/umi/serializers';
import {
  createTree,
  createTreeV2,
  getAssetWithProof,
  mintV1,
  mintV2,
  mplBubblegum,
  parseLeafFromMintV1Transaction,
  parseLeafFromMintV2Transaction,
} from '@metaplex-foundation/mpl-bubblegum';

const endpoint = process.argv[2];
if (!endpoint) {
  console.error('usage: node umi_mint.mjs RPC_URL');
  process.exit(2);
}

const confirmed = { confirm: { commitment: 'confirmed' }, send: { preflightCommitment: 'confirmed' } };
const umi = createUmi(endpoint, 'confirmed').use(mplBubblegum());
umi.use(keypairIdentity(generateSigner(umi)));

await umi.rpc.airdrop(umi.identity.publicKey, sol(10), { commitment: 'confirmed' });

async function minted(create, mint, parse) {
  const tree = generateSigner(umi);
  const creation = await create(umi, { merkleTree: tree, maxDepth: 5, maxBufferSize: 8 });
  await creation.sendAndConfirm(umi, confirmed);
  const owner = generateSigner(umi).publicKey;
  const { signature, result } = await mint(tree.publicKey, owner).sendAndConfirm(umi, confirmed);
  const leaf = await parse(umi, signature);
  const asset = await getAssetWithProof(umi, leaf.id);
  return {
    signature: base58.deserialize(signature)[0],
    error: result.value.err,
    tree: tree.publicKey,
    owner,
    id: leaf.id,
    nonce: leaf.nonce.toString(),
    dasOwner: asset.leafOwner,
    dasName: asset.metadata.name,
    proofLength: asset.proof.length,
    index: asset.index,
  };
}

const metadata = {
  name: 'Bücherstand #1',
  uri: 'https://example.com/1.json',
  sellerFeeBasisPoints: 500,
  collection: none(),
  creators: [],
};

const v1 = await minted(
  createTree,
  (merkleTree, leafOwner) => mintV1(umi, { merkleTree, leafOwner, metadata }),
  parseLeafFromMintV1Transaction
);
const v2 = await minted(
  createTreeV2,
  (merkleTree, leafOwner) => mintV2(umi, { merkleTree, leafOwner, metadata }),
  parseLeafFromMintV2Transaction
);

console.log(JSON.stringify({ v1, v2 }));
// web3.js keeps its WebSocket open for reconnects; nothing is left to wait for.
process.exit(0);
