import { SheepfsError, isSheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { pause } from './pause.ts'
import type { WorkerClient } from './worker-client.ts'

/** How long an end by force waits for an orderly one. */
const FORCE_LIMIT_MS = 3000
/** How long a worker may take to close its volumes once the mount has ended. */
const CLOSE_LIMIT_MS = 30_000
/** The same when the mount was ended by force: what was to be saved has had its time. */
const FORCED_CLOSE_LIMIT_MS = 3000

/** What can be unmounted: by the supervisor, or by the worker that mounted. */
export interface Endable {
  /** Errors: busy, and the mount goes on. */
  unmount(): Promise<void>
  abort(): Promise<void>
}

/** A mount of an engine that mounts by itself, in its worker. */
export function mountOfWorker(worker: WorkerClient): Endable {
  return { unmount: () => worker.call('unmount'), abort: () => worker.call('abort') }
}

/** Unmounts; with `force` what cannot be unmounted is aborted. Errors: busy without `force`. */
export async function endMount(mount: Endable, { force, log }: { force: boolean; log: Logger }): Promise<void> {
  if (!force) return mount.unmount()
  const late = new SheepfsError('timeout', `not unmounted within ${FORCE_LIMIT_MS / 1000} s`)
  try {
    await Promise.race([mount.unmount(), pause(FORCE_LIMIT_MS).then(() => Promise.reject(late))])
  } catch (error) {
    if (!isSheepfsError(error)) throw error
    log.warn(`ended by force: ${error.message}`)
    await mount.abort()
  }
}

/** Resolves when the worker of a mount that has ended has closed its volumes and is gone; it is killed when it takes too long. */
export async function awaitClosed(
  worker: WorkerClient,
  { force, log }: { force: boolean; log: Logger },
): Promise<void> {
  const timer = setTimeout(
    () => {
      log.error('the worker did not close its volumes in time: their last flush and their locks may be missing')
      worker.kill()
    },
    force ? FORCED_CLOSE_LIMIT_MS : CLOSE_LIMIT_MS,
  )
  await worker.gone
  clearTimeout(timer)
}
