import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { addressText } from '../../src/sheep/address.ts'
import { dosDisk } from '../daemon/device/dos-disk.ts'
import { missing } from './stage/ability.ts'
import { run, start, succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, tableOf, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MOUNT_PROGRAM = join(import.meta.dirname, '../../src/cli/mount-sheepfs.js')
const UMOUNT_PROGRAM = join(import.meta.dirname, '../../src/cli/umount-sheepfs.js')
const MOUNT = 'm'
const AT_ONCE = Number(process.env['SHEEPFS_TEST_MOUNTS_AT_ONCE'] ?? 8)
const KILLS = 12
/** Longer than a volume waits for whoever is to open it. */
const GONE_LIMIT_MS = 60_000
const NEEDS = { skip: missing('fuse', 'root'), timeout: 600_000 }

describe('the file system in a volume', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  let table: MountTable
  let daemon: Sheepfsd
  let volume: string
  before(async () => {
    sheep = await startSheep(stage)
    volume = await sheep.createVdi(64 << 20)
    table = await tableOf(stage, MOUNT, sheep, [])
    daemon = await startSheepfsd(stage, { mounts: [table] })
    await daemon.client.attach(MOUNT, volume, {})
    await succeed('mkfs.ext4', ['-q', file()])
    await daemon.client.detach(MOUNT, volume, false)
  })
  after(() => stage.close())

  const file = (): string => join(table.mountpoint, 'volume', volume)
  /** For env(1). */
  const settings = (): string[] => [`SHEEPFS_RUNTIME_DIR=${daemon.place.runtimeDirectory}`, process.execPath]
  const source = (): string => `test/${volume}`
  const mountAt = async (directory: string, from = source(), options = 'defaults'): Promise<void> => {
    const args = [...settings(), MOUNT_PROGRAM, from, directory, '-o', options]
    await succeed('env', args, { limitMs: 200_000 })
    stage.defer(async () => {
      await run('umount', ['-i', directory])
    })
  }
  const umount = async (directory: string): Promise<void> => {
    const args = [...settings(), UMOUNT_PROGRAM, directory]
    await succeed('env', args)
  }
  const attached = async (): Promise<string[]> => (await daemon.client.volumes(MOUNT)).map(({ name }) => name)
  const isTemporary = async (): Promise<boolean | undefined> =>
    (await daemon.client.volumes(MOUNT)).find(({ name }) => name === volume)?.temporary
  /** Of all processes, by the file that they are over: trees of daemons of their own are not seen any more. */
  const loops = async (): Promise<string[]> => {
    const listed = await succeed('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])
    return listed.split('\n').filter((line) => line.includes(volume))
  }
  const gone = async (): Promise<void> => {
    const until = performance.now() + GONE_LIMIT_MS
    while ((await attached()).length > 0 || (await loops()).length > 0) {
      assert.ok(performance.now() < until, `left: ${[...(await attached()), ...(await loops())].join()}`)
      await pause(20)
    }
  }

  const refusal = async (volumeName: string, ...options: string[]): Promise<string> => {
    const args = [...settings(), MOUNT_PROGRAM, `test/${volumeName}`, await stage.mountpoint(), ...options]
    const { status, stderr } = await run('env', args, { limitMs: 100_000 })
    assert.notEqual(status, 0)
    assert.doesNotMatch(stderr, /loop\d/) // it is gone when this is read
    return stderr
  }

  test('that cannot be mounted is refused with the reason that the kernel has', NEEDS, async () => {
    const empty = await sheep.createVdi(16 << 20)
    const prefix = (name: string): string => `mount.sheepfs: the file system in test/${name} cannot be mounted: `
    const missing = 'no file system found: make one with mkfs, or name the partition that has it\n'
    assert.equal(await refusal(empty), prefix(empty) + missing)
    const unknown = await refusal(volume, '-o', 'nosuchopt')
    assert.ok(unknown.startsWith(prefix(volume)), unknown)
    assert.match(unknown, /ext4: Unknown parameter 'nosuchopt'\n$/)
    await gone()
  })

  for (const [what, from] of [
    ['an instance', source],
    ['a daemon of its own', () => `sheepdog://${addressText(sheep.address)}/${volume}`],
  ] as const) {
    test(`of ${what} has one loop device, however many mount it at the same moment`, NEEDS, async () => {
      const directories = await Promise.all(Array.from({ length: AT_ONCE }, () => stage.mountpoint()))
      await Promise.all(directories.map((directory) => mountAt(directory, from())))
      const sources = await Promise.all(
        directories.map((directory) => succeed('findmnt', ['--noheadings', '--output', 'SOURCE', directory])),
      )
      assert.equal(new Set(sources).size, 1)
      assert.equal((await loops()).length, 1)
      const [first = '', ...others] = directories
      await writeFile(join(first, 'seen'), '')
      for (const directory of others) assert.ok((await readdir(directory)).includes('seen'))
      for (const directory of directories) await umount(directory)
      await gone()
    })
  }

  for (const [what, from] of [
    ['volume', source],
    ['tree', () => 'test'],
  ] as const) {
    test(`is mounted once where several mount it at the same place at the same moment: ${what}`, NEEDS, async () => {
      const directory = await stage.mountpoint()
      await Promise.all(Array.from({ length: AT_ONCE }, () => mountAt(directory, from())))
      const table = await succeed('findmnt', ['--noheadings', '--list', '--output', 'TARGET'])
      assert.equal(table.split('\n').filter((line) => line.trim() === directory).length, 1)
      await succeed('umount', ['-i', directory])
      await gone()
    })
  }

  test('is found on a disk with sectors of 4096 bytes, whose table does not tell that', NEEDS, async () => {
    const disk = await sheep.createVdi(64 << 20)
    await daemon.client.attach(MOUNT, disk, {})
    const path = join(table.mountpoint, 'volume', disk)
    const image = join(await stage.folder(), 'disk')
    await writeFile(image, dosDisk({ start: 256, sectors: 8192 }))
    await succeed('mkfs.ext4', ['-q', '-b', '4096', '-E', `offset=${1 << 20}`, image, '32m'])
    await succeed('dd', [`if=${image}`, `of=${path}`, 'bs=1M', 'conv=notrunc', 'status=none'])
    await daemon.client.detach(MOUNT, disk, false)
    assert.match(await refusal(disk, '-o', 'partition=1'), /no file system found/)
    const directory = await stage.mountpoint()
    await mountAt(directory, `test/${disk}`, 'partition=1,sector_size=4096')
    const device = (await succeed('findmnt', ['--noheadings', '--output', 'SOURCE', directory])).trim()
    assert.equal((await succeed('blockdev', ['--getss', device])).trim(), '4096')
    await umount(directory)
    await gone()
  })

  const flagsAt = async (directory: string): Promise<string[]> => {
    const options = await succeed('findmnt', ['--noheadings', '--output', 'VFS-OPTIONS', directory])
    return options.trim().split(',')
  }

  test('is mounted without setuid and devices, also by a remount, unless that is asked for', NEEDS, async () => {
    const directory = await stage.mountpoint()
    await mountAt(directory)
    assert.deepEqual(await flagsAt(directory), ['rw', 'nosuid', 'nodev', 'relatime'])
    await mountAt(directory, source(), 'remount,noatime')
    assert.deepEqual(await flagsAt(directory), ['rw', 'nosuid', 'nodev', 'noatime'])
    await umount(directory)
    await mountAt(directory, source(), 'users,noexec,nosuid,nodev,allow_suid')
    assert.deepEqual(await flagsAt(directory), ['rw', 'nodev', 'noexec', 'relatime'])
    await mountAt(directory, source(), 'remount,allow_dev')
    assert.deepEqual(await flagsAt(directory), ['rw', 'noexec', 'relatime'])
    await umount(directory)
    await gone()
  })

  test('a tree in a second place keeps what the first is kept from', NEEDS, async () => {
    const directory = await stage.mountpoint()
    for (const options of ['defaults', 'ro', 'suid,dev,exec,symfollow', 'remount,ro,exec', 'remount,rw']) {
      await mountAt(directory, 'test', options)
      const flags = await flagsAt(directory)
      for (const flag of ['nosuid', 'nodev', 'noexec', 'nosymfollow']) {
        assert.ok(flags.includes(flag), `${flag} with ${options}: ${flags.join()}`)
      }
      assert.equal(flags.includes('ro'), options.includes('ro'))
      const isLast = options.startsWith('remount,rw') || !options.startsWith('remount')
      if (isLast && options !== 'suid,dev,exec,symfollow') await succeed('umount', ['-i', directory])
    }
  })

  test('leaves nothing when umount -i unmounts it, and the event says why', NEEDS, async () => {
    const directory = await stage.mountpoint()
    const told = detachedEvent(daemon)
    await mountAt(directory)
    assert.equal(await isTemporary(), true)
    await succeed('umount', ['-i', directory])
    assert.deepEqual(await told, { volume, reason: 'nobody has it open any more' })
    await gone()
  })

  test('leaves nothing when umount -l unmounts it, once its last user has gone', NEEDS, async () => {
    const directory = await stage.mountpoint()
    await mountAt(directory)
    const user = start('sleep', ['600'], { cwd: directory })
    await once(user, 'spawn')
    await succeed('umount', ['-i', '-l', directory])
    assert.deepEqual(await attached(), [volume])
    user.kill()
    await gone()
  })

  test('leaves nothing when umount.sheepfs is killed, nor mount.sheepfs on whatever line', NEEDS, async () => {
    const directory = await stage.mountpoint()
    await mountAt(directory)
    const took = performance.now()
    await umount(directory)
    await mountAt(directory)
    const args = [...settings(), UMOUNT_PROGRAM, directory]
    const umounting = start('env', args)
    const unmounted = async (): Promise<boolean> => (await run('mountpoint', ['-q', directory])).status !== 0
    while (!(await unmounted())) await pause(1)
    umounting.kill('SIGKILL')
    await gone()
    const longestMs = performance.now() - took
    for (let i = 0; i < KILLS; i++) {
      const words = [...settings(), MOUNT_PROGRAM, source(), directory]
      const mounting = start('env', words)
      const ended = once(mounting, 'close')
      await pause((longestMs * i) / KILLS)
      mounting.kill('SIGKILL')
      await ended
      await run('umount', ['-i', directory])
    }
    // what a killed one had started may come to its end only now
    const until = performance.now() + GONE_LIMIT_MS
    while (performance.now() < until) {
      const { status } = await run('umount', ['-i', directory])
      if (status !== 0 && (await attached()).length === 0 && (await loops()).length === 0) break
      await pause(100)
    }
    await gone()
  })

  test('stays attached when the administrator attaches the volume, before or meanwhile', NEEDS, async () => {
    const directory = await stage.mountpoint()
    await daemon.client.attach(MOUNT, volume, {})
    await mountAt(directory)
    await umount(directory)
    assert.deepEqual(await attached(), [volume])
    await daemon.client.detach(MOUNT, volume, false)
    for (const attach of [
      () => daemon.client.attach(MOUNT, volume, {}),
      () => writeFile(join(table.mountpoint, 'vdi/mount'), volume),
    ]) {
      await mountAt(directory)
      await attach()
      await umount(directory)
      assert.equal(await isTemporary(), false)
      await daemon.client.detach(MOUNT, volume, false)
    }
  })

  test('is let go also by the successor of a worker, and of a daemon', NEEDS, async () => {
    const directory = await stage.mountpoint()
    await mountAt(directory)
    await daemon.serving(MOUNT, await daemon.killWorker(MOUNT))
    await daemon.client.restartMount(MOUNT)
    await writeFile(join(directory, 'written'), 'under the successor', { flush: true })
    assert.equal(await isTemporary(), true)
    await succeed('umount', ['-i', directory])
    await gone()
    await daemon.client.attach(MOUNT, volume, { temporary: true })
    const { place } = daemon
    await daemon.stop()
    daemon = await startSheepfsd(stage, { mounts: [table], place })
    assert.equal(await isTemporary(), true)
    await gone()
  })
})

/** What the next event of a detached volume says. */
async function detachedEvent(daemon: Sheepfsd): Promise<{ volume: string | undefined; reason: string | undefined }> {
  for await (const { type, volume, reason } of daemon.client.events({})) {
    if (type === 'volume-detached') return { volume, reason }
  }
  throw new Error('the daemon has ended')
}
