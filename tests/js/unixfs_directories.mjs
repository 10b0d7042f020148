// Writes tests/contract/vectors/unixfs_directories.json: directories as the JavaScript UnixFS importer makes them.
//
//   node tests/js/unixfs_directories.mjs > tests/contract/vectors/unixfs_directories.json
//
// A file's bytes are SHAKE256(its path) of the given length, which Python's hashlib makes alike.
import { createHash } from 'node:crypto'
import { importer } from 'ipfs-unixfs-importer'

const numbered = (count, suffix = '.json') =>
  Array.from({ length: count }, (_, index) => ({ path: `${index}${suffix}`, size: 200 + index }))

const TREES = {
  one: [{ path: '0.json', size: 10 }],
  order: ['b', 'a', 'B', 'ab', 'a.b', 'Ж', 'é', 'z', '10', '9', '\u{1F306}', '\uFF5E'].map((path, size) => ({ path, size })),
  'large files': [{ path: 'a.png', size: 300_000 }, { path: 'b.png', size: 0 }, { path: 'c', size: 1_000_003 }],
  nested: [{ path: 'a/b/c.json', size: 5 }, { path: 'a/d.json', size: 6 }, { path: 'e.json', size: 7 }],
  ten: numbered(10),
  thousand: numbered(1000)
}
const PROFILES = { v1: { cidVersion: 1, rawLeaves: true }, v0: { cidVersion: 0, rawLeaves: false } }

function fileBytes (path, size) {
  return size === 0 ? Buffer.alloc(0) : createHash('shake256', { outputLength: size }).update(path).digest()
}

async function run (name, files, profile) {
  const blockstore = { put: async (cid) => cid }
  const source = files.map(({ path, size }) => ({ path: `root/${path}`, content: fileBytes(path, size) }))
  let root
  for await (const entry of importer(source, blockstore, { ...PROFILES[profile], reduceSingleLeafToSelf: true })) {
    root = entry
  }
  return { name, profile, files, cid: root.cid.toString(), dagSize: Number(root.size) }
}

const cases = []
for (const [name, files] of Object.entries(TREES)) {
  for (const profile of Object.keys(PROFILES)) cases.push(await run(name, files, profile))
}
process.stdout.write(JSON.stringify({ generator: 'ipfs-unixfs-importer 17.1.1', cases }) + '\n')
