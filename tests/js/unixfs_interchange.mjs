// Reads and writes CAR files of UnixFS directories with the official packages, for test_unixfs_directories.py.
//
//   node unixfs_interchange.mjs read FILE.car                        the SHA-256 of every file, as JSON by path
//   node unixfs_interchange.mjs write FILE.car v0|v1 DIR PATH...      imports the files under DIR
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CarReader, CarWriter } from '@ipld/car'
import { exporter, recursive } from 'ipfs-unixfs-exporter'
import { importer } from 'ipfs-unixfs-importer'

async function read (file) {
  const car = await CarReader.fromBytes(await readFile(file))
  const [root] = await car.getRoots()
  const blockstore = {
    async * get (cid) {
      const block = await car.get(cid)
      if (block === undefined) throw new Error(`no block ${cid}`)
      yield block.bytes
    }
  }
  const digests = {}
  for await (const entry of recursive(root, blockstore)) {
    const node = await exporter(entry.cid, blockstore)
    if (node.type === 'directory') continue
    const hash = createHash('sha256')
    for await (const piece of node.content()) hash.update(piece)
    digests[entry.path.slice(root.toString().length + 1)] = hash.digest('hex')
  }
  process.stdout.write(JSON.stringify(digests))
}

async function write (file, profile, directory, ...paths) {
  const options = profile === 'v0' ? { cidVersion: 0, rawLeaves: false } : { cidVersion: 1, rawLeaves: true }
  const blocks = []
  const blockstore = { put: async (cid, bytes) => { blocks.push({ cid, bytes }); return cid } }
  const source = []
  for (const path of paths) source.push({ path: `root/${path}`, content: await readFile(join(directory, path)) })
  let root
  for await (const entry of importer(source, blockstore, { ...options, reduceSingleLeafToSelf: true })) root = entry
  const { writer, out } = CarWriter.create([root.cid])
  const written = pipeline(Readable.from(out), createWriteStream(file))
  for (const block of blocks) await writer.put(block)
  await writer.close()
  await written
}

const [mode, ...rest] = process.argv.slice(2)
await { read, write }[mode](...rest)
