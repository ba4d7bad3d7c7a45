import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { MENDED_SEEDS } from './known-faults.ts'
import { runSeed } from './seed-run.ts'
import { Trace } from './trace.ts'

const run = promisify(execFile)
const SIMULATE = join(import.meta.dirname, 'simulate.js')
/** In continuous integration about two minutes. */
const SCHEDULES = process.env['CI'] === undefined ? 1000 : 20_000
const LIMIT = { timeout: 1_800_000 }

test('a seed gives the same run to the byte, however often', LIMIT, async () => {
  const play = async (seed: number): Promise<readonly [string, readonly string[] | undefined]> => {
    const trace = new Trace({ isWritten: true })
    await runSeed(seed, { trace })
    return [trace.hex, trace.lines]
  }
  for (let seed = 1; seed <= 50; seed++) assert.deepEqual(await play(seed), await play(seed), `seed ${seed}`)
})

test('faults that were found and mended stay mended', LIMIT, async () => {
  for (const { seed, name } of MENDED_SEEDS) {
    const { found } = await runSeed(seed)
    assert.equal(found?.fault === undefined ? found?.text : undefined, undefined, `seed ${seed}: ${name}`)
  }
})

test(
  'whatever the cluster and the network do, nothing acknowledged is lost, and nothing waits in vain',
  LIMIT,
  async (context) => {
    const { stdout } = await run(process.execPath, [SIMULATE, '--seed', '1', '--schedules', String(SCHEDULES)])
    context.diagnostic(stdout.trim())
  },
)
