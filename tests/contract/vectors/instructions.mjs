// Instructions as the official clients build them: data, accounts, and which accounts sign or change.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { baseV1, baseV2, metadataCases, toClient } from './metadata.mjs';

const FILL = (byte) => new Uint8Array(32).fill(byte);

/** Each case: our function's name, its arguments (JSON), and the client's builder. */
function treeCases(kit) {
  const { umi, bubblegum, umiCore, key, payer } = kit;
  const { some, none, createNoopSigner } = umiCore;
  const cases = [];
  for (const isPublic of [null, false, true]) {
    const input = { maxDepth: 14, maxBufferSize: 64, public: isPublic === null ? none() : some(isPublic), merkleTree: key(2) };
    const args = { payer: payer.publicKey, tree: key(2), max_depth: 14, max_buffer_size: 64, public: isPublic };
    const label = `public ${isPublic}`;
    cases.push(
      [`create_tree_config, ${label}`, 'create_tree_config', { ...args, tree_creator: payer.publicKey }, bubblegum.createTreeConfig(umi, input)],
      [`create_tree_config_v2, ${label}`, 'create_tree_config_v2', args, bubblegum.createTreeConfigV2(umi, input)]
    );
  }
  const other = { maxDepth: 30, maxBufferSize: 2048, merkleTree: key(2), treeCreator: createNoopSigner(key(9)) };
  const args = { payer: payer.publicKey, tree: key(2), tree_creator: key(9), max_depth: 30, max_buffer_size: 2048 };
  cases.push(
    ['create_tree_config, another creator', 'create_tree_config', args, bubblegum.createTreeConfig(umi, other)],
    ['create_tree_config_v2, another creator', 'create_tree_config_v2', args, bubblegum.createTreeConfigV2(umi, other)]
  );
  return cases;
}

async function treeAccountCases(kit) {
  const { umi, bubblegum, umiCore, key, payer } = kit;
  const cases = [];
  for (const [depth, buffer, canopy] of [[3, 8, 0], [14, 64, 0], [14, 64, 8], [24, 512, 11]]) {
    const input = { merkleTree: umiCore.createNoopSigner(key(2)), maxDepth: depth, maxBufferSize: buffer, canopyDepth: canopy };
    for (const [version, build] of [[1, bubblegum.createTree], [2, bubblegum.createTreeV2]]) {
      const built = await build(umi, input);
      const size = kit.compression.getMerkleTreeSize(depth, buffer, canopy);
      const args = {
        payer: payer.publicKey, tree: key(2), lamports: size * 6960 + 890880, max_depth: depth, max_buffer_size: buffer,
        canopy_depth: canopy,
        compression_program: version === 1 ? 'cmtDvXumGCrqC1Age74AVPhSRVXJMd8PJS91L8KbNCK' : 'mcmt6YrQEMKw8Mw43FmpRLmf7BqRnFMKmAcbxE3xkAW',
      };
      cases.push([`create_tree_account v${version}, ${depth}/${buffer}/${canopy}`, 'create_tree_account', args, built.items[0]]);
    }
  }
  return cases;
}

function mintV1Cases(kit) {
  const { umi, bubblegum, tokenMetadata, umiCore, key, payer } = kit;
  const signer = umiCore.createNoopSigner;
  const cases = [];
  for (const { name, input } of metadataCases(kit).v1) {
    const args = { tree: key(2), payer: payer.publicKey, tree_creator_or_delegate: payer.publicKey, leaf_owner: key(3), metadata: input };
    cases.push([`mint_v1, ${name}`, 'mint_v1', args, bubblegum.mintV1(umi, { leafOwner: key(3), merkleTree: key(2), metadata: toClient(kit, input) })]);
  }
  const parties = { leafDelegate: key(7), payer: signer(key(8)), treeCreatorOrDelegate: signer(key(9)), leafOwner: key(3), merkleTree: key(2) };
  const ourParties = { tree: key(2), payer: key(8), tree_creator_or_delegate: key(9), leaf_owner: key(3), leaf_delegate: key(7) };
  cases.push(['mint_v1, all parties', 'mint_v1', { ...ourParties, metadata: baseV1 }, bubblegum.mintV1(umi, { ...parties, metadata: toClient(kit, baseV1) })]);

  const metadata = { ...baseV1, collection: { verified: false, key: key(4) } };
  const client = { leafOwner: key(3), merkleTree: key(2), collectionMint: key(4), metadata: toClient(kit, metadata) };
  const ours = {
    tree: key(2), payer: payer.publicKey, tree_creator_or_delegate: payer.publicKey, collection_authority: payer.publicKey,
    collection_mint: key(4), leaf_owner: key(3), metadata,
  };
  const bubblegumId = bubblegum.MPL_BUBBLEGUM_PROGRAM_ID;
  const real = {
    bubblegumSigner: umi.eddsa.findPda(bubblegumId, [kit.serializers.string({ size: 'variable' }).serialize('collection_cpi')])[0],
    tokenMetadataProgram: tokenMetadata.MPL_TOKEN_METADATA_PROGRAM_ID,
  };
  cases.push(
    ["mint_to_collection_v1, the client's placeholders", 'mint_to_collection_v1',
      { ...ours, bubblegum_signer: bubblegumId, token_metadata_program: bubblegumId }, bubblegum.mintToCollectionV1(umi, client)],
    ['mint_to_collection_v1, the real accounts', 'mint_to_collection_v1', ours, bubblegum.mintToCollectionV1(umi, { ...client, ...real })],
    ['mint_to_collection_v1, all parties', 'mint_to_collection_v1',
      { ...ours, ...ourParties, collection_authority: key(10), collection_authority_record: key(11) },
      bubblegum.mintToCollectionV1(umi, { ...client, ...real, ...parties, collectionAuthority: signer(key(10)), collectionAuthorityRecordPda: key(11) })]
  );
  return cases;
}

