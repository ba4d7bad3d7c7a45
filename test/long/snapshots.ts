/*
 * Snapshots by dog while fio allocates and verifies: nothing is lost, and each snapshot of a frozen file system is whole.
 * Needs dog in the PATH. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { attachLoop, mountDevice } from '../e2e/stage/loop.ts'
import { succeed } from '../e2e/stage/program.ts'
import { startSheep, type Sheep } from '../e2e/stage/sheep.ts'
import { startSheepfs } from '../e2e/stage/sheepfs.ts'
import { Stage } from '../e2e/stage/stage.ts'

const MIB = 2 ** 20
const VOLUME_SIZE = 1024 * MIB
const SNAPSHOTS = 20
const PART_SIZE = 32 * MIB
const PAUSE_MS = 1000
const LIMIT_MS = 1_800_000

let stage: Stage
let sheep: Sheep

before(async () => {
  stage = new Stage()
  sheep = await startSheep(stage)
})
after(() => stage.close())

async function snapshot(name: string, tag: string): Promise<void> {
  const { host, port } = sheep.address
  await succeed('dog', ['vdi', 'snapshot', '-s', tag, name, '-a', host, '-p', String(port)])
}

/** Runs `round` again and again until `work` is done; both must succeed. Resolves with the number of rounds. */
async function during(work: Promise<void>, round: (number: number) => Promise<unknown>): Promise<number> {
  const progress = { isDone: false }
  const ended = work.finally(() => {
    progress.isDone = true
  })
  ended.catch(() => undefined) // seen below
  let rounds = 0
  while (!progress.isDone) await round(rounds++)
  await ended
  return rounds
}

function fio(...where: string[]): Promise<string> {
  const how = ['--direct=1', '--ioengine=libaio', '--iodepth=16', '--rw=randwrite', '--bs=16k']
  const check = [
    '--verify=crc32c',
    '--verify_backlog=64',
    '--verify_fatal=1',
    '--verify_state_save=0',
    '--verify_dump=0',
    `--size=${PART_SIZE}`,
  ]
  return succeed('fio', ['--name=verify', ...where, ...how, ...check], { limitMs: LIMIT_MS })
}

const tags = Array.from({ length: SNAPSHOTS }, (_, number) => `s${number + 1}`)

test('20 snapshots of a volume that is being allocated lose nothing', { timeout: LIMIT_MS }, async (context) => {
  const name = await sheep.createVdi(VOLUME_SIZE)
  const sheepfs = await startSheepfs(stage, { sheep, attach: [name] })
  const parts = VOLUME_SIZE / PART_SIZE
  const snapshots = async (): Promise<void> => {
    for (const tag of tags) {
      await pause(PAUSE_MS)
      await snapshot(name, tag)
    }
  }
  const rounds = await during(snapshots(), (round) =>
    fio(`--filename=${sheepfs.volume(name)}`, `--offset=${(round % parts) * PART_SIZE}`),
  )
  context.diagnostic(`${rounds} rounds of ${PART_SIZE / MIB} MiB`)
  await sheepfs.stop()
})

test('each snapshot of a frozen ext4 is a clean file system', { timeout: LIMIT_MS }, async (context) => {
  const name = await sheep.createVdi(VOLUME_SIZE)
  const sheepfs = await startSheepfs(stage, { sheep, attach: [name] })
  const { device } = await attachLoop(stage, sheepfs.volume(name))
  await succeed('mkfs.ext4', ['-q', device])
  const directory = await mountDevice(stage, device)
  const frozenSnapshots = async (): Promise<void> => {
    for (const tag of tags) {
      await pause(PAUSE_MS)
      await succeed('fsfreeze', ['--freeze', directory])
      await snapshot(name, tag).finally(() => succeed('fsfreeze', ['--unfreeze', directory]))
    }
  }
  const files = Math.floor(VOLUME_SIZE / PART_SIZE / 2)
  const rounds = await during(frozenSnapshots(), (round) => fio(`--filename=${directory}/${round % files}`))
  context.diagnostic(`${rounds} rounds of ${PART_SIZE / MIB} MiB`)
  const attach = tags.map((tag) => `${name}@${tag}`)
  const reader = await startSheepfs(stage, { sheep, attach })
  for (const volume of attach) {
    const report = await succeed('e2fsck', ['-f', '-n', reader.volume(volume)], { limitMs: LIMIT_MS })
    assert.doesNotMatch(report, /errors|not cleanly|recover/i)
  }
})
