import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { findMount } from '../../../src/fuse/mount-table.ts'
import { missing } from '../../e2e/stage/ability.ts'
import { run, succeed } from '../../e2e/stage/program.ts'
import { startSheep, type Sheep } from '../../e2e/stage/sheep.ts'
import { Stage } from '../../e2e/stage/stage.ts'
import { startSheepfs } from '../../e2e/stage/sheepfs.ts'
import { addressText } from '../../../src/sheep/address.ts'

const MOUNT = join(import.meta.dirname, '../../../src/cli/mount-sheepfs.js')
const UMOUNT = join(import.meta.dirname, '../../../src/cli/umount-sheepfs.js')
const LIMIT = { timeout: 120_000 }

describe('mount.sheepfs with a daemon of its own', { ...LIMIT, skip: missing('root', 'fuse') }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let vdi: string
  let directory: string

  before(async () => {
    sheep = await startSheep(stage)
    vdi = await sheep.createVdi(64 << 20, { name: 'a disk, 100% ours' })
    await sheep.createVdi(4 << 20, { name: 'empty' })
    directory = await stage.mountpoint()
    stage.defer(async () => {
      if (await findMount(directory)) await run('umount', ['-i', directory], { limitMs: 10_000 })
    })
    const maker = await startSheepfs(stage, { sheep, attach: [vdi.replace('%', '%25')] })
    await succeed('mkfs.ext4', ['-q', maker.volume(vdi.replace('%', '%25'))])
    await maker.stop()
  })
  after(() => stage.close())

  const source = (volume: string): string => `sheepdog://${addressText(sheep.address)}/${volume}`
  const mount = (...args: string[]) => run(process.execPath, [MOUNT, ...args])

  test('the file system in a volume is mounted, and umount leaves no loop device and no daemon', LIMIT, async () => {
    const from = source('a disk, 100%25 ours')
    const { status, stderr } = await mount(from, directory, '-o', 'rw,_netdev,nofail,x-a.b=c,noatime')
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    const device = (await findMount(directory))?.source ?? ''
    await writeFile(join(directory, 'file'), 'kept')
    assert.equal((await mount(from, directory)).status, 0, 'a second mount of the same finds it done')
    await succeed(process.execPath, [UMOUNT, directory])
    const backing = await readFile(`${device.replace('/dev', '/sys/block')}/loop/backing_file`, 'utf8').catch(() => '')
    assert.doesNotMatch(backing, /a disk/)
    await succeed(process.execPath, [MOUNT, from, directory, '-o', 'ro,fstype=ext4'])
    assert.equal(await readFile(join(directory, 'file'), 'utf8'), 'kept')
    await assert.rejects(writeFile(join(directory, 'file'), 'changed'), { code: 'EROFS' })
    await succeed(process.execPath, [UMOUNT, directory])
  })

  test('the tree is mounted under the name of its source, and its daemon ends with it', LIMIT, async () => {
    assert.equal((await mount(source(''), directory)).status, 0)
    assert.equal((await findMount(directory))?.source, source(''))
    assert.deepEqual(await readdir(directory), ['cluster', 'config', 'node', 'vdi', 'volume'])
    await succeed('umount', [directory])
  })

  const failures = [
    ['a VDI that is not there', 'nosuch', '', 32, /nosuch/],
    ['a partition that is not there', 'a disk, 100%25 ours', 'partition=3', 32, /no partition 3/],
    ['a volume without a file system', 'empty', 'fstype=ext4', 32, /no file system found: make one with mkfs/],
    ['an option that fits no volume', 'nosuch', 'allow_other', 1, /allow_other/],
  ] as const
  for (const [what, volume, options, status, message] of failures) {
    test(`${what} gives one line and status ${status}, and leaves nothing`, LIMIT, async () => {
      const outcome = await mount(source(volume), directory, ...(options === '' ? [] : ['-o', options]))
      assert.equal(outcome.status, status)
      assert.match(outcome.stderr, /^mount\.sheepfs: [^\n]+\n$/)
      assert.match(outcome.stderr, message)
      assert.equal(await findMount(directory), undefined)
      assert.deepEqual(
        (await readdir('/run/sheepfs')).filter((name) => name.startsWith('mount.')),
        [],
      )
    })
  }
})
