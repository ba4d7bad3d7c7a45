import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { SheepfsError } from '../../src/errors.ts'
import { Missing, type Waits } from '../../src/volume/missing.ts'
import { kindOf } from '../../src/wire/object-id.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { isPublish } from '../sheep/sheep-rules.ts'
import { quietOutage } from '../sheep/quiet-outage.ts'
import { FAST } from '../sheep/staged-cluster.ts'
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

test('who waits for what is missing hears at once that it is another cluster', LIMIT, async () => {
  const cluster: { failure?: SheepfsError } = {}
  let looks = 0
  const waits: Waits = {
    clock: realWorld.clock,
    timing: FAST,
    ioTimeoutMs: Infinity,
    absentMembers: () => Promise.resolve(['127.0.0.1:7000']),
    look: () => {
      looks++
      return Promise.resolve()
    },
    get failure() {
      return cluster.failure
    },
  }
  const missing = new Missing(waits, quietOutage(FAST).patience())
  const lack = new SheepfsError('io', 'missing')
  await missing.wait(lack)
  await missing.wait(lack)
  assert.equal(looks, 1)
  cluster.failure = new SheepfsError('stale', 'another cluster')
  await assert.rejects(missing.wait(lack), cluster.failure)
})

test('while a node is away that may have it, that is what is waited for', LIMIT, async () => {
  const timing = { ...FAST, missingLimitMs: FAST.missingPauseMs }
  const outage = quietOutage(timing)
  outage.timeoutMs = 0
  const waits: Waits = {
    clock: realWorld.clock,
    timing,
    ioTimeoutMs: Infinity,
    absentMembers: () => Promise.resolve(['127.0.0.1:7000']),
    look: () => Promise.resolve(),
    failure: undefined,
  }
  const missing = new Missing(waits, outage.patience())
  const lack = new SheepfsError('io', 'missing')
  await missing.wait(lack)
  await assert.rejects(missing.wait(lack), {
    code: 'unreachable',
    message: 'missing; sheep 127.0.0.1:7000, which may have it, is away',
  })
})
