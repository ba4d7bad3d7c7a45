/*
 * fio writes and verifies for three minutes while the nodes of a real cluster are killed and started again one after
 * another, then stopped for 40 seconds each. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { realWorld } from '../../src/daemon/real-world.ts'
import { SheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { parseAddress } from '../../src/sheep/address.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { surveyRecovery } from '../../src/sheep/recovery-survey.ts'
import { loadTopology } from '../../src/sheep/topology-load.ts'
import { SD_SHEEP_PROTO_VERS } from '../../src/wire/sd-proto.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { run, succeed, textOf } from '../e2e/stage/program.ts'
import { openConnection, useSheep } from '../e2e/stage/sheep.ts'
import { startSheepfs } from '../e2e/stage/sheepfs.ts'
import { Stage } from '../e2e/stage/stage.ts'

const { SHEEPFS_TEST_SHEEP: sheepText = '', SHEEPFS_TEST_NODE: command = '' } = process.env
const skip = sheepText === '' || command === '' ? 'needs SHEEPFS_TEST_SHEEP and SHEEPFS_TEST_NODE' : false
const NODES = 3
const VOLUME_SIZE = 128 * 2 ** 20
const SECONDS = 180
const DOWN_MS = 4_000
/** Until fio has had some time without anything amiss. */
const CALM_MS = 5_000
const STOPPED_MS = 40_000
const LIMIT_MS = 1_200_000

function node(verb: 'kill' | 'start' | 'stop' | 'continue', number: number): Promise<string> {
  return succeed(command, [verb, String(number)])
}

/** Whether all nodes are there and have nothing left to recover. */
async function isWhole(): Promise<boolean> {
  const [protoVer] = SD_SHEEP_PROTO_VERS
  const connection = await openConnection(parseAddress(sheepText))
  try {
    const topology = await loadTopology(connection, realWorld.clock, { protoVer, isInDiskMode: false })
    return (
      topology.nodes.length === NODES &&
      (await surveyRecovery(topology, { world: realWorld, protoVer, limitMs: CALM_MS })) === 'done'
    )
  } finally {
    connection.destroy(new SheepfsError('closed', 'asked'))
  }
}

async function killInTurn(number: number): Promise<void> {
  await node('kill', number)
  await pause(DOWN_MS)
  await node('start', number)
}

async function killWhenWhole(number: number): Promise<void> {
  await killInTurn(number)
  while (!(await isWhole().catch(() => false))) await pause(500)
  await pause(CALM_MS)
}

async function killAtOnce(number: number): Promise<void> {
  await killInTurn(number)
  await pause(DOWN_MS)
}

async function stopInTurn(number: number): Promise<void> {
  await node('stop', number)
  await pause(STOPPED_MS)
  await node('continue', number)
  await pause(CALM_MS)
}

/** Its client outlives what befalls the nodes, and removes the VDI at the end. */
async function withVdi<T>(work: (name: string) => Promise<T>): Promise<T> {
  const cluster = new Cluster({ world: realWorld, addresses: [parseAddress(sheepText)], log: silentLogger() })
  try {
    await cluster.open()
    const name = `sheepfs-test-${randomBytes(6).toString('hex')}`
    await createVdi(cluster, { name, size: VOLUME_SIZE })
    const result = await work(name)
    await deleteVdi(cluster, [{ name: Buffer.from(name) }], () => undefined)
    return result
  } finally {
    cluster.close()
  }
}

/** fio must see no error and find all it wrote while `befall` happens to one node after another. Resolves with what was told. */
async function outlive(stage: Stage, name: string, befall: (number: number) => Promise<void>): Promise<string> {
  const sheep = await useSheep(stage, parseAddress(sheepText))
  const sheepfs = await startSheepfs(stage, { sheep, attach: [name] })
  const log = textOf(sheepfs.child.stderr)
  const job = ['--name=verify', `--filename=${sheepfs.volume(name)}`, `--size=${VOLUME_SIZE}`, '--time_based']
  const how = ['--direct=1', '--ioengine=libaio', '--iodepth=16', '--rw=randwrite', '--bs=4k', `--runtime=${SECONDS}`]
  const check = [
    '--verify=crc32c',
    '--verify_backlog=512',
    '--verify_fatal=1',
    '--verify_state_save=0',
    '--verify_dump=0',
  ]
  const fio = run('fio', [...job, ...how, ...check], { limitMs: LIMIT_MS })
  const until = performance.now() + 1000 * SECONDS
  for (let number = 0; performance.now() < until; number = (number + 1) % NODES) await befall(number)
  const { status, stdout, stderr } = await fio
  assert.equal(status, 0, `${stdout}${stderr}`)
  await sheepfs.stop()
  return `${/write: .*/.exec(stdout)?.[0] ?? ''}\n${log()}`
}

for (const [what, befall] of Object.entries({
  'killed and restarted, each when the former has recovered': killWhenWhole,
  'killed and restarted without waiting': killAtOnce,
  'stopped for 40 s': stopInTurn,
})) {
  test(`no error and no lost byte while each node is ${what}`, { skip, timeout: LIMIT_MS }, async (context) => {
    const stage = new Stage()
    try {
      context.diagnostic(await withVdi((name) => outlive(stage, name, befall)))
    } finally {
      await stage.close()
    }
  })
}
