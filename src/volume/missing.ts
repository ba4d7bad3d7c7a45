import { sleep } from '../clock.ts'
import { isSheepfsError, SheepfsError, type ErrorCode } from '../errors.ts'
import type { Cluster } from '../sheep/cluster.ts'
import type { Patience } from '../sheep/outage.ts'

/** What it takes to wait for something that is missing. */
export type Waits = Pick<
  Cluster,
  'clock' | 'timing' | 'ioTimeoutMs' | 'patience' | 'absentMembers' | 'look' | 'failure'
>

/**
 * How long one request has met something that should be there and is not, or cannot be read: while nodes come and go
 * that passes (docs/sheepdog-protocol.md#5.2). Time spent otherwise, waiting for the cluster, does not count. While nodes
 * of an earlier epoch are away it may lie with them: then it is an outage, and waited for as any. To be ended.
 */
export class Missing {
  readonly #cluster: Waits
  #waitedMs = 0
  #patience: Patience | undefined

  constructor(cluster: Waits) {
    this.#cluster = cluster
  }

  /** Pauses before the next try; rejects with `failure` when it has lasted too long. */
  async wait(failure: () => SheepfsError): Promise<void> {
    const { clock, timing, ioTimeoutMs } = this.#cluster
    const isOver = this.#waitedMs >= Math.min(timing.missingLimitMs, ioTimeoutMs)
    if (isOver || this.#waitedMs === 0) await this.#cluster.look() // was it formatted? then nothing that was there will be
    if (this.#cluster.failure) throw this.#cluster.failure
    if (!isOver) {
      this.#waitedMs += timing.missingPauseMs
      await sleep(clock, timing.missingPauseMs)
      return
    }
    const known = failure()
    const [absent] = await this.#cluster.absentMembers()
    if (absent === undefined) throw known
    this.#patience ??= this.#cluster.patience()
    const text = `${known.message}; sheep ${absent}, which may have it, is away`
    await this.#patience.wait(new SheepfsError('unreachable', text, { cause: known }))
  }

  /** What was missing is there, or was given up. */
  end(): void {
    this.#patience?.end()
  }
}

const MISSING: readonly ErrorCode[] = ['stale', 'io']

/** Reads something of an inode, again while it fails with one of `codes`. Errors: stale when it stays away, io. */
export async function whileMissing<T>(cluster: Cluster, read: () => Promise<T>, codes = MISSING): Promise<T> {
  const missing = new Missing(cluster)
  try {
    for (;;) {
      try {
        return await read()
      } catch (error) {
        if (!isSheepfsError(error) || !codes.includes(error.code)) throw error
        await missing.wait(() => error)
      }
    }
  } finally {
    missing.end()
  }
}
