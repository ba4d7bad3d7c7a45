import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { factsOf } from '../../src/tree/cluster-facts.ts'
import { ClusterTree } from '../../src/tree/cluster-tree.ts'
import { parseVolumeName } from '../../src/tree/volume-name.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { writeVdiSize } from '../../src/wire/object-ops.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { startSheep, type Sheep } from '../e2e/stage/sheep.ts'

const run = promisify(execFile)
const log = silentLogger()
const stage = new Stage()
const MB = 2 ** 20
let sheep: Sheep
let cluster: Cluster
let tree: ClusterTree

before(async () => {
  sheep = await startSheep(stage)
  cluster = new Cluster({ world: realWorld, addresses: [sheep.address], log })
  await cluster.open()
  tree = new ClusterTree({
    clock: realWorld.clock,
    facts: factsOf(cluster),
    openVolume: (spec) => openVolume(cluster, spec, { log }),
    owner: { uid: 0, gid: 0 },
    cache: { pageCache: false },
    log,
  })
})

after(async () => {
  await tree.close()
  cluster.close()
  await stage.close()
})

async function cat(directory: string, name: string): Promise<string> {
  const node = tree.root.lookup(directory)
  const file = node?.kind === 'directory' ? node.lookup(name) : undefined
  if (file?.kind !== 'file') assert.fail(`${directory}/${name} is not a file`)
  const handle = await file.open({ write: false })
  const into = new Uint8Array(MB)
  const length = await handle.read(0, into)
  await handle.close()
  return Buffer.from(into.subarray(0, length)).toString('latin1')
}

/** What dog prints; undefined where there is no dog. */
async function dog(...args: readonly string[]): Promise<string | undefined> {
  const { host, port } = sheep.address
  try {
    const { stdout } = await run('dog', [...args, '-a', host, '-p', String(port)], { encoding: 'latin1' })
    return stdout
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** A cluster that others use too may change between two looks at it. */
const LOOKS = 5

for (const [directory, name] of [
  ['cluster', 'info'],
  ['node', 'list'],
  ['node', 'info'],
  ['vdi', 'list'],
] as const) {
  test(`${directory}/${name} of a sheep is what dog prints`, { timeout: 60_000 }, async (t) => {
    await sheep.createVdi(64 * MB)
    let expected: string | undefined
    let text = ''
    for (let look = 0; look < LOOKS && (look === 0 || text !== expected); look++) {
      expected = await dog(directory, name)
      text = await cat(directory, name)
    }
    if (expected === undefined) t.diagnostic('there is no dog here to compare with')
    else assert.equal(text, expected)
    assert.match(text, /^(.+\n)+/)
  })
}

test('a VDI of a sheep is attached, listed, written, read and detached', { timeout: 60_000 }, async () => {
  const name = parseVolumeName(await sheep.createVdi(64 * MB, { name: `sheepfs test/${process.pid}` }))
  assert.equal(name.text, `sheepfs test%2F${process.pid}`)
  const { file } = await tree.attachments.attach(name)
  const handle = await file.open({ write: true })
  const data = Buffer.from('over the border of two objects')
  assert.equal(await handle.write(4 * MB - 10, data), data.length)
  const into = new Uint8Array(data.length)
  assert.equal(await handle.read(4 * MB - 10, into), data.length)
  assert.deepEqual(Buffer.from(into), data)
  await handle.sync()
  assert.equal((await file.attributes()).allocated, 8 * MB)
  await handle.close()
  assert.match(await cat('vdi', 'list'), new RegExp(` sheepfs test/${process.pid} .* 64 MB  8\\.0 MB `))
  await tree.attachments.detach(name)
})

test('a VDI that somebody else has grown has its new size when it is opened', { timeout: 60_000 }, async () => {
  const name = parseVolumeName(await sheep.createVdi(64 * MB))
  const { file } = await tree.attachments.attach(name)
  await cluster.change(writeVdiSize(await sheep.vidOf(name.text), 96 * MB))
  await (await file.open({ write: false })).close()
  assert.equal((await file.attributes()).size, 96 * MB)
  await tree.attachments.detach(name)
})

test('the space of a tree is that of the stores', { timeout: 60_000 }, async () => {
  const { total, free } = await tree.space()
  assert.ok(total >= free && free > 0)
})
