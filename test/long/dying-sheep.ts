/*
 * fio writes and verifies for three minutes while the nodes of a real cluster are killed and started again one after
 * another, then stopped for 40 seconds each. See README.md in this folder.
 */
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { textOf } from '../e2e/stage/program.ts'
import { startSheepfs } from '../e2e/stage/sheepfs.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { lacksNodes, RealNodes } from './stage/real-nodes.ts'
import { verifyWithFio } from './stage/verify-load.ts'

const VOLUME_SIZE = 128 * 2 ** 20
const SECONDS = 180
const DOWN_MS = 4_000
/** Until fio has had some time without anything amiss. */
const CALM_MS = 5_000
const STOPPED_MS = 40_000
const LIMIT_MS = 1_200_000

type Befall = (nodes: RealNodes, number: number) => Promise<void>

const killInTurn: Befall = async (nodes, number) => {
  await nodes.tell('kill', number)
  await pause(DOWN_MS)
  await nodes.tell('start', number)
}

const killWhenWhole: Befall = async (nodes, number) => {
  await killInTurn(nodes, number)
  await nodes.whole()
  await pause(CALM_MS)
}

const killAtOnce: Befall = async (nodes, number) => {
  await killInTurn(nodes, number)
  await pause(DOWN_MS)
}

const stopInTurn: Befall = async (nodes, number) => {
  await nodes.tell('stop', number)
  await pause(STOPPED_MS)
  await nodes.tell('continue', number)
  await pause(CALM_MS)
}

/** fio must see no error and find all it wrote while `befall` happens to one node after another. Resolves with what was told. */
async function outlive(stage: Stage, befall: Befall): Promise<string> {
  const nodes = await RealNodes.find()
  const cluster = await nodes.client(stage)
  const name = `sheepfs-test-${randomBytes(6).toString('hex')}`
  await createVdi(cluster, { name, size: VOLUME_SIZE })
  const sheepfs = await startSheepfs(stage, { sheep: { address: nodes.at(0) }, attach: [name] })
  const log = textOf(sheepfs.child.stderr)
  const load = verifyWithFio(sheepfs.volume(name), { size: VOLUME_SIZE, seconds: SECONDS })
  load.catch(() => undefined) // seen below
  const until = performance.now() + 1000 * SECONDS
  for (let turn = 0; performance.now() < until; turn++) await befall(nodes, turn % nodes.count)
  const writes = await load
  await sheepfs.stop()
  await deleteVdi(cluster, [{ name: Buffer.from(name) }], () => undefined)
  return `${writes}\n${log()}`
}

for (const [what, befall] of Object.entries({
  'killed and restarted, each when the former has recovered': killWhenWhole,
  'killed and restarted without waiting': killAtOnce,
  'stopped for 40 s': stopInTurn,
})) {
  test(`no error and no lost byte while each node is ${what}`, { skip: lacksNodes, timeout: LIMIT_MS }, async (t) => {
    const stage = new Stage()
    try {
      t.diagnostic(await outlive(stage, befall))
    } finally {
      await stage.close()
    }
  })
}
