// Metadata of both versions at its edges, its bytes and hashes, and the leaves and events that carry them.

const LONG_URI = `https://example.com/${'m'.repeat(180)}`;
const URI = 'https://example.com/m/1.json';

/** The JSON form of metadata (options are null or the value) that both this script and the Python test read. */
const base = {
  name: 'Booth #1',
  symbol: 'BTH',
  uri: URI,
  sellerFeeBasisPoints: 500,
  primarySaleHappened: false,
  isMutable: true,
  tokenStandard: 0,
  creators: [],
};
export const baseV1 = { ...base, editionNonce: null, collection: null, uses: null, tokenProgramVersion: 0 };
export const baseV2 = { ...base, collection: null };

export function creators(key, count) {
  const shares = { 0: [], 1: [100], 2: [50, 50], 3: [34, 33, 33], 4: [25, 25, 25, 25], 5: [96, 1, 1, 1, 1] }[count];
  return shares.map((share, i) => ({ address: key(20 + i), verified: i === 0 && count > 3, share }));
}

function commonCases(key) {
  return {
    plain: {},
    'everything empty': { name: '', symbol: '', uri: '', sellerFeeBasisPoints: 0 },
    'longest fields': { name: 'N'.repeat(32), symbol: 'S'.repeat(10), uri: LONG_URI, sellerFeeBasisPoints: 10000 },
    'over the limits': { name: 'N'.repeat(33), symbol: 'S'.repeat(11), uri: `${LONG_URI}x`, sellerFeeBasisPoints: 10001 },
    'accents': { name: 'Œuvre d’été nº 7', symbol: 'ÉTÉ' },
    'Japanese, 30 bytes': { name: '日本語の作品番号一', symbol: '作品' },
    'emoji of several code points': { name: '👩‍🎨🎟️ №1', symbol: '🎟️' },
    'right to left': { name: 'رقم ١ — עברית' },
    'combining accent, not normalised': { name: 'e\u0301 and \u00e9' },
    'control characters and NUL': { name: 'a\u0000b\tc\n' },
    'sold and frozen': { primarySaleHappened: true, isMutable: false },
    'no token standard': { tokenStandard: null },
    'another token standard': { tokenStandard: 3 },
    '0 creators': { creators: creators(key, 0) },
    '1 creator': { creators: creators(key, 1) },
    '2 creators': { creators: creators(key, 2) },
    '3 creators': { creators: creators(key, 3) },
    '4 creators, one verified': { creators: creators(key, 4) },
    '5 creators, one verified': { creators: creators(key, 5) },
    'a creator without a share': { creators: [{ address: key(20), verified: true, share: 0 }, { address: key(21), verified: false, share: 100 }] },
  };
}

export function metadataCases({ key }) {
  const v1 = {
    ...commonCases(key),
    'collection, unverified': { collection: { verified: false, key: key(4) } },
    'collection, verified': { collection: { verified: true, key: key(4) } },
    'edition nonce 0': { editionNonce: 0 },
    'edition nonce 255': { editionNonce: 255 },
    'uses, single': { uses: { useMethod: 2, remaining: '1', total: '1' } },
    'uses, multiple, largest': { uses: { useMethod: 1, remaining: '18446744073709551615', total: '18446744073709551615' } },
    'token 2022': { tokenProgramVersion: 1 },
    'everything at once': {
      name: 'é'.repeat(16), symbol: 'ß'.repeat(5), uri: LONG_URI, sellerFeeBasisPoints: 9999, primarySaleHappened: true,
      isMutable: false, editionNonce: 7, tokenStandard: 1, collection: { verified: true, key: key(255) },
      uses: { useMethod: 0, remaining: '3', total: '9' }, tokenProgramVersion: 1, creators: creators(key, 5),
    },
  };
  const v2 = {
    ...commonCases(key),
    collection: { collection: key(4) },
    'royalty inherited from the collection': { collection: key(4), sellerFeeBasisPoints: 65535 },
    'everything at once': {
      name: 'é'.repeat(16), symbol: 'ß'.repeat(5), uri: LONG_URI, sellerFeeBasisPoints: 9999, primarySaleHappened: true,
      isMutable: false, tokenStandard: 1, collection: key(255), creators: creators(key, 5),
    },
  };
  const fill = (defaults, cases) => Object.entries(cases).map(([name, input]) => ({ name, input: { ...defaults, ...input } }));
  return { v1: fill(baseV1, v1), v2: fill(baseV2, v2) };
}

