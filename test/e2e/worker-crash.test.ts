import assert from 'node:assert/strict'
import { constants, type FileHandle, open, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test, type TestContext } from 'node:test'
import { addressText } from '../../src/sheep/address.ts'
import { missing } from './stage/ability.ts'
import { attachLoop, mountDevice } from './stage/loop.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
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
      await killInTurn(t, daemon, path)
      await load
      await fio(path, [...LOAD, '--ioengine=libaio', '--direct=1', '--verify_only=1'])
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

  test('keeps ext4 on a loop device whole', { skip: missing('loop', 'mkfs') }, async (t) => {
    const inner = new Stage()
    const { daemon, path } = await serve(stage, sheep, { pageCache: false, size: 64 * MIB })
    try {
      const loop = await attachLoop(inner, path)
      await succeed('mkfs.ext4', ['-q', loop.device])
      const directory = await mountDevice(inner, loop.device)
      const source = join(await inner.folder(), 'source')
      await succeed('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', 'count=24', 'status=none'])
      const copied = succeed('dd', [
        `if=${source}`,
        `of=${join(directory, 'copy')}`,
        'bs=64k',
        'oflag=direct',
        'conv=fsync',
      ])
      await killInTurn(t, daemon, path, 1)
      await copied
      await writeFile('/proc/sys/vm/drop_caches', '1')
      await succeed('cmp', [source, join(directory, 'copy')])
      await succeed('umount', [directory])
      await succeed('e2fsck', ['-fn', loop.device])
      await loop.detach()
    } finally {
      await inner.close()
    }
    await daemon.stop()
  })
})

describe('a worker that hangs', { skip: missing('fuse', 'root'), timeout: 60_000 }, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('is replaced, and the other mount goes on meanwhile', async () => {
    const sheep = await startSheep(stage)
    const [stuck, other] = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    const common = { sheep: [addressText(sheep.address)] }
    const mounts = [
      { ...common, name: 'stuck', mountpoint: await stage.mountpoint(), volumes: [stuck] },
      { ...common, name: 'other', mountpoint: await stage.mountpoint(), volumes: [other] },
    ]
    const daemon = await startSheepfsd(stage, { mounts })
    const [stuckFile, otherFile] = await Promise.all(
      mounts.map(({ mountpoint, volumes }) => openDirect(join(mountpoint, 'volume', volumes[0] ?? ''))),
    )
    const generation = await daemon.killWorker('stuck', 'SIGSTOP')
    const answered = stallOf(stuckFile)
    await stallOf(otherFile)
    assert.equal((await daemon.client.mounts()).length, 2)
    await daemon.serving('stuck', generation)
    await answered
    assert.match(daemon.log(), /it is stuck/)
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

/** Kills one worker after the other, the last two within 100 ms, and tells how long a read had to wait each time. */
async function killInTurn(t: TestContext, daemon: Sheepfsd, path: string, single = 2): Promise<void> {
  const file = await openDirect(path)
  for (let i = 0; i < single; i++) {
    await delay(300)
    const generation = await daemon.killWorker(MOUNT)
    t.diagnostic(`stall of kill ${i + 1}: ${await stallOf(file)} ms`)
    await daemon.serving(MOUNT, generation)
  }
  const generation = await daemon.killWorker(MOUNT)
  const stall = stallOf(file)
  process.kill(await daemon.pidOf(MOUNT, generation), 'SIGKILL')
  t.diagnostic(`stall of two kills in a row: ${await stall} ms`)
  await daemon.serving(MOUNT, generation + 1)
  await file.close()
}

function openDirect(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_DIRECT)
}

/** How long a read takes from now on, ms. */
async function stallOf(file: FileHandle | undefined): Promise<number> {
  const before = performance.now()
  const { bytesRead } = (await file?.read(Buffer.alloc(4096), 0, 4096, 0)) ?? { bytesRead: 0 }
  assert.equal(bytesRead, 4096)
  return Math.round(performance.now() - before)
}

/** The longest that a read had to wait until something else is over, ms. */
async function longestStall(file: FileHandle, other: Promise<unknown>): Promise<number> {
  const over = other.then(
    () => true,
    () => true,
  )
  let longest = 0
  do longest = Math.max(longest, await stallOf(file))
  while (!(await Promise.race([over, delay(1, false)])))
  return longest
}

/** Runs fio on a file, with a checksum in every block. */
function fio(path: string, args: readonly string[]): Promise<string> {
  const verify = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0']
  const file = ['--name=verify', `--filename=${path}`, '--allow_file_create=0', '--randseed=7']
  return succeed('fio', [...file, ...verify, ...args, '--minimal'], { limitMs: 90_000 })
}
