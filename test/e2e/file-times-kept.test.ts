import assert from 'node:assert/strict'
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { startSheepfsd, tableOf, WORKER_USER } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'

/** Overwrites what is there, in objects that are there. */
async function write(path: string, text: string): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(text, 0)
  await file.close()
}

async function timesOf(path: string): Promise<readonly bigint[]> {
  const { mtimeNs, ctimeNs } = await stat(path, { bigint: true })
  return [mtimeNs, ctimeNs]
}

/** Resolves when the seconds of the clock are others. */
async function nextSecond(): Promise<void> {
  const seconds = (): number => Math.floor(Date.now() / 1000)
  const before = seconds()
  while (seconds() === before) await delay(1000 - (Date.now() % 1000))
}

function isLater(times: readonly bigint[], before: readonly bigint[]): boolean {
  return times.every((time, at) => time > (before[at] ?? 0n))
}

describe('mtime and ctime of a volume', { skip: missing('fuse', 'root', 'rsync'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  for (const mode of ['off', 'on', 'switched off'] as const) {
    test(`never fall back when the worker is killed: page cache ${mode}`, async () => {
      const volume = await sheep.createVdi(MIB)
      const table = await tableOf(stage, MOUNT, sheep, [volume])
      const daemon = await startSheepfsd(stage, { mounts: [{ ...table, page_cache: mode !== 'off' }] })
      if (mode === 'switched off') await daemon.client.patchCache(MOUNT, { page_cache: false })
      const path = join(table.mountpoint, 'volume', volume)
      let before = await timesOf(path)
      for (let kill = 0; kill < 3; kill++) {
        await write(path, `write ${kill}`)
        await daemon.serving(MOUNT, await daemon.killWorker(MOUNT))
        let after = await timesOf(path)
        while (!isLater(after, before)) after = await timesOf(path)
        before = after
      }
      await daemon.stop()
    })
  }

  for (const engine of ['kernel', 'fuse-native'] as const) {
    for (const isKept of [false, true]) {
      const what = isKept ? 'stays attached for reading' : 'is attached for it'
      test(`let a nightly backup see what another host has written, when the VDI ${what}: ${engine}`, async () => {
        const volume = await sheep.createVdi(MIB)
        const writer = await startSheepfs(stage, { sheep, attach: [volume] })
        const table = await tableOf(stage, MOUNT, sheep, [])
        const workerUser = engine === 'kernel' ? WORKER_USER : 'root'
        const daemon = await startSheepfsd(stage, { mounts: [{ ...table, engine }], workerUser })
        const backups = await stage.folder()
        const path = join(table.mountpoint, 'volume', volume)
        const attach = () => daemon.client.attach(MOUNT, volume, { read_only: true })
        if (isKept) await attach()
        for (const night of ['first', 'other', 'third']) {
          await nextSecond() // rsync compares no less
          await write(writer.volume(volume), night)
          if (!isKept) await attach()
          await succeed('rsync', ['-a', path, `${backups}/`])
          assert.equal((await readFile(join(backups, volume))).toString('latin1', 0, 5), night)
          await write(writer.volume(volume), night.toUpperCase())
          assert.equal(await archived(backups, table.mountpoint, volume), night.toUpperCase())
          if (!isKept) await daemon.client.detach(MOUNT, volume, false)
        }
        await daemon.stop()
        await writer.stop()
      })
    }
  }
})

/** What an incremental archive has of the volume: nothing when tar takes it for unchanged. */
async function archived(folder: string, mountpoint: string, volume: string): Promise<string> {
  const archive = ['-f', join(folder, 'archive.tar')]
  await succeed('tar', ['-c', ...archive, `--listed-incremental=${join(folder, 'snar')}`, '-C', mountpoint, 'volume'])
  const names = await succeed('tar', ['-t', ...archive])
  if (!names.split('\n').includes(`volume/${volume}`)) return ''
  return (await succeed('tar', ['-x', '-O', ...archive, `volume/${volume}`])).slice(0, 5)
}
