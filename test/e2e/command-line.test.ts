import assert from 'node:assert/strict'
import { once } from 'node:events'
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { missing, TESTED_ENGINES } from './stage/ability.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { run, succeed, type Outcome } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { removeMount, rightsFor, SHEEPFS, sheepfsArguments, startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

describe('sheepfs', { skip: missing('fuse', 'root'), timeout: 120_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  /** Runs it with arguments that must be refused, in one line that matches, leaving nothing mounted; returns its status. */
  async function refused(args: readonly string[], reason: RegExp, mountpoint?: string): Promise<number | null> {
    const outcome = await run(process.execPath, [SHEEPFS, ...args, ...(mountpoint === undefined ? [] : [mountpoint])])
    assert.notEqual(outcome.status, 0)
    assert.equal(outcome.stdout, '')
    assert.match(outcome.stderr, reason)
    assert.equal(outcome.stderr.trim().split('\n').length, 1, outcome.stderr)
    if (mountpoint !== undefined) assert.equal(await findMount(mountpoint), undefined)
    return outcome.status
  }

  test('says its version', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string }
    assert.ok((await succeed(process.execPath, [SHEEPFS, '--version'])).includes(version))
  })

  test('shows its options', async () => {
    const help = await succeed(process.execPath, [SHEEPFS, '--help'])
    for (const option of ['-a', '-p', '-k', '-o', '-d', '-f', '--attach', '--engine', '--allow-other', '--version']) {
      assert.ok(help.includes(option), option)
    }
  })

  test('refuses what it does not understand, in one line, with status 2', async () => {
    const mountpoint = await stage.mountpoint()
    assert.equal(await refused([], /mountpoint/i), 2)
    assert.equal(await refused(['--nosuch'], /nosuch/, mountpoint), 2)
    assert.equal(await refused(['-p', '70000'], /70000/, mountpoint), 2)
    assert.equal(await refused(['-f', '-p', 'seven'], /seven/, mountpoint), 2)
    assert.equal(await refused(['-a', ':'], /":" is not an address/, mountpoint), 2)
    assert.equal(await refused(['--engine', 'steam'], /steam/, mountpoint), 2)
  })

  test('refuses a mountpoint that is missing or no directory', async () => {
    const folder = await stage.folder()
    const file = join(folder, 'file')
    await writeFile(file, '')
    await refused([...sheepfsArguments({ sheep }).slice(1)], /missing/, join(folder, 'missing'))
    await refused([...sheepfsArguments({ sheep }).slice(1)], /director/, file)
  })

  test('says when no sheep answers', async () => {
    const port = 1 // tcpmux, of which nobody has heard for decades
    assert.equal(await refused(['-p', String(port)], new RegExp(`${port}`), await stage.mountpoint()), 1)
    await refused(['-f', '-p', String(port)], new RegExp(`${port}`), await stage.mountpoint())
  })

  test('says when a VDI to attach does not exist', async () => {
    await refused(sheepfsArguments({ sheep, attach: ['nosuch'] }).slice(1), /nosuch/, await stage.mountpoint())
  })

  for (const engine of TESTED_ENGINES) {
    test(`returns once it serves, and goes away with umount: ${engine}`, async () => {
      const mountpoint = await stage.mountpoint()
      stage.defer(() => removeMount(mountpoint))
      const name = await sheep.createVdi(2 ** 22)
      const command = [process.execPath, ...sheepfsArguments({ sheep, engine, attach: [name] }), mountpoint]
      await succeed('env', [...rightsFor(engine), ...command])
      assert.equal((await stat(join(mountpoint, 'volume', name))).size, 2 ** 22)
      const [pid] = await servantsOf(mountpoint)
      assert.ok(pid)
      await succeed('umount', [mountpoint])
      await succeed('tail', ['--pid', String(pid), '-f', '/dev/null'], { limitMs: 10_000 })
    })

    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      test(`unmounts and ends with 0 on ${signal}: ${engine}`, async () => {
        const sheepfs = await startSheepfs(stage, { sheep, engine })
        const exit = once(sheepfs.child, 'exit')
        sheepfs.child.kill(signal)
        assert.deepEqual(await exit, [0, null])
        assert.equal(await findMount(sheepfs.mountpoint), undefined)
      })
    }
  }

  test('says who keeps a mount busy, and goes on', async () => {
    const name = await sheep.createVdi(2 ** 22)
    const sheepfs = await startSheepfs(stage, { sheep, attach: [name] })
    const file = await open(sheepfs.volume(name))
    const complaint = once(sheepfs.child.stderr ?? sheepfs.child, 'data')
    sheepfs.child.kill('SIGTERM')
    assert.match(String((await complaint)[0]), new RegExp(`\\b${process.pid}\\b`))
    await file.read(Buffer.alloc(512), 0, 512, 0)
    await file.close()
    await sheepfs.stop()
  })

  test('refuses a mountpoint where it is mounted already', async () => {
    const sheepfs = await startSheepfs(stage, { sheep })
    const again: Outcome = await run(process.execPath, [...sheepfsArguments({ sheep }), sheepfs.mountpoint])
    assert.notEqual(again.status, 0)
    assert.match(again.stderr, /mounted|busy/)
    await stat(sheepfs.path('volume'))
    await sheepfs.stop()
  })
})

/** The processes whose command line names a mountpoint. */
async function servantsOf(mountpoint: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return pids.filter((_, at) => lines[at]?.includes(mountpoint))
}
