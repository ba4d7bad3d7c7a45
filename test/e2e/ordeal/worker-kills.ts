import assert from 'node:assert/strict'
import { constants, type FileHandle, open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import type { Sheepfsd } from '../stage/sheepfsd.ts'

const BETWEEN_MS = 300

/** How often a worker is killed once, and how often its successor right after it too. */
export interface Kills {
  readonly single: number
  readonly double: number
  /** How long a worker serves before it is killed. Many short lives are a mount that has failed, and have longer pauses. */
  readonly betweenMs?: number
}

/** Kills one worker of a mount after the other, and tells how long a read of the volume at `path` had to wait each time. */
export async function killInTurn(
  t: TestContext,
  daemon: Sheepfsd,
  { mount, path, kills }: { mount: string; path: string; kills: Kills },
): Promise<void> {
  const file = await openDirect(path)
  for (let i = 0; i < kills.single + kills.double; i++) {
    await delay(kills.betweenMs ?? BETWEEN_MS)
    const isDouble = i >= kills.single
    const generation = await daemon.killWorker(mount)
    const stall = stallOf(file)
    if (isDouble) process.kill(await daemon.pidOf(mount, generation), 'SIGKILL')
    t.diagnostic(`stall of kill ${i + 1}${isDouble ? ', of two in a row' : ''}: ${await stall} ms`)
    await daemon.serving(mount, generation + Number(isDouble))
  }
  await file.close()
}

export function openDirect(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_DIRECT)
}

/** How long a read takes from now on, ms. */
export async function stallOf(file: FileHandle | undefined): Promise<number> {
  const before = performance.now()
  const { bytesRead } = (await file?.read(Buffer.alloc(4096), 0, 4096, 0)) ?? { bytesRead: 0 }
  assert.equal(bytesRead, 4096)
  return Math.round(performance.now() - before)
}

/** The longest that a read had to wait until something else is over, ms. */
export async function longestStall(file: FileHandle, other: Promise<unknown>): Promise<number> {
  const over = other.then(
    () => true,
    () => true,
  )
  let longest = 0
  do longest = Math.max(longest, await stallOf(file))
  while (!(await Promise.race([over, delay(1, false)])))
  return longest
}
