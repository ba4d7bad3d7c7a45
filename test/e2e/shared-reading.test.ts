import assert from 'node:assert/strict'
import { open, readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { missing, TESTED_ENGINES } from './stage/ability.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { startSheepfsd, tableOf } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20

describe('a VDI attached for reading, with the page cache', { skip: missing('fuse', 'root'), timeout: 120_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  for (const engine of TESTED_ENGINES) {
    test(`shows what others have written when it is opened: ${engine}`, async () => {
      const name = await sheep.createVdi(MIB)
      const writer = await startSheepfs(stage, { sheep, attach: [name] })
      const write = async (text: string): Promise<void> => {
        const file = await open(writer.volume(name), 'r+')
        await file.write(text, 0)
        await file.close()
      }
      await write('before')
      const table = await tableOf(stage, 'm', sheep, [])
      const daemon = await startSheepfsd(stage, {
        mounts: [{ ...table, engine, page_cache: true }],
        workerUser: 'root',
      })
      const { volume } = await daemon.client.attach('m', name, { read_only: true })
      const shown = async (): Promise<string> => (await readFile(volume.path)).toString('utf8', 0, 6)
      assert.equal(await shown(), 'before')
      await write('behind')
      assert.equal(await shown(), 'behind')
      await daemon.stop()
      await writer.stop()
    })
  }
})
