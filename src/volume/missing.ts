import { sleep } from '../clock.ts'
import { isSheepfsError, SheepfsError, type ErrorCode } from '../errors.ts'
import type { Cluster } from '../sheep/cluster.ts'
import type { Patience } from '../sheep/outage.ts'

/** What it takes to wait for something that is missing. */
export type Waits = Pick<Cluster, 'clock' | 'timing' | 'ioTimeoutMs' | 'absentMembers' | 'look' | 'failure'>

/**
 * How long one request has met something that should be there and is not, or cannot be read: while nodes come and go
 * that passes (docs/sheepdog-protocol.md#5.2). Time spent otherwise, waiting for the cluster, does not count. While nodes
 * of an earlier epoch are away it may lie with them: then it is an outage, and waited for as any.
 */
export class Missing {
  readonly #cluster: Waits
  /** Of the request. */
  readonly patience: Patience
  #waitedMs = 0

  constructor(cluster: Waits, patience: Patience) {
    this.#cluster = cluster
    this.patience = patience
  }

  /** Pauses before the next try; rejects with `failure` when it has lasted too long. */
  async wait(failure: SheepfsError): Promise<void> {
    const { clock, timing, ioTimeoutMs } = this.#cluster
    const isOver = this.#waitedMs >= Math.min(timing.missingLimitMs, ioTimeoutMs)
    if (isOver || this.#waitedMs === 0) await this.#cluster.look() // was it formatted? then nothing that was there will be
    if (this.#cluster.failure) throw this.#cluster.failure
    if (!isOver) {
      this.#waitedMs += timing.missingPauseMs
      await this.patience.during(sleep(clock, timing.missingPauseMs), failure)
      return
    }
    const [absent] = await this.#cluster.absentMembers()
    if (absent === undefined) throw failure
    const text = `${failure.message}; sheep ${absent}, which may have it, is away`
    await this.patience.wait(new SheepfsError('unreachable', text, { cause: failure }))
  }
}

const MISSING: readonly ErrorCode[] = ['stale', 'io']

/** Reads something of an inode, again while it fails with one of `codes`. Errors: stale when it stays away, io. */
export function whileMissing<T>(
  cluster: Cluster,
  read: (patience: Patience) => Promise<T>,
  {
    codes = MISSING,
    patience,
  }: { readonly codes?: readonly ErrorCode[]; readonly patience?: Patience | undefined } = {},
): Promise<T> {
  return cluster.withPatience(patience, async (own) => {
    const missing = new Missing(cluster, own)
    for (;;) {
      try {
        return await read(own)
      } catch (error) {
        if (!isSheepfsError(error) || !codes.includes(error.code)) throw error
        await missing.wait(error)
      }
    }
  })
}
