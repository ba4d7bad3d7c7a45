import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as pause } from 'node:timers/promises'
import { isSheepfsError } from '../../src/errors.ts'
import { HolderTurns } from '../../src/sheep/holder-turns.ts'
import { dataOid, type ObjectId } from '../../src/wire/object-id.ts'
import { toTestTopology } from './model-cluster.ts'
import { quietOutage } from './quiet-outage.ts'
import { FAST } from './staged-cluster.ts'

const COPIES = 2
const MANY = 60
const MOST = 24
const LIMIT = { timeout: 20_000 }
const [HOME, STOPPED, OTHER] = [7001, 7002, 7003]
const topology = toTestTopology([HOME, STOPPED, OTHER].map((port, zone) => ({ port, zone })))

/** An object that these hold, another one for each number. */
function heldBy(ports: readonly number[], number = 0): ObjectId {
  for (let index = 0; ; index++) {
    const oid = dataOid(7, index)
    const holders = topology.holders(oid, COPIES).map(({ port }) => port)
    if (holders.every((port) => ports.includes(port)) && number-- === 0) return oid
  }
}

/** Changes that are answered when the test says so. */
function staged() {
  const home = { host: '127.0.0.1', port: HOME }
  const turns = new HolderTurns({ known: { topology }, home: () => home })
  const outage = quietOutage(FAST)
  const sent: { readonly oid: ObjectId; readonly answer: () => void }[] = []
  const change = (oid: ObjectId, changed: { copies?: number } = { copies: COPIES }): Promise<void> =>
    outage.withPatience({}, (patience) =>
      turns.pass({ oid, ...changed }, patience, () => new Promise<void>((answer) => sent.push({ oid, answer }))),
    )
  return { outage, sent, change }
}

test('changes that wait for a sheep which does not answer leave threads of home to others', LIMIT, async () => {
  const { sent, change } = staged()
  const [first, ...rest] = Array.from({ length: MANY }, (_, number) => heldBy([HOME, STOPPED], number))
  assert.ok(first)
  const objects = [first, ...rest]
  const stuck = objects.map((oid) => change(oid))
  await pause()
  assert.equal(sent.length, MOST)
  const others = [change(heldBy([HOME, OTHER])), change(first, {})]
  await pause()
  assert.equal(sent.length, MOST + others.length)
  for (const { answer } of sent.splice(MOST)) answer()
  await Promise.all(others)
  for (let answered = 0; answered < MANY; answered++) {
    sent[answered]?.answer()
    await pause()
    assert.equal(sent.length, Math.min(MANY, answered + 1 + MOST))
  }
  await Promise.all(stuck)
  assert.deepEqual(
    sent.map(({ oid }) => oid),
    objects,
    'in the order in which they came',
  )
})

test('who has waited as long as it may fails with the name of the sheep, and takes no turn away', LIMIT, async () => {
  const { outage, sent, change } = staged()
  const oid = heldBy([HOME, STOPPED])
  const stuck = Array.from({ length: MOST }, () => change(oid))
  outage.timeoutMs = 20
  const isOver = (error: unknown): boolean =>
    isSheepfsError(error, 'unreachable') && error.message === 'sheep 127.0.0.1:7002 has not answered earlier changes'
  await Promise.all(Array.from({ length: MOST }, () => assert.rejects(change(oid), isOver)))
  for (const { answer } of sent) answer()
  await Promise.all(stuck)
  const next = Array.from({ length: MOST }, () => change(oid))
  await pause()
  assert.equal(sent.length, 2 * MOST)
  for (const { answer } of sent) answer()
  await Promise.all(next)
})

test('a change of what two sheep have to take part in waits for both, and holds up neither', LIMIT, async () => {
  const { sent, change } = staged()
  const stuck = Array.from({ length: MOST }, () => change(heldBy([HOME, STOPPED])))
  const both = Array.from({ length: MANY }, () => change(heldBy([STOPPED, OTHER])))
  const others = Array.from({ length: MOST }, () => change(heldBy([HOME, OTHER])))
  await pause()
  assert.equal(sent.length, 2 * MOST)
  while (sent.length > 0) {
    for (const { answer } of sent.splice(0)) answer()
    await pause()
  }
  await Promise.all([...stuck, ...both, ...others])
})