/** The client's own argument object for the JSON form. */
export function toClient({ umiCore: { some, none } }, input) {
  const option = (value) => (value === null ? none() : some(value));
  const out = { ...input, tokenStandard: option(input.tokenStandard), collection: option(input.collection) };
  if ('uses' in input) {
    const { uses } = input;
    out.uses = option(uses && { ...uses, remaining: BigInt(uses.remaining), total: BigInt(uses.total) });
    out.editionNonce = option(input.editionNonce);
  }
  return out;
}

export function metadataVectors(kit) {
  const { bubblegum, hex } = kit;
  const { v1, v2 } = metadataCases(kit);
  const make = (cases, serializer, dataHash) =>
    cases.map(({ name, input }) => {
      const metadata = toClient(kit, input);
      return {
        name,
        input,
        bytes: hex(serializer.serialize(metadata)),
        dataHash: hex(dataHash(metadata)),
        creatorHash: hex(bubblegum.hashMetadataCreators(metadata.creators)),
      };
    });
  return {
    v1: make(v1, bubblegum.getMetadataArgsSerializer(), bubblegum.hashMetadataData),
    v2: make(v2, bubblegum.getMetadataArgsV2Serializer(), bubblegum.hashMetadataDataV2),
  };
}

const APPLICATION_DATA = (compression, bytes) => ({
  __kind: 'ApplicationData',
  fields: [{ __kind: 'V1', fields: [{ applicationData: bytes }] }],
});

function leafVector(kit, version, { name, input }) {
  const { umi, bubblegum, compression, serializers, hex } = kit;
  const metadata = toClient(kit, input.metadata);
  const leafIndex = BigInt(input.nonce);
  const { merkleTree, owner } = input;
  const delegate = input.delegate ?? owner;
  const fields = {
    id: bubblegum.findLeafAssetIdPda(umi, { merkleTree, leafIndex })[0],
    owner,
    delegate,
    nonce: leafIndex,
    creatorHash: bubblegum.hashMetadataCreators(metadata.creators),
  };
  const common = { merkleTree, owner, delegate, leafIndex, metadata };
  let leaf;
  let schema;
  if (version === 1) {
    leaf = bubblegum.hashLeaf(umi, common);
    schema = { __kind: 'V1', ...fields, dataHash: bubblegum.hashMetadataData(metadata) };
  } else {
    const assetData = input.assetData === null ? undefined : Buffer.from(input.assetData, 'hex');
    leaf = bubblegum.hashLeafV2(umi, { ...common, assetData, flags: input.flags });
    schema = {
      __kind: 'V2',
      ...fields,
      dataHash: bubblegum.hashMetadataDataV2(metadata),
      collectionHash: bubblegum.hashCollection(input.metadata.collection ?? '11111111111111111111111111111111'),
      assetDataHash: bubblegum.hashAssetData(assetData),
      flags: input.flags,
    };
  }
  // The interface's LeafSchemaEvent: event type, version, schema, leaf hash.
  const event = serializers.mergeBytes([
    bubblegum.getBubblegumEventTypeSerializer().serialize(bubblegum.BubblegumEventType.LeafSchemaEvent),
    bubblegum.getVersionSerializer().serialize(version === 1 ? bubblegum.Version.V1 : bubblegum.Version.V2),
    bubblegum.getLeafSchemaSerializer().serialize(schema),
    leaf,
  ]);
  const noop = compression.getAccountCompressionEventSerializer().serialize(APPLICATION_DATA(compression, event));
  return { name, input, assetId: fields.id, hash: hex(leaf), noopData: hex(noop) };
}

export function leafVectors(kit) {
  const { key } = kit;
  const common = { merkleTree: key(2), owner: key(3), delegate: null, nonce: '0' };
  const cases = {
    'first leaf': {},
    'a delegate': { delegate: key(9), nonce: '5' },
    'nonce beyond 32 bits': { nonce: '4294967296' },
    'largest nonce': { nonce: '18446744073709551615' },
  };
  const v2 = {
    ...cases,
    collection: { metadata: { ...baseV2, collection: key(4) } },
    'asset data': { assetData: Buffer.from('{"a":"é"}').toString('hex') },
    'empty asset data': { assetData: '' },
    'frozen by the owner': { flags: 1 },
    'frozen by the permanent delegate': { flags: 2 },
    soulbound: { flags: 4 },
    'all flags': { flags: 7, metadata: { ...baseV2, creators: creators(key, 5), collection: key(4) } },
  };
  const make = (version, defaults, all) =>
    Object.entries(all).map(([name, input]) => leafVector(kit, version, { name, input: { ...defaults, ...input } }));
  return {
    v1: make(1, { ...common, metadata: { ...baseV1, creators: creators(key, 1) } }, cases),
    v2: make(2, { ...common, metadata: { ...baseV2, creators: creators(key, 1) }, assetData: null, flags: 0 }, v2),
  };
}