function mintV2Cases(kit) {
  const { umi, bubblegum, umiCore, key, payer } = kit;
  const signer = umiCore.createNoopSigner;
  const cases = [];
  for (const { name, input } of metadataCases(kit).v2) {
    const coreCollection = input.collection ?? undefined;
    const args = { tree: key(2), payer: payer.publicKey, leaf_owner: key(3), core_collection: input.collection, metadata: input };
    cases.push([`mint_v2, ${name}`, 'mint_v2', args,
      bubblegum.mintV2(umi, { leafOwner: key(3), merkleTree: key(2), coreCollection, metadata: toClient(kit, input) })]);
  }
  const metadata = { ...baseV2, collection: key(4) };
  cases.push(
    ['mint_v2, all parties', 'mint_v2', {
      tree: key(2), payer: key(8), tree_creator_or_delegate: key(9), collection_authority: key(10), leaf_owner: key(3),
      leaf_delegate: key(7), core_collection: key(4), metadata,
    }, bubblegum.mintV2(umi, {
      merkleTree: key(2), payer: signer(key(8)), treeCreatorOrDelegate: signer(key(9)), collectionAuthority: signer(key(10)),
      leafOwner: key(3), leafDelegate: key(7), coreCollection: key(4), metadata: toClient(kit, metadata),
    })],
    ['mint_v2, asset data', 'mint_v2', {
      tree: key(2), payer: payer.publicKey, leaf_owner: key(3), metadata: baseV2, asset_data: '00ff7b7d', asset_data_schema: 1,
    }, bubblegum.mintV2(umi, {
      merkleTree: key(2), leafOwner: key(3), metadata: toClient(kit, baseV2), assetData: Uint8Array.of(0, 255, 123, 125),
      assetDataSchema: bubblegum.AssetDataSchema.Json,
    })]
  );
  return cases;
}

function leafCases(kit) {
  const { umi, bubblegum, umiCore, key, hex } = kit;
  const signer = umiCore.createNoopSigner;
  const proofs = { none: [], three: [key(10), key(11), key(12)], deepest: Array.from({ length: 30 }, (_, i) => key(100 + i)) };
  const cases = [];
  for (const [label, proof] of Object.entries(proofs)) {
    const nonce = label === 'deepest' ? 18446744073709551615n : 5n;
    const index = label === 'deepest' ? 4294967295 : 5;
    const client = { merkleTree: key(2), root: FILL(9), dataHash: FILL(8), creatorHash: FILL(7), nonce, index, proof };
    const leaf = { root: hex(FILL(9)), data_hash: hex(FILL(8)), creator_hash: hex(FILL(7)), nonce: nonce.toString(), index, proof };
    const own = { leafOwner: signer(key(3)) };
    const byDelegate = { leafOwner: key(3), leafDelegate: signer(key(7)) };
    cases.push(
      [`burn, proof ${label}`, 'burn', { tree: key(2), leaf_owner: key(3), leaf }, bubblegum.burn(umi, { ...client, ...own })],
      [`burn by the delegate, proof ${label}`, 'burn', { tree: key(2), leaf_owner: key(3), leaf_delegate: key(7), owner_signs: false, leaf },
        bubblegum.burn(umi, { ...client, ...byDelegate })],
      [`transfer, proof ${label}`, 'transfer', { tree: key(2), leaf_owner: key(3), new_leaf_owner: key(6), leaf },
        bubblegum.transfer(umi, { ...client, ...own, newLeafOwner: key(6) })],
      [`transfer by the delegate, proof ${label}`, 'transfer',
        { tree: key(2), leaf_owner: key(3), leaf_delegate: key(7), owner_signs: false, new_leaf_owner: key(6), leaf },
        bubblegum.transfer(umi, { ...client, ...byDelegate, newLeafOwner: key(6) })]
    );
    const v2 = { payer: signer(key(8)), authority: signer(key(3)), leafOwner: key(3), leafDelegate: key(7), coreCollection: key(4) };
    const args = { tree: key(2), payer: key(8), authority: key(3), leaf_owner: key(3), leaf_delegate: key(7), core_collection: key(4) };
    const extra = { assetDataHash: FILL(6), flags: 4 };
    const fullLeaf = { ...leaf, asset_data_hash: hex(FILL(6)), flags: 4 };
    const bare = { payer: signer(key(8)), leafOwner: key(8) };
    const bareArgs = { tree: key(2), payer: key(8), leaf_owner: key(8), leaf };
    cases.push(
      [`burn_v2, proof ${label}`, 'burn_v2', bareArgs, bubblegum.burnV2(umi, { ...client, ...bare })],
      [`burn_v2 with everything, proof ${label}`, 'burn_v2', { ...args, leaf: fullLeaf }, bubblegum.burnV2(umi, { ...client, ...v2, ...extra })],
      [`transfer_v2, proof ${label}`, 'transfer_v2', { ...bareArgs, new_leaf_owner: key(6) },
        bubblegum.transferV2(umi, { ...client, ...bare, newLeafOwner: key(6) })],
      [`transfer_v2 with everything, proof ${label}`, 'transfer_v2', { ...args, leaf: fullLeaf, new_leaf_owner: key(6) },
        bubblegum.transferV2(umi, { ...client, ...v2, ...extra, newLeafOwner: key(6) })]
    );
  }
  return cases;
}

