import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { surveyRecovery } from '../../src/sheep/recovery-survey.ts'
import { loadTopology } from '../../src/sheep/topology-load.ts'
import { getClusterDefault } from '../../src/wire/info-ops.ts'
import { Opcode, Result, SD_SHEEP_PROTO_VERS } from '../../src/wire/sd-proto.ts'
import { openBriefly } from '../../src/sheep/brief-connection.ts'
import { SheepfsError } from '../../src/errors.ts'
import { clusterFor } from './staged-cluster.ts'
import type { Script, ScriptedSheep } from './scripted-sheep.ts'

const LIMIT = { timeout: 20_000 }
const [PROTO_VER] = SD_SHEEP_PROTO_VERS
const LIMIT_MS = 200

async function staged(context: TestContext) {
  const { model, sheep } = await clusterFor(context, 3)
  const [first, second] = sheep as [ScriptedSheep, ScriptedSheep]
  const connection = await openBriefly(realWorld, first.address, LIMIT_MS)
  const topology = await loadTopology(connection, realWorld.clock, { protoVer: PROTO_VER, isInDiskMode: false })
  connection.destroy(new SheepfsError('closed', 'asked'))
  return {
    model,
    first,
    second,
    survey: () => surveyRecovery(topology, { world: realWorld, protoVer: PROTO_VER, limitMs: LIMIT_MS }),
  }
}

test('a cluster has recovered when every sheep says so', LIMIT, async (context) => {
  const { model, second, survey } = await staged(context)
  assert.equal(await survey(), 'done')
  const state = new Uint8Array(24)
  state[0] = 1
  const answerWith = (phase: number): void => {
    second.script = ({ opcode }) => {
      if (opcode !== Opcode.STAT_RECOVERY) return { kind: 'answer' }
      return { kind: 'refuse', result: Result.SUCCESS, payload: state.with(4, phase) }
    }
  }
  answerWith(1)
  assert.equal(await survey(), 'listed')
  answerWith(0)
  assert.equal(await survey(), 'unknown')
  model.epoch++
  assert.equal(await survey(), 'unknown')
})

test('sheep that do not answer are told apart', LIMIT, async (context) => {
  const { second, survey } = await staged(context)
  second.isStopped = true
  assert.equal(await survey(), 'done, some unheard')
  await second.stop()
  assert.equal(await survey(), 'done, some unheard')
})

test('sheep that do not know the question count as having recovered', LIMIT, async (context) => {
  const { first, second, survey } = await staged(context)
  first.script = () => ({ kind: 'refuse', result: Result.INVALID_PARMS })
  second.script = () => ({ kind: 'refuse', result: Result.VER_MISMATCH })
  assert.equal(await survey(), 'done')
  first.script = () => ({ kind: 'refuse', result: Result.WAIT_FOR_JOIN })
  assert.equal(await survey(), 'unknown')
})

/** Nodes come or go between the first answer to this question and its sending. */
function changingMeanwhile(opcode: number, change: () => void): Script {
  let isOver = false
  return (request) => {
    if (isOver || request.opcode !== opcode) return { kind: 'answer' }
    isOver = true
    setImmediate(change)
    return { kind: 'answer', afterMs: 20 }
  }
}

test('an answer made before nodes came or went, and sent after, does not count', LIMIT, async (context) => {
  const { model, sheep } = await clusterFor(context, 1)
  const [only] = sheep as [ScriptedSheep]
  const connection = await openBriefly(realWorld, only.address, LIMIT_MS)
  const topology = await loadTopology(connection, realWorld.clock, { protoVer: PROTO_VER, isInDiskMode: false })
  connection.destroy(new SheepfsError('closed', 'asked'))
  model.epoch = topology.epoch - 1
  only.script = changingMeanwhile(Opcode.STAT_RECOVERY, () => {
    model.changeNodes(model.nodes, 10_000, () => 0)
  })
  assert.equal(await surveyRecovery(topology, { world: realWorld, protoVer: PROTO_VER, limitMs: LIMIT_MS }), 'unknown')
})

test('nor does such a node list', LIMIT, async (context) => {
  const { model, sheep } = await clusterFor(context, 2)
  const [first] = sheep as [ScriptedSheep]
  const connection = await openBriefly(realWorld, first.address, LIMIT_MS)
  await connection.exchange(getClusterDefault())
  first.script = changingMeanwhile(Opcode.GET_NODE_LIST, () => {
    model.changeNodes(model.nodes.slice(1), 0, () => 0)
  })
  const { epoch, nodes } = await loadTopology(connection, realWorld.clock, { protoVer: PROTO_VER, isInDiskMode: false })
  connection.destroy(new SheepfsError('closed', 'asked'))
  assert.deepEqual([epoch, nodes.length], [2, 1])
})
