import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Mounted } from '../../../src/fuse/engine.ts'
import { kernelEngine } from './kernel-engine.ts'
import { isSheepfsError } from '../../../src/errors.ts'
import { silentLogger } from '../../../src/log.ts'
import { Stage } from '../../e2e/stage/stage.ts'
import { MemoryTree } from '../memory-tree.ts'

/** Why tests with real mounts cannot run here; false when they can. */
export const cannotMount = reason()

function reason(): string | false {
  if (process.geteuid?.() !== 0) return 'only root may mount without fusermount'
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK)
    return false
  } catch {
    return '/dev/fuse cannot be opened'
  }
}

/** For `test`: skipped where nothing can be mounted, and never for ever. */
export const WITH_MOUNT = { skip: cannotMount, timeout: 30_000 } as const

/** A tree in memory, mounted until the test ends. */
export interface MemoryMount {
  readonly tree: MemoryTree
  readonly mounted: Mounted
  readonly stage: Stage
  readonly path: string
  /** The path of volume/test. */
  readonly volume: string
}

export async function mountMemory(
  context: TestContext,
  options: { size?: number; caching?: 'direct' | 'cached'; writeBack?: boolean } = {},
): Promise<MemoryMount> {
  const { size = 16 << 20, caching = 'direct', writeBack = false } = options
  const stage = new Stage()
  context.after(() => stage.close())
  const tree = new MemoryTree(size)
  tree.volume.caching = caching
  const path = await stage.mountpoint()
  const mounted = await kernelEngine.mount(tree, {
    ...{ mountpoint: path, source: 'memory', allowOther: true, caching, writeBack, log: silentLogger() },
  })
  stage.defer(() => endMount(mounted))
  return { tree, mounted, stage, path, volume: join(path, 'volume/test') }
}

/** A test that failed may have left the mount busy. */
async function endMount(mounted: Mounted): Promise<void> {
  try {
    await mounted.unmount()
  } catch (error) {
    if (!isSheepfsError(error, 'busy')) throw error
    await mounted.abort()
  }
}
