import assert from 'node:assert/strict'
import { chown } from 'node:fs/promises'
import { after, describe, test } from 'node:test'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startSheep } from './stage/sheep.ts'
import { control, startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const NOBODY = 65534
/** Runs as nobody, who may read the clone wherever it lies but has no other privilege. */
const AS_NOBODY = [
  'setpriv',
  `--reuid=${NOBODY}`,
  `--regid=${NOBODY}`,
  '--clear-groups',
  '--inh-caps=-all,+dac_read_search',
  '--ambient-caps=-all,+dac_read_search',
]

describe('without privileges', { skip: missing('fuse', 'root', 'fusermount'), timeout: 120_000 }, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('fuse-native mounts a volume that its owner, and nobody else, reads and writes', async () => {
    const sheep = await startSheep(stage)
    const name = await sheep.createVdi(32 * 2 ** 20)
    const mountpoint = await stage.mountpoint()
    await chown(mountpoint, NOBODY, NOBODY)
    const options = { sheep, engine: 'fuse-native', attach: [name], mountpoint, prefix: AS_NOBODY } as const
    const sheepfs = await startSheepfs(stage, options)
    const asNobody = (program: string, ...args: string[]): Promise<string> =>
      succeed('setpriv', [...AS_NOBODY.slice(1), program, ...args])

    const source = `${await stage.folder()}/random`
    await succeed('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', 'count=8', 'status=none'])
    await asNobody('dd', `if=${source}`, `of=${sheepfs.volume(name)}`, 'bs=64k', 'conv=fsync', 'status=none')
    await asNobody('cmp', '-n', String(8 * 2 ** 20), source, sheepfs.volume(name))
    assert.match(await asNobody('ls', '-l', sheepfs.path('volume')), /^-rw------- .* nobody/m)
    await assert.rejects(control(sheepfs, 'vdi/mount', name), { code: 'EACCES' })
    await sheepfs.stop()
  })

  test('the kernel engine says that it needs root', async () => {
    const sheep = await startSheep(stage)
    const mountpoint = await stage.mountpoint()
    await chown(mountpoint, NOBODY, NOBODY)
    const starting = startSheepfs(stage, { sheep, engine: 'kernel', mountpoint, prefix: AS_NOBODY })
    await assert.rejects(starting, /permi|root|superuser/i)
    assert.equal(await findMount(mountpoint), undefined)
  })
})
