// Writes the vectors that bubblegum/ is held to, with the official JavaScript client and nothing else.
//
//   node tests/contract/vectors/generate.mjs [DIRECTORY]     (default: beside this file)
//
// Inputs are written next to what the client made of them, so that the Python test needs no knowledge of this script.
// Bytes are hex, addresses base58, integers that may exceed 2^53 decimal strings. Nothing random: a second run writes
// the same files.
import { createRequire } from 'node:module';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { instructionVectors } from './instructions.mjs';
import { leafVectors, metadataVectors } from './metadata.mjs';
import { addressVectors, treeVectors } from './trees.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? here;
const packages = join(here, '../../js/node_modules');
const load = createRequire(join(packages, 'x.js'));

const { createUmi } = load('@metaplex-foundation/umi-bundle-defaults');
const umiCore = load('@metaplex-foundation/umi');
const { base58 } = load('@metaplex-foundation/umi/serializers');

const key = (byte) => umiCore.publicKey(base58.deserialize(new Uint8Array(32).fill(byte))[0]);
const payer = umiCore.createNoopSigner(key(1));
const bubblegum = load('@metaplex-foundation/mpl-bubblegum');
const core = load('@metaplex-foundation/mpl-core');

const toolbox = load('@metaplex-foundation/mpl-toolbox');
const umi = createUmi('http://127.0.0.1:1').use(bubblegum.mplBubblegum()).use(core.mplCore()).use(toolbox.mplToolbox());
umi.use(umiCore.signerIdentity(payer));
umi.rpc = { ...umi.rpc, getRent: async (bytes) => umiCore.lamports(BigInt(bytes) * 6960n + 890880n) };

const kit = {
  umi,
  bubblegum,
  core,
  compression: load('@metaplex-foundation/mpl-account-compression'),
  // This package names an entry point that it does not contain; the constants are all that is wanted of it.
  splConstants: load(join(packages, '@solana/spl-account-compression/dist/cjs/src/constants/index.js')),
  generated: join(packages, '@metaplex-foundation/mpl-bubblegum/dist/src/generated/instructions'),
  tokenMetadata: load('@metaplex-foundation/mpl-token-metadata'),
  toolbox,
  umiCore,
  serializers: load('@metaplex-foundation/umi/serializers'),
  key,
  payer,
  hex: (bytes) => Buffer.from(bytes).toString('hex'),
};

mkdirSync(target, { recursive: true });
const write = (name, vectors) =>
  writeFileSync(
    join(target, name),
    `${JSON.stringify(vectors, (_, value) => (typeof value === 'bigint' ? value.toString() : value), 1)}\n`
  );
write('metadata.json', metadataVectors(kit));
write('leaves.json', leafVectors(kit));
write('addresses.json', addressVectors(kit));
write('trees.json', treeVectors(kit));
write('instructions.json', await instructionVectors(kit));
