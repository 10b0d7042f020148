// Writes tests/contract/vectors/unixfs.json: root CIDs and blocks as the JavaScript UnixFS importer makes them.
//
//   node tests/js/unixfs_vectors.mjs > tests/contract/vectors/unixfs.json
//
// Needs the npm package ipfs-unixfs-importer. A file's bytes are SHAKE256(seed) of the given length, which Python's
// hashlib makes alike, so that the vectors stay small.
import { createHash } from 'node:crypto'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'

const KIB = 1024
const DEFAULT_CHUNK = 256 * KIB
const DEFAULT_WIDTH = 174

const PROFILES = {
  v1: { cidVersion: 1, rawLeaves: true },
  v0: { cidVersion: 0, rawLeaves: false },
  'v1-dag-leaves': { cidVersion: 1, rawLeaves: false },
  'v0-raw-leaves': { cidVersion: 0, rawLeaves: true }
}

const sized = [0, 1, 5, 31, DEFAULT_CHUNK - 1, DEFAULT_CHUNK, DEFAULT_CHUNK + 1, 2 * DEFAULT_CHUNK, 1_000_003]
const cases = []
for (const [profile, options] of Object.entries(PROFILES)) {
  for (const size of sized) {
    cases.push({ profile, ...options, chunkSize: DEFAULT_CHUNK, width: DEFAULT_WIDTH, size })
  }
  // Small chunks and nodes reach the deep trees that would otherwise take gigabytes.
  for (const size of [15, 16, 17, 48, 49, 144, 145, 432, 433, 1300, 5000]) {
    cases.push({ profile, ...options, chunkSize: 16, width: 3, size })
  }
  cases.push({ profile, ...options, chunkSize: 1024 * KIB, width: 1024, size: 3_500_000 })
}
for (const profile of ['v1', 'v0']) {
  const full = DEFAULT_WIDTH * DEFAULT_CHUNK
  for (const size of [1024 * KIB, 10 * 1024 * KIB, full, full + 1, 50 * 1024 * KIB]) {
    cases.push({ profile, ...PROFILES[profile], chunkSize: DEFAULT_CHUNK, width: DEFAULT_WIDTH, size })
  }
}

function fileBytes (seed, size) {
  return size === 0 ? Buffer.alloc(0) : createHash('shake256', { outputLength: size }).update(seed).digest()
}

async function run (spec) {
  const seed = `unixfs ${spec.size}`
  const bytes = fileBytes(seed, spec.size)
  const blocks = []
  const blockstore = { put: async (cid, block) => { blocks.push(`${cid} ${block.byteLength}`); return cid } }
  const source = [{ content: (async function * () { if (bytes.length > 0) yield bytes })() }]
  let root
  for await (const entry of importer(source, blockstore, {
    cidVersion: spec.cidVersion,
    rawLeaves: spec.rawLeaves,
    reduceSingleLeafToSelf: true,
    wrapWithDirectory: false,
    chunker: fixedSize({ chunkSize: spec.chunkSize }),
    layout: balanced({ maxChildrenPerNode: spec.width })
  })) {
    root = entry
  }
  const distinct = [...new Set(blocks)].sort()
  return {
    ...spec,
    seed,
    cid: root.cid.toString(),
    dagSize: Number(root.size),
    blocks: distinct.length,
    blocksSha256: createHash('sha256').update(distinct.join('\n')).digest('hex')
  }
}

const results = []
for (const spec of cases) results.push(await run(spec))
process.stdout.write(JSON.stringify({ generator: 'ipfs-unixfs-importer 17.1.1', cases: results }, null, 1) + '\n')
