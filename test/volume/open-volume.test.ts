import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/log.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { inodeOid, kindOf } from '../../src/wire/object-id.ts'
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
