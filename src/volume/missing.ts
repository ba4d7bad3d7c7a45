import { sleep } from '../clock.ts'
import { isSheepfsError, type SheepfsError } from '../errors.ts'
import type { Cluster } from '../sheep/cluster.ts'

/**
 * How long one request has met something that should be there and is not, or cannot be read: while nodes come and go
 * that passes (docs/sheepdog-protocol.md#5.2). Time spent otherwise, waiting for the cluster, does not count.
 */
export class Missing {
  readonly #cluster: Pick<Cluster, 'clock' | 'timing' | 'ioTimeoutMs'>
  #waitedMs = 0

  constructor(cluster: Pick<Cluster, 'clock' | 'timing' | 'ioTimeoutMs'>) {
    this.#cluster = cluster
  }

  /** Pauses before the next try; rejects with `failure` when it has lasted too long. */
  async wait(failure: () => SheepfsError): Promise<void> {
    const { missingLimitMs, missingPauseMs } = this.#cluster.timing
    if (this.#waitedMs >= Math.min(missingLimitMs, this.#cluster.ioTimeoutMs)) throw failure()
    this.#waitedMs += missingPauseMs
    await sleep(this.#cluster.clock, missingPauseMs)
  }
}

/** Reads something of an inode, again while it cannot be read. Errors: stale when it stays away, io. */
export async function whileMissing<T>(cluster: Cluster, read: () => Promise<T>): Promise<T> {
  const missing = new Missing(cluster)
  for (;;) {
    try {
      return await read()
    } catch (error) {
      if (!isSheepfsError(error, 'stale') && !isSheepfsError(error, 'io')) throw error
      await missing.wait(() => error)
    }
  }
}
