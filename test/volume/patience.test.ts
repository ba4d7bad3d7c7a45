import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Clock } from '../../src/clock.ts'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import type { OutageState } from '../../src/sheep/outage.ts'
import { ArrayIndex } from '../../src/volume/index/array-index.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import type { Fate, ScriptedSheep } from '../sheep/scripted-sheep.ts'
import { isPublish } from '../sheep/sheep-rules.ts'
import { clusterFor, FAST } from '../sheep/staged-cluster.ts'
import { filled, OBJECT_SIZE, SPEC } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }
/** Far more than anything here takes, so that only the test lets it pass. */
const IO_TIMEOUT_MS = 1_000_000
/** Bytes. */
const ENTRY_SIZE = 4
/** What passes while a request is under way is no silence of the sheep. */
const NO_SILENCE = { deadlineMs: 1e9, shortestDeadlineMs: 1e9, silenceMs: 1e9, holderPatienceMs: 1e9 }
const REFUSED: Fate = { kind: 'refuse', result: Result.NETWORK_ERROR }

/** A volume whose clock the test can put forward. */
async function attached(context: TestContext) {
  const stage = await clusterFor(context)
  const [sheep] = stage.sheep as [ScriptedSheep]
  const vid = stage.model.createVdi('vdi', 8 * OBJECT_SIZE)
  const states: OutageState[] = []
  let passedMs = 0
  const clock: Clock = {
    ...realWorld.clock,
    after: (ms, run, options) => realWorld.clock.after(ms, run, options),
    now: () => realWorld.clock.now() + passedMs,
  }
  const cluster = await stage.open({
    world: { ...realWorld, clock },
    timing: { ...FAST, ...NO_SILENCE },
    ioTimeoutMs: IO_TIMEOUT_MS,
    onState: (state) => states.push(state),
  })
  const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
  const pass = (ms: number): void => {
    passedMs += ms
  }
  return { model: stage.model, sheep, volume, cluster, vid, states, pass }
}

test(
  'an index update that always fails in doubt ends with io_timeout, and is told meanwhile',
  LIMIT,
  async (context) => {
    const { sheep, volume, states, pass } = await attached(context)
    let tries = 0
    sheep.script = (request) => {
      if (!isPublish(request)) return { kind: 'answer' }
      pass(IO_TIMEOUT_MS / 10)
      return ++tries < 100 ? REFUSED : { kind: 'answer' }
    }
    await assert.rejects(volume.write(0, filled(10, 1)), { code: 'unreachable' })
    assert.ok(tries <= 11, `${tries} tries`)
    const [first, ...others] = states
    assert.equal(first?.kind, 'waiting')
    assert.deepEqual(
      others.map(({ kind }) => kind),
      ['serving'],
    )
  },
)

test('all that a write has to wait for counts towards io_timeout', LIMIT, async (context) => {
  const { sheep, volume, pass } = await attached(context)
  let creates = 0
  let publishes = 0
  sheep.script = (request) => {
    if (request.opcode === Opcode.CREATE_AND_WRITE_OBJ && creates++ === 0) {
      pass(0.9 * IO_TIMEOUT_MS)
      return REFUSED
    }
    if (!isPublish(request)) return { kind: 'answer' }
    if (publishes++ === 0) pass(0.2 * IO_TIMEOUT_MS)
    return publishes < 10 ? REFUSED : { kind: 'answer' }
  }
  await assert.rejects(volume.write(0, filled(10, 1)), { code: 'unreachable' })
  assert.equal(creates, 2)
  assert.equal(publishes, 1)
})

test(
  'who began later waits on when he whose index update goes with his has waited long enough',
  LIMIT,
  async (context) => {
    const { sheep, cluster, pass, vid } = await attached(context)
    const index = await ArrayIndex.load(cluster, { vid, copies: 1 }, 8)
    const updates: number[] = []
    sheep.script = (request) => {
      if (!isPublish(request)) return { kind: 'answer' }
      updates.push(request.payload.length / ENTRY_SIZE)
      if (updates.length === 1) pass(0.2 * IO_TIMEOUT_MS)
      return updates.length < 3 ? REFUSED : { kind: 'answer' }
    }
    await cluster.withPatience(undefined, async (elder) => {
      pass(0.9 * IO_TIMEOUT_MS)
      await cluster.withPatience(undefined, async (younger) => {
        const published = [index.publish(0, vid, elder), index.publish(1, vid, younger)]
        const outcomes = await Promise.allSettled(published)
        assert.deepEqual(
          outcomes.map(({ status }) => status),
          ['rejected', 'fulfilled'],
        )
      })
    })
    assert.deepEqual(updates, [2, 1, 1])
    assert.equal(await index.owner(1), vid)
    assert.equal(await index.owner(0), 0, 'nobody has executed it')
  },
)

test(
  'the wait for the removal of what was discarded ends with io_timeout, and nothing is created',
  LIMIT,
  async (context) => {
    const { model, sheep, volume, vid, pass } = await attached(context)
    model.removalDelayMs = () => IO_TIMEOUT_MS
    await volume.write(0, filled(OBJECT_SIZE, 1))
    await volume.zero(0, OBJECT_SIZE)
    sheep.script = ({ opcode, dataLength }) => {
      if (opcode === Opcode.READ_OBJ && dataLength === 1) pass(IO_TIMEOUT_MS)
      return { kind: 'answer' }
    }
    await assert.rejects(volume.write(0, filled(10, 2)), { code: 'unreachable' })
    assert.equal(sheep.count('CREATE_AND_WRITE_OBJ'), 1)
    assert.equal(model.entry(vid, 0), 0)
  },
)
