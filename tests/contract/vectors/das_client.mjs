// Asks a DAS server with the official client and writes what it made of the answers.
//
//   node das_client.mjs URL ASSET_ID...
//
// For each asset: the client's view (`getAssetWithProof`), the leaf that it recomputes from it, and its transfer
// instruction. Then the lists of the first asset's owner and collection.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [url, ...assetIds] = process.argv.slice(2);
const load = createRequire(join(dirname(fileURLToPath(import.meta.url)), '../../js/node_modules/x.js'));
const { createUmi } = load('@metaplex-foundation/umi-bundle-defaults');
const { createNoopSigner, publicKey, signerIdentity, unwrapOption } = load('@metaplex-foundation/umi');
const bubblegum = load('@metaplex-foundation/mpl-bubblegum');

const umi = createUmi(url).use(bubblegum.mplBubblegum());
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const newLeafOwner = publicKey('11111111111111111111111111111112');
umi.use(signerIdentity(createNoopSigner(newLeafOwner)));

const seen = [];
for (const assetId of assetIds) {
  const asset = await bubblegum.getAssetWithProof(umi, publicKey(assetId));
  const v2 = asset.flags !== undefined;
  const common = { merkleTree: asset.merkleTree, owner: asset.leafOwner, delegate: asset.leafDelegate, leafIndex: asset.nonce };
  const leaf = v2
    ? bubblegum.hashLeafV2(umi, { ...common, metadata: asset.currentMetadata, flags: asset.flags })
    : bubblegum.hashLeaf(umi, { ...common, metadata: asset.metadata });
  const signer = createNoopSigner(asset.leafOwner);
  const built = v2
    ? bubblegum.transferV2(umi, { ...asset, newLeafOwner, payer: signer, authority: signer })
    : bubblegum.transfer(umi, { ...asset, leafOwner: signer, leafDelegate: signer, newLeafOwner });
  const { data, keys } = built.getInstructions()[0];
  const collection = unwrapOption(asset.metadata.collection);
  seen.push({
    leaf: hex(leaf), index: asset.index, nonce: asset.nonce, owner: asset.leafOwner, name: asset.metadata.name,
    collection: collection?.key ?? null, verified: collection?.verified ?? null,
    transfer: { data: hex(data), accounts: keys.map((k) => [k.pubkey, k.isSigner, k.isWritable]) },
  });
}
const ids = ({ items }) => items.map(({ id }) => id).sort();
const [first] = seen;
const group = { groupKey: 'collection', groupValue: first.collection };
const lists = {
  owner: ids(await umi.rpc.getAssetsByOwner({ owner: publicKey(first.owner), limit: 100, page: 1 })),
  group: ids(await umi.rpc.getAssetsByGroup({ ...group, sortBy: { sortBy: 'created', sortDirection: 'asc' } })),
  search: ids(await umi.rpc.searchAssets({ owner: publicKey(first.owner), compressed: true, burnt: false })),
};
process.stdout.write(JSON.stringify({ seen, lists }));