function collectionCases(kit) {
  const { umi, core, tokenMetadata, toolbox, umiCore, key, payer } = kit;
  const { some, none, createNoopSigner } = umiCore;
  const cases = [];
  for (const [label, name, creators] of [
    ['plain', 'Coll', []],
    ['non-ASCII, two creators', 'Café ☕', [{ address: key(20), verified: true, share: 60 }, { address: key(21), verified: false, share: 40 }]],
  ]) {
    const uri = 'https://example.com/c.json';
    cases.push(
      [`create_metadata_account_v3, ${label}`, 'create_metadata_account_v3',
        { payer: payer.publicKey, mint: key(4), authority: key(5), name, symbol: 'C', uri, seller_fee_basis_points: 500, creators },
        tokenMetadata.createMetadataAccountV3(umi, {
          mint: key(4), mintAuthority: createNoopSigner(key(5)), updateAuthority: createNoopSigner(key(5)), isMutable: true,
          data: { name, symbol: 'C', uri, sellerFeeBasisPoints: 500, creators: creators.length ? some(creators) : none(), collection: none(), uses: none() },
          collectionDetails: some(tokenMetadata.collectionDetails('V1', { size: 0n })),
        })],
      [`create_core_collection, ${label}`, 'create_core_collection', { payer: payer.publicKey, collection: key(4), name, uri },
        core.createCollection(umi, { collection: createNoopSigner(key(4)), name, uri, plugins: [{ type: 'BubblegumV2' }] })]
    );
  }
  cases.push(
    ['create_core_collection, another authority', 'create_core_collection',
      { payer: payer.publicKey, collection: key(4), name: 'Coll', uri: '', update_authority: key(5) },
      core.createCollection(umi, { collection: createNoopSigner(key(4)), updateAuthority: key(5), name: 'Coll', uri: '', plugins: [{ type: 'BubblegumV2' }] })],
    ['create_master_edition_v3', 'create_master_edition_v3', { payer: payer.publicKey, mint: key(4), authority: key(5) },
      tokenMetadata.createMasterEditionV3(umi, {
        mint: key(4), mintAuthority: createNoopSigner(key(5)), updateAuthority: createNoopSigner(key(5)), maxSupply: some(0n),
      })],
    ['initialize_mint', 'initialize_mint', { mint: key(4), authority: key(5) },
      toolbox.initializeMint2(umi, { mint: key(4), decimals: 0, mintAuthority: key(5), freezeAuthority: some(key(5)) })],
    ['create_associated_token', 'create_associated_token', { payer: payer.publicKey, owner: key(5), mint: key(4) },
      toolbox.createAssociatedToken(umi, { owner: key(5), mint: key(4) })],
    ['mint_token', 'mint_token', { mint: key(4), owner: key(5), authority: key(5), amount: 1 },
      toolbox.mintTokensTo(umi, {
        mint: key(4), token: toolbox.findAssociatedTokenPda(umi, { owner: key(5), mint: key(4) }), amount: 1,
        mintAuthority: createNoopSigner(key(5)),
      })]
  );
  return cases;
}

/** Name and discriminator of every instruction, from the client's generated code: it exports them nowhere. */
function discriminators({ generated, hex }) {
  const files = readdirSync(generated).filter((file) => file.endsWith('.js') && file !== 'index.js').sort();
  return Object.fromEntries(
    files.map((file) => {
      const bytes = /discriminator: \[([\d, ]+)\]/.exec(readFileSync(join(generated, file), 'utf8'))[1];
      return [file.slice(0, -3), hex(bytes.split(',').map(Number))];
    })
  );
}

export async function instructionVectors(kit) {
  const cases = [
    ...(await treeAccountCases(kit)), ...treeCases(kit), ...mintV1Cases(kit), ...mintV2Cases(kit), ...leafCases(kit), ...collectionCases(kit),
  ];
  const vectors = cases.map(([name, call, args, built]) => {
    const { programId, data, keys } = built.instruction ?? built.getInstructions()[0];
    return { name, call, args, program: programId, data: kit.hex(data), accounts: keys.map((k) => [k.pubkey, k.isSigner, k.isWritable]) };
  });
  return { vectors, discriminators: discriminators(kit) };
}
