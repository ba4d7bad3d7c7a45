import assert from 'node:assert/strict'
import { join } from 'node:path'
import { run } from '../../e2e/stage/program.ts'

const CONFIG = join(import.meta.dirname, '../../../../packaging/rpm/rpmlint.toml')

/** Errors: rpmlint finds a fault with a package, beyond what its configuration gives reasons for. */
export async function lintRpm(path: string): Promise<void> {
  const { status, stdout, stderr } = await run('rpmlint', ['--config', CONFIG, path], { limitMs: 200_000 })
  assert.equal(status, 0, stdout + stderr)
  assert.match(stdout, / 0 errors, 0 warnings/, stdout)
}
