import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { silentLogger } from '../../../src/log.ts'
import { loadIndex } from '../../../src/volume/index/load-index.ts'
import { createVdi } from '../../../src/volume/manage/create-vdi.ts'
import { openVolume } from '../../../src/volume/open-volume.ts'
import { Inode, OLD_BTREE_COUNTER_OFFSET, parseInodeHeader, StorePolicy } from '../../../src/wire/inode.ts'
import { inodeOid } from '../../../src/wire/object-id.ts'
import { writeObject } from '../../../src/wire/object-ops.ts'
import { Opcode, Result } from '../../../src/wire/sd-proto.ts'
import type { Fate } from '../../sheep/scripted-sheep.ts'
import { clusterFor } from '../../sheep/staged-cluster.ts'
import { fatesFor } from '../staged-volume.ts'
import { lambCluster, readText, writeText } from '../manage/lamb-cluster.ts'

const LIMIT = { timeout: 60_000 }
const SPEC = { name: Buffer.from('h') }
const SIZE = 2 ** 43
const FAR = 2 ** 42 + 5

/** A cluster of 0.9 with one hyper volume. */
async function hyperCluster(t: TestContext) {
  const { cluster } = await lambCluster(t, { release: '0.9' })
  await createVdi(cluster, { name: 'h', size: SIZE, isHyper: true })
  return cluster
}

test('a hyper volume of 0.9 is written and read as one of 1.0', LIMIT, async (t) => {
  const cluster = await hyperCluster(t)
  await writeText(cluster, 'h', FAR, 'far away')
  assert.equal(await readText(cluster, SPEC, FAR, 8), 'far away')
})

test('a hyper volume whose inode came from 0.8 and was not converted is refused', LIMIT, async (t) => {
  const cluster = await hyperCluster(t)
  const open = async () => {
    const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
    await volume.close()
    return volume.vid
  }
  const inode = inodeOid(await open())
  const put = (offset: number, counter: number) =>
    cluster.change(writeObject(inode, offset, new Uint8Array(Uint32Array.of(counter).buffer)))
  await put(OLD_BTREE_COUNTER_OFFSET, 2)
  await assert.rejects(open(), { code: 'not-supported', message: /is one of sheepdog 0\.8: expected/ })
  await put(Inode.btreeCounter.offset, 2)
  await open()
})

test('a hyper volume of a cluster of 0.8 is refused, and nothing of it is touched', LIMIT, async (t) => {
  const { open, sheep } = await clusterFor(t)
  const [first] = sheep
  assert.ok(first)
  const nothing: Fate = { kind: 'refuse', result: Result.SUCCESS }
  const mismatch: Fate = { kind: 'refuse', result: Result.VER_MISMATCH }
  first.script = fatesFor(
    ({ opcode }) => opcode === Opcode.STAT_CLUSTER,
    mismatch,
    nothing,
    { kind: 'answer' },
    nothing,
  )
  const cluster = await open()
  const header = { ...parseInodeHeader(new Uint8Array(572)), vdiSize: SIZE, storePolicy: StorePolicy.BTREE }
  await assert.rejects(loadIndex(cluster, header), {
    code: 'not-supported',
    message: 'a hyper volume needs a cluster of sheepdog 0.9 or 1.0',
  })
  assert.deepEqual([first.count('READ_OBJ'), first.count('WRITE_OBJ')], [0, 0])
})
