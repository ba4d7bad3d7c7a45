import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { peakMemory, startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MEMORY_LIMIT = 200 * MIB
/** Four jobs share an object, so that its first write comes from four sides at once. */
const JOBS = ['--numjobs=16', '--size=1m', '--offset_increment=1m', '--loops=2', '--bs=4k', '--rw=randrw']
const CACHES = [
  { name: 'page cache off', args: [] },
  { name: 'page cache on', args: ['-k'] },
]
const WAYS = [
  { name: 'one request at a time', args: ['--ioengine=psync'] },
  { name: '16 requests at once', args: ['--ioengine=libaio', '--iodepth=16', '--direct=1'] },
]

describe('16 jobs of verified random I/O', { skip: missing('fuse', 'root', 'fio'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  for (const cache of CACHES) {
    for (const way of WAYS) {
      test(`find every block as it was written: ${cache.name}, ${way.name}`, async () => {
        const name = await sheep.createVdi(64 * MIB)
        const sheepfs = await startSheepfs(stage, { sheep, attach: [name], args: cache.args })
        const file = ['--name=verify', `--filename=${sheepfs.volume(name)}`, '--allow_file_create=0']
        const verify = [
          '--verify=crc32c',
          '--verify_fatal=1',
          '--verify_state_save=0',
          '--end_fsync=1',
          '--group_reporting',
          '--minimal',
        ]
        await succeed('fio', [...file, ...JOBS, ...way.args, ...verify], { limitMs: 120_000 })
        assert.ok((await peakMemory(await sheepfs.workerPid())) < MEMORY_LIMIT, 'sheepfs uses less than 200 MiB')
        await sheepfs.stop()
      })
    }
  }
})
