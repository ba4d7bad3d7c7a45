import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kindOf } from '../../src/wire/object-id.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { isPublish } from '../sheep/sheep-rules.ts'
import { attached, fatesFor, filled, OBJECT_SIZE } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }

test('objects and inodes that are missing for a moment are waited for', LIMIT, async (context) => {
  const { volume, sheep } = await attached(context)
  await volume.write(0, filled(10, 1))
  const missing = { kind: 'refuse', result: Result.NO_OBJ } as const
  sheep.script = fatesFor(({ opcode }) => opcode === Opcode.READ_OBJ, missing, missing, missing, missing)
  const into = new Uint8Array(10)
  await volume.read(0, into)
  assert.deepEqual(into, filled(10, 1))
  sheep.script = fatesFor(isPublish, missing)
  await volume.write(OBJECT_SIZE, filled(10, 2))
  await volume.close()
  await volume.close()
  await assert.rejects(volume.read(0, into), { code: 'stale' })
})

test('an object that stays away is an error, never zeros', LIMIT, async (context) => {
  const { volume, sheep } = await attached(context)
  await volume.write(0, filled(10, 1))
  sheep.script = ({ opcode, oid }) =>
    opcode === Opcode.READ_OBJ && kindOf(oid) === 'data'
      ? { kind: 'refuse', result: Result.NO_OBJ }
      : { kind: 'answer' }
  await assert.rejects(volume.read(0, new Uint8Array(10)), { code: 'io' })
})
