// Addresses, account sizes, tree accounts, roots and proofs, as the official clients make them.

export function addressVectors({ umi, bubblegum, tokenMetadata, toolbox, umiCore, serializers, key }) {
  const trees = [key(2), key(0), key(255), key(77)];
  const nonces = ['0', '1', '255', '256', '4294967296', '18446744073709551615'];
  const { publicKey, string } = serializers;
  const text = (value) => string({ size: 'variable' }).serialize(value);
  return {
    treeConfig: trees.map((tree) => [tree, bubblegum.findTreeConfigPda(umi, { merkleTree: tree })[0]]),
    assetId: trees.flatMap((tree) =>
      nonces.map((nonce) => [tree, nonce, bubblegum.findLeafAssetIdPda(umi, { merkleTree: tree, leafIndex: BigInt(nonce) })[0]])
    ),
    metadata: trees.map((mint) => [mint, tokenMetadata.findMetadataPda(umi, { mint })[0]]),
    masterEdition: trees.map((mint) => [mint, tokenMetadata.findMasterEditionPda(umi, { mint })[0]]),
    collectionAuthorityRecord: trees.map((mint) => [
      mint,
      key(6),
      tokenMetadata.findCollectionAuthorityRecordPda(umi, { mint, collectionAuthority: key(6) })[0],
    ]),
    associatedToken: trees.map((mint) => [key(3), mint, toolbox.findAssociatedTokenPda(umi, { owner: key(3), mint })[0]]),
    bubblegumSigner: umi.eddsa.findPda(bubblegum.MPL_BUBBLEGUM_PROGRAM_ID, [text('collection_cpi')])[0],
    mplCoreCpiSigner: umi.eddsa.findPda(bubblegum.MPL_BUBBLEGUM_PROGRAM_ID, [text('mpl_core_cpi_signer')])[0],
    programs: {
      BUBBLEGUM: bubblegum.MPL_BUBBLEGUM_PROGRAM_ID,
      TOKEN_METADATA: tokenMetadata.MPL_TOKEN_METADATA_PROGRAM_ID,
    },
  };
}

function leaf(i) {
  return new Uint8Array(32).map((_, at) => (i * 31 + at * 7 + 1) & 0xff);
}

function proofVectors({ bubblegum, umiCore, hex }) {
  const asKey = (bytes) => umiCore.publicKey(bytes);
  return [
    [3, 0], [3, 1], [3, 2], [3, 5], [3, 8], [5, 1], [5, 19], [5, 32], [10, 33],
  ].map(([depth, count]) => {
    const leaves = Array.from({ length: count }, (_, i) => leaf(i));
    const keys = leaves.map(asKey);
    return {
      depth,
      leaves: leaves.map(hex),
      root: hex(umiCore.publicKeyBytes(bubblegum.getMerkleRoot(keys, depth))),
      proofs: keys.map((_, i) =>
        bubblegum.getMerkleProofAtIndex(keys, depth, i).map((node) => hex(umiCore.publicKeyBytes(node)))
      ),
    };
  });
}

function accountVectors({ compression, umiCore, key, hex }) {
  const [maxDepth, maxBufferSize] = [3, 8];
  const node = (i) => umiCore.publicKey(leaf(i));
  return [0, 2].map((canopyDepth) => {
    const value = {
      treeHeader: {
        __kind: 'V1', maxBufferSize, maxDepth, authority: key(6), creationSlot: 123456789012n,
        isBatchInitialized: canopyDepth > 0, padding: [0, 0, 0, 0, 0],
      },
      tree: {
        sequenceNumber: 11n,
        activeIndex: 3n,
        bufferSize: 8n,
        changeLogs: Array.from({ length: maxBufferSize }, (_, i) => ({
          root: node(i), pathNodes: [node(10 + i), node(20 + i), node(30 + i)], index: i % 5,
        })),
        rightMostPath: { proof: [node(40), node(41), node(42)], leaf: node(43), index: 5 },
      },
      canopy: Array.from({ length: 2 ** (canopyDepth + 1) - 2 }, (_, i) => node(50 + i)),
    };
    return { canopyDepth, value, data: hex(compression.getMerkleTreeAccountDataSerializer().serialize(value)) };
  });
}

function configVectors({ bubblegum, key, hex }) {
  return [
    { totalMintCapacity: '16384', numMinted: '0', isPublic: false, isDecompressible: 1, version: 0 },
    { totalMintCapacity: '1073741824', numMinted: '4294967297', isPublic: true, isDecompressible: 0, version: 1 },
  ].map((input) => {
    const value = { ...input, treeCreator: key(1), treeDelegate: key(2) };
    const data = bubblegum.getTreeConfigAccountDataSerializer().serialize({
      ...value, totalMintCapacity: BigInt(input.totalMintCapacity), numMinted: BigInt(input.numMinted),
    });
    return { value, data: hex(data) };
  });
}

function changeLogVectors({ compression, umiCore, key, hex }) {
  return [3, 14, 30].map((depth) => {
    const value = {
      id: key(2),
      path: Array.from({ length: depth + 1 }, (_, level) => ({ node: leaf(level), index: (1 << (depth - level)) + (5 >> level) })),
      seq: 4294967297n,
      index: 5,
    };
    const event = { __kind: 'ChangeLog', fields: [{ __kind: 'V1', fields: [value] }] };
    const path = value.path.map(({ node, index }) => ({ node: hex(node), index }));
    return { value: { ...value, path }, noopData: hex(compression.getAccountCompressionEventSerializer().serialize(event)) };
  });
}

export function treeVectors(kit) {
  const pairs = kit.splConstants.ALL_DEPTH_SIZE_PAIRS.map(({ maxDepth, maxBufferSize }) => [maxDepth, maxBufferSize]);
  return {
    pairs,
    sizes: pairs.flatMap(([depth, buffer]) =>
      [0, 1, 3, 10].filter((canopy) => canopy <= depth)
        .map((canopy) => [depth, buffer, canopy, kit.compression.getMerkleTreeSize(depth, buffer, canopy)])
    ),
    proofs: proofVectors(kit),
    accounts: accountVectors(kit),
    configs: configVectors(kit),
    changeLogs: changeLogVectors(kit),
  };
}
