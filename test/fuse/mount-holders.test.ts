import assert from 'node:assert/strict'
import { test } from 'node:test'
import { described } from '../../src/fuse/mount-holders.ts'

test('of any number of processes that are said to have something open, some are looked at', async () => {
  const some = [0, process.pid, process.pid, 2 ** 52]
  assert.deepEqual(await described(some), [`node (pid ${process.pid})`])
  const all = Array.from({ length: 100_000 }, (_, pid) => pid)
  assert.deepEqual(await described([...all.map((pid) => pid + 2 ** 40), process.pid]), [])
})
