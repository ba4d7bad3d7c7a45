import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runToEnd } from '../../src/fuse/run-to-end.ts'

const LIMIT_MS = 10_000

/** A shell that notes that it runs, and goes on with `then`. */
async function noting(t: TestContext, then: string) {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-run-'))
  t.after(() => rm(folder, { recursive: true }))
  const notes = join(folder, 'notes')
  return {
    run: (limitMs = LIMIT_MS) => runToEnd('sh', ['-c', `echo >>"$1"; ${then}`, 'sh', notes], limitMs),
    runs: async () => (await readFile(notes, 'utf8')).length,
  }
}

test('a program that SIGTERM ends, as when a whole service is stopped, runs again', async (t) => {
  const { run, runs } = await noting(t, 'test $(wc -l <"$1") = 3 || kill $$')
  await run()
  assert.equal(await runs(), 3)
})

test('a program that fails, is killed or takes too long does not run again', async (t) => {
  const failing = await noting(t, 'echo why >&2; exit 3')
  await assert.rejects(failing.run(), { code: 3, stderr: 'why\n' })
  const killed = await noting(t, 'kill -KILL $$')
  await assert.rejects(killed.run(), { signal: 'SIGKILL' })
  const slow = await noting(t, 'exec sleep 10')
  await assert.rejects(slow.run(500), { signal: 'SIGTERM', killed: true })
  assert.deepEqual([await failing.runs(), await killed.runs(), await slow.runs()], [1, 1, 1])
})

test('a program that SIGTERM ends again and again is given up', async (t) => {
  const { run } = await noting(t, 'kill $$')
  await assert.rejects(run(), { signal: 'SIGTERM' })
})
