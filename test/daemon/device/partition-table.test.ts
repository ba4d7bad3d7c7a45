import assert from 'node:assert/strict'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { findPartition } from '../../../src/daemon/device/partition-table.ts'
import { dosDisk } from './dos-disk.ts'
import { diskOf } from './gpt-disk.ts'

const MIB = 2 ** 20

test(
  'a partition is found whatever sectors the disk had that the table was written on',
  { timeout: 60_000 },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'partition-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    const { signal } = new AbortController()
    for (const sector of [512, 4096]) {
      const path = join(directory, String(sector))
      await writeFile(path, diskOf(sector))
      assert.deepEqual(await findPartition(path, 1, { signal }), { offset: MIB, size: 32 * MIB }, String(sector))
      await assert.rejects(findPartition(path, 2, { signal }), {
        code: 'not-found',
        message: /no partition 2: it has 1$/,
      })
    }
    const empty = join(directory, 'empty')
    await writeFile(empty, Buffer.alloc(MIB))
    await assert.rejects(findPartition(empty, 1, { signal }), {
      code: 'not-found',
      message: /it has no partition table$/,
    })
  },
)

test('a DOS table does not tell its sectors, and is read with those that are named', { timeout: 60_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'partition-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'dos')
  await writeFile(path, dosDisk({ start: 256, sectors: 2048 }))
  assert.deepEqual(await findPartition(path, 1), { offset: MIB / 8, size: MIB })
  assert.deepEqual(await findPartition(path, 1, { sectorSize: 4096 }), { offset: MIB, size: 8 * MIB })
})

/** Who reads all of that table at once has 4 GiB in memory, after half a minute. */
test('a table that was made to take all memory is none', { timeout: 20_000 }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'partition-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const disk = diskOf(512)
  const header = disk.subarray(512, 512 + 92)
  header.writeUInt32LE(2 ** 25 - 1, 80) // entries
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header), 16)
  const path = join(directory, 'hostile')
  await writeFile(path, disk)
  await truncate(path, 6 * 2 ** 30)
  const finding = findPartition(path, 1)
  await assert.rejects(finding, { code: 'not-found', message: /it has no partition table$/ })
})
