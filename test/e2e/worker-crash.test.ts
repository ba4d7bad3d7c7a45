import assert from 'node:assert/strict'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { addressText } from '../../src/sheep/address.ts'
import { FileSystemLoad } from './ordeal/file-system-load.ts'
import { killWhileTruncating } from './ordeal/truncations.ts'
import { killInTurn, longestStall, openDirect, stallOf } from './ordeal/worker-kills.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
const TRUNCATIONS = 4
/** Below what the mount can do, so that the load is still there when the last worker dies. */
const LOAD = ['--size=24m', '--bs=4k', '--rw=randwrite', '--rate=,6m', '--end_fsync=1']
const WAYS = [
  { name: 'page cache off', pageCache: false, args: ['--ioengine=libaio', '--iodepth=8', '--direct=1'] },
  { name: 'page cache on', pageCache: true, args: ['--ioengine=psync', '--fsync=128'] },
]

describe('a mount whose worker dies', { skip: missing('fuse', 'root', 'fio'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  for (const { name, pageCache, args } of WAYS) {
    test(`loses no byte of a running load: ${name}`, async (t) => {
      const { daemon, path } = await serve(stage, sheep, { pageCache, size: 32 * MIB })
      const load = fio(path, [...LOAD, ...args])
      await killInTurn(t, daemon, { mount: MOUNT, path, kills: { single: 2, double: 1 } })
      await load
      await fio(path, [...LOAD, '--ioengine=libaio', '--direct=1', '--verify_only=1'])
      await daemon.stop()
    })
  }

  for (const pageCache of [false, true]) {
    test(`brings back nothing that was truncated: page cache ${pageCache ? 'on' : 'off'}`, async (t) => {
      const { daemon, path } = await serve(stage, sheep, { pageCache, size: 24 * MIB })
      await killWhileTruncating(t, daemon, { mount: MOUNT, path, times: TRUNCATIONS, betweenMs: 300 })
      await daemon.stop()
    })
  }

  test('restarts on demand under a load without an error', async (t) => {
    const { daemon, path } = await serve(stage, sheep, { pageCache: false, size: 32 * MIB })
    const load = fio(path, [...LOAD, '--ioengine=libaio', '--iodepth=8', '--direct=1'])
    const file = await openDirect(path)
    for (let i = 0; i < 4; i++) {
      await delay(300)
      const restarted = daemon.client.restartMount(MOUNT)
      t.diagnostic(`stall of restart ${i + 1}: ${await longestStall(file, restarted)} ms`)
      assert.equal((await restarted).worker?.generation, i + 2)
    }
    await file.close()
    await load
    await daemon.stop()
  })

  test('knows that a file is open which nobody uses', async () => {
    const { daemon, path } = await serve(stage, sheep, { pageCache: false, size: MIB })
    const file = await openDirect(path)
    await daemon.serving(MOUNT, await daemon.killWorker(MOUNT))
    await daemon.client.restartMount(MOUNT)
    assert.equal((await daemon.client.mount(MOUNT)).open_files, 1)
    await assert.rejects(daemon.client.detach(MOUNT, basename(path), false), { code: 'busy' })
    await file.close()
    await daemon.client.detach(MOUNT, basename(path), false)
    await daemon.stop()
  })

  test('has failed when one worker after the other dies, and serves when one lives', async () => {
    const { daemon, path } = await serve(stage, sheep, { pageCache: false, size: MIB })
    const file = await openDirect(path)
    const second = await daemon.killWorker(MOUNT)
    for (let i = 0; i < 4; i++) process.kill(await daemon.pidOf(MOUNT, second + i), 'SIGKILL')
    while ((await daemon.client.mount(MOUNT)).state !== 'failed') await delay(20)
    assert.equal((await daemon.client.health()).status, 'failed')
    await stallOf(file)
    await file.close()
    assert.equal((await daemon.client.health()).status, 'ok')
    await daemon.stop()
  })

  for (const [way, pageCache] of [
    ['direct', false],
    ['cached', true],
  ] as const) {
    test(`keeps ext4 on a loop device whole: ${way}`, { skip: missing('loop', 'mkfs') }, async (t) => {
      const { daemon, path } = await serve(stage, sheep, { pageCache, size: 64 * MIB })
      const inner = new Stage()
      try {
        const load = await FileSystemLoad.start(inner, path, way)
        await killInTurn(t, daemon, { mount: MOUNT, path, kills: { single: 1, double: 1 } })
        await load.stop()
      } finally {
        await inner.close()
      }
      await daemon.stop()
    })
  }
})

describe('a worker that hangs', { skip: missing('fuse', 'root'), timeout: 60_000 }, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('is replaced, and the other mount goes on meanwhile', async () => {
    const sheep = await startSheep(stage)
    const [stuck, other] = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    const common = { sheep: [addressText(sheep.address)] }
    const tables = [
      { ...common, name: 'stuck', mountpoint: await stage.mountpoint(), volumes: [stuck] },
      { ...common, name: 'other', mountpoint: await stage.mountpoint(), volumes: [other] },
    ]
    const daemon = await startSheepfsd(stage, { mounts: tables })
    const [stuckFile, otherFile] = await Promise.all(
      tables.map(({ mountpoint, volumes }) => openDirect(join(mountpoint, 'volume', volumes[0] ?? ''))),
    )
    const generation = await daemon.killWorker('stuck', 'SIGSTOP')
    const answered = stallOf(stuckFile)
    const { client } = daemon
    const [mounts, health, metrics] = await Promise.all([client.mounts(), client.health(), client.metrics()])
    assert.deepEqual(
      mounts.map(({ state }) => state),
      ['waiting', 'serving'],
    )
    assert.match(mounts[0]?.reason ?? '', /does not answer/)
    assert.equal(health.status, 'degraded')
    assert.match(metrics, /^sheepfs_mount_state\{mount="other",state="serving"\} 1$/m)
    await stallOf(otherFile)
    await daemon.serving('stuck', generation)
    await answered
    assert.match(daemon.log(), /the worker is stuck: it has not answered/)
    assert.equal((await daemon.serving('other')).worker.generation, 1)
    await stuckFile?.close()
    await otherFile?.close()
    assert.equal(await daemon.stop(), 0)
  })
})

async function serve(
  stage: Stage,
  sheep: Sheep,
  { pageCache, size }: { pageCache: boolean; size: number },
): Promise<{ daemon: Sheepfsd; path: string }> {
  const [volume, mountpoint] = [await sheep.createVdi(size), await stage.mountpoint()]
  const mount = { name: MOUNT, mountpoint, sheep: [addressText(sheep.address)], volumes: [volume] }
  const daemon = await startSheepfsd(stage, { mounts: [{ ...mount, page_cache: pageCache }] })
  return { daemon, path: join(mountpoint, 'volume', volume) }
}

/** Runs fio on a file, with a checksum in every block. */
function fio(path: string, args: readonly string[]): Promise<string> {
  const verify = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0']
  const file = ['--name=verify', `--filename=${path}`, '--allow_file_create=0', '--randseed=7']
  return succeed('fio', [...file, ...verify, ...args, '--minimal'], { limitMs: 90_000 })
}
