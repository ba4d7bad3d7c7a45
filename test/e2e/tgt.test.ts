import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'
import { exportByTgt, portForTgt } from './stage/tgt.ts'

const MIB = 2 ** 20
const SIZE = 32 * MIB
const NEEDS = missing('fuse', 'root', 'tgtd', 'qemuImg', 'qemuIscsi')

describe('a VDI exported by tgtd', { skip: NEEDS, timeout: 120_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let image: string
  before(async () => {
    sheep = await startSheep(stage, ['--port', String(await portForTgt())])
    image = join(await stage.folder(), 'image')
    // begins and ends with a hole, and neither border is one of an object
    await succeed('dd', ['if=/dev/urandom', `of=${image}`, 'bs=64k', 'seek=80', 'count=240', 'status=none'])
    await succeed('truncate', [`--size=${SIZE}`, image])
  })
  after(() => stage.close())

  test('holds for sheepfs what qemu-img wrote over iSCSI', async () => {
    const name = await sheep.createVdi(SIZE)
    const tgt = await exportByTgt(stage, sheep.address, name)
    await succeed('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', image, tgt.url])
    await tgt.stop()
    const sheepfs = await startSheepfs(stage, { sheep, attach: [name] })
    await succeed('cmp', [image, sheepfs.volume(name)])
    await sheepfs.stop()
  })

  test('gives qemu-img over iSCSI what was written through sheepfs', async () => {
    const name = await sheep.createVdi(SIZE)
    const sheepfs = await startSheepfs(stage, { sheep, attach: [name] })
    await succeed('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', image, sheepfs.volume(name)])
    await sheepfs.stop()
    const tgt = await exportByTgt(stage, sheep.address, name)
    const copy = `${image}.copy`
    await succeed('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', tgt.url, copy])
    await tgt.stop()
    await succeed('cmp', [image, copy])
  })
})
