import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/log.ts'
import { findVdi } from '../../src/volume/manage/find-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { TAG_OFFSET } from '../../src/wire/inode.ts'
import { inodeOid, kindOf, oidText } from '../../src/wire/object-id.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { attached, OBJECT_SIZE } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }

test('an inode that is missing when it is attached is told by name', LIMIT, async (context) => {
  const { stage, sheep, model } = await attached(context)
  model.createVdi('ghost', OBJECT_SIZE)
  sheep.script = ({ opcode, oid }) =>
    opcode === Opcode.READ_OBJ && kindOf(oid) === kindOf(inodeOid(1))
      ? { kind: 'refuse', result: Result.NO_OBJ }
      : { kind: 'answer' }
  const ghost = { name: new TextEncoder().encode('ghost') }
  await assert.rejects(openVolume(await stage.open(), ghost, { log: silentLogger() }), /VDI "ghost"/)
})

test(
  'a snapshot whose vid is made again while it is attached is not taken for the one that was meant',
  LIMIT,
  async (context) => {
    const { stage, sheep, model } = await attached(context)
    const name = new TextEncoder().encode('base')
    const tag = new TextEncoder().encode('tag')
    const vid = model.createVdi('base', OBJECT_SIZE)
    await model.snapshot('base', 'tag')
    const again = Buffer.from(model.read(inodeOid(vid), 0, 572) ?? [])
    again.fill(0, TAG_OFFSET, TAG_OFFSET + tag.length)
    let lookups = 0
    sheep.script = ({ opcode, oid }) => {
      if (opcode === Opcode.GET_VDI_INFO && lookups++ > 0) return { kind: 'refuse', result: Result.NO_TAG }
      const isInode = opcode === Opcode.READ_OBJ && oidText(oid) === oidText(inodeOid(vid))
      return isInode ? { kind: 'refuse', result: Result.SUCCESS, payload: again } : { kind: 'answer' }
    }
    const cluster = await stage.open()
    await assert.rejects(openVolume(cluster, { name, tag }, { log: silentLogger() }), { code: 'not-found' })
    lookups = 0
    assert.equal(await findVdi(cluster, { name, tag }), undefined)
  },
)
