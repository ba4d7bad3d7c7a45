import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from '../e2e/stage/program.ts'
import { SHEEPFSD } from '../e2e/stage/sheepfsd.ts'

test(
  'a command line that is not understood ends sheepfsd with status 2, in one line',
  { timeout: 60_000 },
  async () => {
    for (const [args, complaint] of [
      [['--nosuch'], "unknown option '--nosuch'"],
      [['a', 'b'], 'expected the name of one instance: sheepfsd INSTANCE'],
      [
        ['../x'],
        'name of an instance: found "../x", expected a name of up to 64 letters, digits, "_", "." and "-" that starts ' +
          'with a letter or digit',
      ],
    ] as const) {
      const { status, stdout, stderr } = await run(process.execPath, [SHEEPFSD, ...args])
      assert.deepEqual({ status, stdout, stderr }, { status: 2, stdout: '', stderr: `sheepfsd: ${complaint}\n` })
    }
  },
)
