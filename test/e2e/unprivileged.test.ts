import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, chown, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { succeed, textOf } from './stage/program.ts'
import { startSheep } from './stage/sheep.ts'
import { control, removeMount, startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'
import { NOBODY, UNPRIVILEGED } from './stage/unprivileged.ts'

const IS_ROOT = missing('root') === false
const OWNER = IS_ROOT ? NOBODY : (process.getuid?.() ?? NOBODY)

async function ownMountpoint(stage: Stage): Promise<string> {
  const mountpoint = await stage.mountpoint()
  if (IS_ROOT) await chown(mountpoint, NOBODY, NOBODY)
  return mountpoint
}

describe('without privileges', { skip: missing('fuse', 'fusermount'), timeout: 120_000 }, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('fuse-native mounts a volume that its owner, and nobody else, reads and writes', async () => {
    const sheep = await startSheep(stage)
    const name = await sheep.createVdi(32 * 2 ** 20)
    const mountpoint = await ownMountpoint(stage)
    const options = { sheep, engine: 'fuse-native', attach: [name], mountpoint, prefix: UNPRIVILEGED } as const
    const sheepfs = await startSheepfs(stage, options)
    const asOwner = (program: string, ...args: string[]): Promise<string> =>
      succeed('env', [...UNPRIVILEGED, program, ...args])

    const source = `${await stage.folder()}/random`
    await succeed('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', 'count=8', 'status=none'])
    await asOwner('dd', `if=${source}`, `of=${sheepfs.volume(name)}`, 'bs=64k', 'conv=fsync', 'status=none')
    await asOwner('cmp', '-n', String(8 * 2 ** 20), source, sheepfs.volume(name))
    assert.match(await asOwner('ls', '-ln', sheepfs.path('volume')), new RegExp(`^-rw------- 1 ${OWNER} `, 'm'))
    if (IS_ROOT) await assert.rejects(control(sheepfs, 'vdi/mount', name), { code: 'EACCES' })
    await sheepfs.stop()
  })

  test('fuse-native mounts again when its worker dies, and ends where that cannot be', async () => {
    const sheep = await startSheep(stage)
    const folder = await stage.folder()
    await chmod(folder, 0o755)
    const [parent, elsewhere] = [join(folder, 'a'), join(folder, 'b')]
    const mountpoint = join(parent, 'mnt')
    await mkdir(mountpoint, { recursive: true })
    if (IS_ROOT) await chown(mountpoint, NOBODY, NOBODY)
    const sheepfs = await startSheepfs(stage, { sheep, engine: 'fuse-native', mountpoint, prefix: UNPRIVILEGED })
    const output = textOf(sheepfs.child.stderr)
    process.kill(await sheepfs.workerPid(), 'SIGKILL')
    while (!output().includes('another one takes over')) await once(sheepfs.child.stderr ?? sheepfs.child, 'data')
    const list = [...UNPRIVILEGED, 'sh', '-c', `until [ -e ${mountpoint}/volume ]; do sleep 0.1; done`]
    await succeed('env', list)

    const ended = once(sheepfs.child, 'exit')
    await rename(parent, elsewhere)
    stage.defer(() => removeMount(join(elsewhere, 'mnt')))
    process.kill(await sheepfs.workerPid(), 'SIGKILL')
    assert.deepEqual(await ended, [1, null])
    assert.match(output(), /sheepfs: the mount at ".*" has ended: mountpoint ".*" does not exist/)
  })

  test('the kernel engine says that it needs root', async () => {
    const sheep = await startSheep(stage)
    const mountpoint = await ownMountpoint(stage)
    const starting = startSheepfs(stage, { sheep, engine: 'kernel', mountpoint, prefix: UNPRIVILEGED })
    await assert.rejects(starting, /permi|root|superuser/i)
    assert.equal(await findMount(mountpoint), undefined)
  })
})
