import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { readLoops } from '../../src/daemon/device/loop-table.ts'
import { EXIT } from '../../src/cli/exit-code.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { addressText } from '../../src/sheep/address.ts'
import { detachWhileSame } from './stage/loop.ts'
import { missing } from './stage/ability.ts'
import { end, run, start, succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { type Sheepfs, startSheepfs } from './stage/sheepfs.ts'
import { startSheepfsd, tableOf, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const PROGRAMS = join(import.meta.dirname, '../../src/cli')
const MOUNT = 'm'
const MIB = 2 ** 20
const LIMIT_MS = 20_000
const NEEDS = { skip: missing('fuse', 'root', 'loop', 'mkfs'), timeout: 300_000 }

describe('the file system on a loop device over a volume that nobody serves any more', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  let table: MountTable
  let daemon: Sheepfsd
  /** Mounted by mount.sheepfs, and by hand. */
  let volumes: readonly [string, string]
  let places: readonly [string, string]
  before(async () => {
    sheep = await startLamb(stage)
    volumes = [await sheep.createVdi(32 * MIB), await sheep.createVdi(32 * MIB)]
    table = await tableOf(stage, MOUNT, sheep, [])
    daemon = await startSheepfsd(stage, { mounts: [table] })
    for (const volume of volumes) {
      await daemon.client.attach(MOUNT, volume, {})
      await succeed('mkfs.ext4', ['-q', file(volume)])
    }
    await daemon.client.detach(MOUNT, volumes[0], false)
  })
  beforeEach(async () => {
    places = [await stage.mountpoint(), await stage.mountpoint()]
    for (const place of places) stage.defer(() => run('umount', ['-i', '-l', place]))
  })
  after(() => stage.close())

  const file = (volume: string, tree = table.mountpoint): string => join(tree, 'volume', volume)
  /** A program of ours, with the daemon's files. */
  const command = (name: string, ...args: string[]): string[] => [
    ...[`SHEEPFS_CONFIG=${daemon.place.configFile}`, `SHEEPFS_RUNTIME_DIR=${daemon.place.runtimeDirectory}`],
    ...[process.execPath, join(PROGRAMS, `${name}.js`), ...args],
  ]
  const sheepfsctl = (...args: string[]): ReturnType<typeof run> =>
    run('env', command('sheepfsctl', '--instance', 'test', ...args))
  const mountAt = (directory: string, source: string): Promise<string> =>
    succeed('env', command('mount-sheepfs', source, directory), { limitMs: 100_000 })
  const mountByHand = async (path: string, directory: string): Promise<string> => {
    const device = (await succeed('losetup', ['--find', '--show', '--direct-io=on', path])).trim()
    stage.defer(await detachWhileSame(device))
    await succeed('mount', [device, directory])
    return device
  }
  const standInside = async (directory: string): Promise<() => Promise<void>> => {
    const user = start('sleep', ['600'], { cwd: directory })
    await once(user, 'spawn')
    stage.defer(() => end(user))
    return () => end(user)
  }
  const kill = async (): Promise<void> => {
    const pid = await daemon.workerPid(MOUNT)
    const ended = once(daemon.child, 'exit')
    for (const victim of [daemon.child.pid ?? 0, pid]) process.kill(victim, 'SIGKILL')
    await ended
    for (const place of places) await isDead(place)
  }
  const isDead = async (place: string): Promise<void> => {
    const until = performance.now() + LIMIT_MS
    while ((await run('touch', [join(place, 'x')])).status === 0) {
      assert.ok(performance.now() < until, `${place} still lives`)
      await pause(20)
    }
  }
  const startAgain = async (): Promise<void> => {
    daemon = await startSheepfsd(stage, { mounts: [table], place: daemon.place })
  }
  const loopsOver = async (...names: string[]): Promise<string[]> =>
    (await readLoops()).filter((loop) => names.some((name) => loop.file.endsWith(name))).map((loop) => loop.path)
  const loopsGone = async (...names: string[]): Promise<void> => {
    const until = performance.now() + LIMIT_MS
    while ((await loopsOver(...names)).length > 0) {
      assert.ok(performance.now() < until, `left: ${(await loopsOver(...names)).join()}`)
      await pause(20)
    }
  }

  test('is named by doctor, and taken down by the next start while somebody stands inside', NEEDS, async () => {
    const [web, other] = places
    let leave = (): Promise<void> => Promise.resolve()
    const die = async (): Promise<void> => {
      if (daemon.child.exitCode !== null || daemon.child.signalCode !== null) await startAgain()
      await mountAt(web, `test/${volumes[0]}`)
      await mountByHand(file(volumes[1]), other)
      leave = await standInside(web)
      await kill()
      for (const place of places) {
        const isTold = async (): Promise<boolean> =>
          (await sheepfsctl('doctor')).stdout.includes(`dead file system: ${place} on /dev/`)
        await eventually(async () => (await isTold()) || (await findMount(place)) === undefined)
      }
      for (const place of places) assert.ok(await findMount(place))
    }
    await undisturbed(places, die, async () => {
      await leave()
      for (const place of places) await run('umount', ['-i', '-l', place])
    })
    const refused = await run('env', command('mount-sheepfs', `test/${volumes[0]}`, web))
    assert.notEqual(refused.status, 0)
    assert.match(refused.stderr, /does not run/)
    await startAgain()
    for (const place of places) assert.equal(await findMount(place), undefined)
    await loopsGone(volumes[1])
    assert.equal((await daemon.client.health()).status, 'ok')
    assert.match(daemon.log(), /a dead file system was taken away/)
    await mountAt(web, `test/${volumes[0]}`)
    await writeFile(join(web, 'again'), 'mounted', { flush: true })
    await leave()
    await succeed('umount', ['-i', web])
    await loopsGone(volumes[0])
  })

  test('is taken down by sheepfs-clean-up, with every place where its tree is shown', NEEDS, async () => {
    const [web, other] = places
    const shown = await stage.mountpoint()
    await mountAt(shown, 'test')
    await mountAt(web, `test/${volumes[0]}`)
    await mountByHand(file(volumes[1]), other)
    await kill()
    await succeed('env', command('sheepfs-clean-up', 'test'))
    for (const place of [...places, shown, table.mountpoint]) assert.equal(await findMount(place), undefined, place)
    await loopsGone(...volumes)
    await startAgain()
  })

  async function isNamed(web: string): Promise<void> {
    const stray = await startStray(volumes[1])
    const device = await mountByHand(stray.volume(volumes[1]), web)
    assert.equal((await daemon.client.health()).status, 'ok')
    await stray.kill()
    await isDead(web)
    assert.equal((await daemon.client.health()).status, 'ok') // of somebody else
    await succeed('umount', ['-i', '-l', stray.mountpoint])
    const dead = [{ mountpoint: web, device, volume: volumes[1] }]
    await eventually(
      async () => (await daemon.client.health()).status === 'failed' || (await findMount(web)) === undefined,
    )
    assert.deepEqual((await daemon.client.status()).dead_file_systems, dead)
    const health = await sheepfsctl('health')
    assert.equal(health.status, EXIT.unhealthy)
    assert.match(health.stdout, new RegExp(`^failed\n${web} is dead: it is on ${device}, and nobody can serve`))
    assert.match((await sheepfsctl('status')).stdout, new RegExp(`^${web} is dead`, 'm'))
    assert.match((await sheepfsctl('doctor')).stdout, new RegExp(`PROBLEM {2}dead file system: ${web} on ${device}`))
  }

  test(
    'is named by health, status and doctor when its tree is out of sight, and taken down by the next start',
    NEEDS,
    async () => {
      const [web] = places
      await undisturbed([web], () => isNamed(web))
      assert.equal(await daemon.stop(), 0)
      await startAgain()
      assert.equal(await findMount(web), undefined)
      assert.deepEqual((await daemon.client.status()).dead_file_systems, [])
      await loopsGone(volumes[1])
    },
  )

  test('goes with its mount when that is ended by force', NEEDS, async () => {
    const [web] = places
    await mountAt(web, `test/${volumes[0]}`)
    await daemon.client.removeMount(MOUNT, true)
    assert.equal(await findMount(web), undefined)
    await loopsGone(volumes[0])
    assert.equal(await daemon.stop(), 0)
    await startAgain()
  })

  test('is no mount to mount.sheepfs: it mounts again, also while somebody stands inside', NEEDS, async () => {
    const [web, tree] = places
    const volume = await sheep.createVdi(32 * MIB)
    const stray = await startStray(volume)
    await succeed('mkfs.ext4', ['-q', stray.volume(volume)])
    await stray.stop()
    const source = `sheepdog://${addressText(sheep.address)}/${volume}`
    const wholeTree = `sheepdog://${addressText(sheep.address)}/`
    await mountAt(web, source)
    await mountAt(tree, wholeTree)
    const [dead = ''] = await loopsOver(volume)
    const leave = await standInside(web)
    await killStandalone(volume)
    await killStandalone(tree)
    await isDead(web)
    await mountAt(web, source)
    await mountAt(tree, wholeTree)
    await writeFile(join(web, 'again'), 'mounted', { flush: true })
    await succeed('ls', [join(tree, 'volume')])
    const living = (await loopsOver(volume)).filter((device) => device !== dead)
    assert.equal((await findMount(web))?.source, living[0])
    await mountAt(web, source) // it is there
    assert.equal((await findMount(web))?.source, living[0])
    await leave()
    await succeed('umount', ['-i', web])
    await succeed('umount', ['-i', tree])
    await loopsGone(volume)
  })

  /** Again when a daemon of another test, which started meanwhile, has taken down what is dead. */
  const undisturbed = async (
    dead: readonly string[],
    act: () => Promise<void>,
    undo = (): Promise<void> => Promise.resolve(),
  ): Promise<void> => {
    for (let tries = 1; ; tries++) {
      try {
        await act()
        return
      } catch (error) {
        const left = await Promise.all(dead.map((place) => findMount(place)))
        if (tries === 5 || !left.includes(undefined)) throw error
        await undo()
      }
    }
  }
  /** The kernel knows for a moment what it was told of a file. */
  const eventually = async (isSo: () => Promise<boolean>): Promise<void> => {
    const until = performance.now() + LIMIT_MS
    while (!(await isSo())) {
      assert.ok(performance.now() < until, 'a dead file system is not named')
      await pause(20)
    }
  }
  const startStray = (volume: string): Promise<Sheepfs> =>
    startSheepfs(stage, { sheep, attach: [volume], args: ['--break-lock'] })
  /** By a word of its command line. */
  const killStandalone = async (word: string): Promise<void> => {
    const found = await succeed('timeout', ['10', 'pgrep', '--full', `background-process[.]js .*${word}`])
    for (const pid of found.trim().split('\n')) process.kill(Number(pid), 'SIGKILL')
  }
})
