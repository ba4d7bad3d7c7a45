import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findPartition } from '../../../src/daemon/device/partition-table.ts'
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
      assert.deepEqual(await findPartition(path, 1, signal), { offset: MIB, size: 32 * MIB }, String(sector))
      await assert.rejects(findPartition(path, 2, signal), { code: 'not-found', message: /no partition 2: it has 1$/ })
    }
    const empty = join(directory, 'empty')
    await writeFile(empty, Buffer.alloc(MIB))
    await assert.rejects(findPartition(empty, 1, signal), { code: 'not-found', message: /it has no partition table$/ })
  },
)
