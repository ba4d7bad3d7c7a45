import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Sheepfsd } from '../stage/sheepfsd.ts'
import { longestStall, openDirect } from './worker-kills.ts'

/** Restarts the workers of several mounts in turn, `times` each, and tells how long a read of a volume of it had to wait. */
export async function restartInTurn(
  t: TestContext,
  daemon: Sheepfsd,
  { mounts, times }: { mounts: readonly { readonly name: string; readonly path: string }[]; times: number },
): Promise<void> {
  const files = await Promise.all(mounts.map(({ path }) => openDirect(path)))
  for (let i = 1; i <= times; i++) {
    for (const [at, { name }] of mounts.entries()) {
      const file = files[at] ?? assert.fail()
      const before = (await daemon.serving(name)).worker.generation
      const restarted = daemon.client.restartMount(name)
      t.diagnostic(`stall of restart ${i} of ${name}: ${await longestStall(file, restarted)} ms`)
      assert.equal((await restarted).worker?.generation, before + 1)
    }
  }
  for (const file of files) await file.close()
}
