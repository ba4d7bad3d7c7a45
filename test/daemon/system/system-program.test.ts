import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'node:test'
import { runSystemProgram } from '../../../src/daemon/system/system-program.ts'

const LIMIT = { timeout: 30_000 }

test('an interrupted program has ended when that is told', LIMIT, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-'))
  t.after(() => rm(folder, { recursive: true }))
  const interrupted = new AbortController()
  const file = join(folder, 'told')
  const script = 'trap "sleep 0.3; echo ended >>$0; exit 1" TERM; echo begun >>$0; sleep 20 & wait'
  const running = runSystemProgram('bash', ['-c', script, file], { signal: interrupted.signal })
  const told = async (): Promise<string> => readFile(file, 'utf8').catch(() => '')
  while ((await told()) === '') await delay(5)
  interrupted.abort()
  await assert.rejects(running, { code: 'closed', message: 'interrupted' })
  assert.equal(await told(), 'begun\nended\n')
})

test('a program that did its work before it heard of an interruption has done it', LIMIT, async () => {
  const interrupted = new AbortController()
  const running = runSystemProgram('sh', ['-c', 'trap "" TERM; echo done; sleep 0.3'], { signal: interrupted.signal })
  await delay(100)
  interrupted.abort()
  assert.equal(await running, 'done\n')
  await assert.rejects(runSystemProgram('true', [], { signal: interrupted.signal }), { code: 'closed' })
})
