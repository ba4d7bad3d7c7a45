import assert from 'node:assert/strict'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Device } from '../../src/api/schema/device.ts'
import { readLoops } from '../../src/daemon/device/loop-table.ts'
import { diskOf } from '../daemon/device/gpt-disk.ts'
import { missing } from './stage/ability.ts'
import { mountDevice } from './stage/loop.ts'
import { run, start, succeed, type Outcome } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, tableOf, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const SHEEPFSCTL = join(import.meta.dirname, '../../src/cli/sheepfsctl.js')
const MOUNT_PROGRAM = join(import.meta.dirname, '../../src/cli/mount-sheepfs.js')
const UMOUNT_PROGRAM = join(import.meta.dirname, '../../src/cli/umount-sheepfs.js')
const MOUNT = 'm'
const MIB = 2 ** 20
const SIZE = 64 * MIB
const limit = { timeout: 60_000 }

describe('a volume as a block device', { skip: missing('fuse', 'root', 'loop', 'mkfs'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let table: MountTable
  let daemon: Sheepfsd
  before(async () => {
    sheep = await startSheep(stage)
    table = await tableOf(stage, MOUNT, sheep, [])
    daemon = await startSheepfsd(stage, { mounts: [table] })
  })
  after(() => stage.close())

  const settings = (): string[] => [`SHEEPFS_RUNTIME_DIR=${daemon.place.runtimeDirectory}`, process.execPath]
  const ctl = (...args: string[]): Promise<Outcome> => run('env', [...settings(), SHEEPFSCTL, ...args])
  const map = async (name: string, ...args: string[]): Promise<Device> => {
    const { stdout, stderr } = await ctl('--json', 'map', name, ...args)
    assert.equal(stderr, '')
    return JSON.parse(stdout) as Device
  }
  const unmap = (...names: string[]): Promise<string> => succeed('env', [...settings(), SHEEPFSCTL, 'unmap', ...names])
  const mapped = (): Promise<Device[]> => daemon.client.devices(MOUNT)
  const sysfs = async (device: string, attribute: string): Promise<string> =>
    (await readFile(`/sys/block/${basename(device)}/${attribute}`, 'utf8')).trim()
  const noneLeft = async (): Promise<void> => {
    assert.deepEqual(await mapped(), [])
    while ((await daemon.client.volumes(MOUNT)).length > 0) await pause(20) // the worker detaches by itself
  }

  test(
    'has direct I/O, the size of the volume, sectors of 512 bytes, and is the same when asked for again',
    limit,
    async () => {
      const name = await sheep.createVdi(SIZE)
      const first = await ctl('map', name)
      const [, path = ''] = /^mapped \S+ to (\/dev\/loop\d+), .*\n$/.exec(first.stdout) ?? []
      assert.notEqual(path, '', first.stdout + first.stderr)
      const facts = await Promise.all(
        ['loop/dio', 'loop/autoclear', 'loop/partscan', 'ro', 'queue/logical_block_size', 'size'].map((of) =>
          sysfs(path, of),
        ),
      )
      assert.deepEqual(facts, ['1', '0', '1', '0', '512', String(SIZE / 512)])
      assert.match((await ctl('map', name)).stdout, new RegExp(`^was mapped already: ${name} to ${path}, `))
      const rows = (await ctl('mapped')).stdout.split('\n')
      assert.match(rows[0] ?? '', /^VOLUME +SIZE +SECTOR +MODE +DEVICE +NAME +USED BY$/)
      assert.match(rows[1] ?? '', new RegExp(`^${name} +64M +512 +rw +${path} +\\S+ +-$`))
      assert.equal((await ctl('unmap', name)).stdout, `unmapped ${name}\n`)
      await noneLeft()
    },
  )

  test('gives space back that is discarded', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const { path } = await map(name)
    await succeed('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', 'count=16', 'oflag=direct', 'status=none'])
    const used = async (): Promise<number> =>
      (await daemon.client.vdis(MOUNT)).find((vdi) => vdi.name === name)?.used ?? 0
    assert.equal(await used(), 16 * MIB)
    await succeed('blkdiscard', [path])
    assert.equal(await used(), 0)
    await succeed('cmp', ['-n', String(SIZE), path, '/dev/zero'])
    await unmap(name)
  })

  test('is read-only for a snapshot, and where that is asked for', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    await daemon.client.snapshotVdi(MOUNT, name, { tag: 'a' })
    for (const [volume, ...args] of [[`${name}@a`], [name, '--read-only']] as const) {
      const device = await map(volume, ...args)
      assert.equal(device.read_only, true)
      assert.equal(await sysfs(device.path, 'ro'), '1')
      const write = await run('dd', ['if=/dev/zero', `of=${device.path}`, 'count=1', 'oflag=direct', 'conv=notrunc'])
      assert.notEqual(write.status, 0)
      assert.match((await ctl('map', volume, ...args)).stdout, /^was mapped already: .* \(read-only\), /)
    }
    await unmap(name, `${name}@a`)
    const { path } = await map(name)
    const { status, stderr } = await ctl('map', name, '--read-only')
    assert.equal(status, 4)
    assert.match(stderr, new RegExp(`"${name}": it is mapped to ${path} in another way: for writing`))
    await unmap(name)
    await noneLeft()
  })

  test('grows with its volume, also while it is mounted', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const { path } = await map(name)
    await succeed('mkfs.ext4', ['-q', path])
    const directory = await mountDevice(stage, path)
    await succeed('env', [...settings(), SHEEPFSCTL, 'resize', name, '128M'])
    while ((await sysfs(path, 'size')) !== String((2 * SIZE) / 512)) await pause(20)
    await sheep.resizeVdi(name, 4 * SIZE) // by another client: whoever opens the volume makes sheepfs look
    await (await open(join(table.mountpoint, 'volume', name))).close()
    while ((await sysfs(path, 'size')) !== String((4 * SIZE) / 512)) await pause(20)
    await succeed('umount', [directory])
    await succeed('fsck.ext4', ['-fp', path])
    await succeed('resize2fs', [path])
    await unmap(name)
  })

  test('has the sectors of the disk that its partition table was written on', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const { path } = await map(name, '--sector-size', '4096')
    assert.equal(await sysfs(path, 'queue/logical_block_size'), '4096')
    const disk = await open(path, 'r+')
    await disk.write(diskOf(4096))
    await disk.close()
    const other = await ctl('map', name, '--sector-size', '512')
    assert.equal(other.status, 4)
    assert.match(
      other.stderr,
      new RegExp(`it is mapped to ${path} in another way: for writing, with sectors of 4096 bytes`),
    )
    await unmap(name)
    const again = await map(name)
    assert.equal(again.sector_size, 4096)
    assert.deepEqual(again.partitions, [`${again.path}p1`])
    await unmap(name)
    const wrong = await ctl('map', name, '--sector-size', '513')
    assert.deepEqual(
      [wrong.status, wrong.stderr],
      [2, 'sheepfsctl: --sector-size "513": expected 512, 1024, 2048, 4096\n'],
    )
  })

  test('stays while it is in use, and who uses it is said', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const { path } = await map(name)
    const refusal = async (): Promise<string> => {
      const { status, stderr } = await ctl('unmap', name)
      assert.equal(status, 4, stderr)
      assert.equal((await mapped()).length, 1)
      return stderr
    }
    const prefix = `sheepfsctl: volume "${name}": ${path} is in use by `

    const device = await open(path)
    const reader = start('sleep', ['600'], { stdio: [device.fd, 'ignore', 'ignore'] })
    stage.defer(() => reader.kill())
    await once(reader, 'spawn')
    await device.close()
    assert.match(await refusal(), new RegExp(`by .*sleep \\(pid ${String(reader.pid)}\\)`))
    reader.kill()
    await once(reader, 'exit')

    await succeed('mkfs.ext4', ['-q', path])
    const directory = await mountDevice(stage, path)
    assert.equal(await refusal(), `${prefix}the mount ${directory}\n`)
    assert.deepEqual(
      (await mapped()).map(({ used_by }) => used_by),
      [[`the mount ${directory}`]],
    )
    await succeed('umount', [directory])

    await unmap(name)
    await noneLeft()
  })

  test('several are done one by one, each failure is told, and the first is the exit code', limit, async () => {
    const [one, two] = [await sheep.createVdi(SIZE), await sheep.createVdi(SIZE)]
    const { status, stdout, stderr } = await ctl('map', one, 'nope', two)
    assert.equal(status, 3)
    assert.equal(stdout.match(/^mapped /gm)?.length, 2, stdout + stderr)
    assert.match(stderr, /^sheepfsctl: .*nope.*\n$/)
    const unmapped = await ctl('unmap', 'nope', one, two)
    assert.deepEqual([unmapped.status, unmapped.stdout], [3, `unmapped ${one}\nunmapped ${two}\n`])
    assert.equal(unmapped.stderr, `sheepfsctl: volume "nope" of mount "${MOUNT}" is not mapped\n`)
    await noneLeft()
  })

  test('is one device, however many ask for it at the same moment', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const all = await Promise.all(Array.from({ length: 8 }, () => daemon.client.map(MOUNT, name, {})))
    assert.equal(new Set(all.map(({ device }) => device.path)).size, 1)
    assert.equal(all.filter(({ isNew }) => isNew).length, 1)
    await daemon.client.unmap(MOUNT, name)
    await noneLeft()
  })

  test('is shared with mount -t sheepfs, which leaves it, and not made beside its own', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const { path } = await map(name)
    await succeed('mkfs.ext4', ['-q', path])
    const directory = await stage.mountpoint()
    const source = `test/${name}`
    await succeed('env', [...settings(), MOUNT_PROGRAM, source, directory])
    assert.equal((await succeed('findmnt', ['-no', 'SOURCE', directory])).trim(), path)
    await succeed('env', [...settings(), UMOUNT_PROGRAM, directory])
    assert.deepEqual(
      (await mapped()).map((device) => device.path),
      [path],
    )
    await daemon.client.unmap(MOUNT, name)

    await succeed('env', [...settings(), MOUNT_PROGRAM, source, directory])
    const { status, stderr } = await ctl('map', name)
    assert.equal(status, 4)
    assert.match(
      stderr,
      new RegExp(`it is in use through /dev/loop\\d+, which goes with its last user by the mount ${directory}\n$`),
    )
    await succeed('env', [...settings(), UMOUNT_PROGRAM, directory])
    await noneLeft()
  })

  test('is kept by a new worker, under a mounted file system', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const { path } = await map(name)
    await succeed('mkfs.ext4', ['-q', path])
    const directory = await mountDevice(stage, path)
    const generation = await daemon.killWorker(MOUNT)
    await succeed('dd', [
      'if=/dev/urandom',
      `of=${join(directory, 'a')}`,
      'bs=1M',
      'count=8',
      'conv=fsync',
      'status=none',
    ])
    await daemon.serving(MOUNT, generation)
    assert.deepEqual(
      (await mapped()).map((device) => device.path),
      [path],
    )
    await succeed('umount', [directory])
    await succeed('fsck.ext4', ['-fn', path])
    await daemon.client.unmap(MOUNT, name)
    await noneLeft()
  })

  test('is what a mount is not ended for while it is in use, and unmapped with it otherwise', limit, async () => {
    const name = await sheep.createVdi(SIZE)
    const own = { ...(await tableOf(stage, 'own', sheep, [])), sheep: table['sheep'] ?? [] }
    await daemon.client.addMount({ name: 'own', mountpoint: own.mountpoint, sheep: own.sheep as string[] })
    const { device } = await daemon.client.map('own', name, {})
    const holder = await open(device.path)
    await assert.rejects(daemon.client.removeMount('own', false), { code: 'busy', message: /is in use by .*node/ })
    await holder.close()
    await daemon.client.removeMount('own', false)
    assert.deepEqual(
      (await readLoops()).filter(({ file }) => file.startsWith(own.mountpoint)),
      [],
    )
  })
})
