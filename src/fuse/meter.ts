import type { OperationCounts } from '../operation-counts.ts'

/** Measures the requests of an engine. Cheap enough to be always on: two readings of the clock a request. */
export class Meter {
  readonly #boundsMs: readonly number[]
  readonly #operations = new Map<string, OperationMeter>()
  /** Requests that the kernel sent again after a predecessor had died. */
  resent = 0

  /** @param boundsS upper bounds of the latency buckets, ascending, seconds */
  constructor(boundsS: readonly number[]) {
    this.#boundsMs = boundsS.map((bound) => bound * 1000)
  }

  /** The meter of an operation, by its name. */
  operation(name: string): OperationMeter {
    let meter = this.#operations.get(name)
    if (!meter) {
      meter = new OperationMeter(this.#boundsMs)
      this.#operations.set(name, meter)
    }
    return meter
  }

  /** What was measured up to now. */
  counts(): OperationCounts[] {
    return [...this.#operations].map(([operation, meter]) => ({
      operation: operation.toLowerCase(),
      ...meter.counts(),
    }))
  }
}

/** Measures one kind of request. */
export class OperationMeter {
  readonly #boundsMs: readonly number[]
  readonly #buckets: number[]
  #begun = 0
  #ended = 0
  #errors = 0
  #bytes = 0
  #sumMs = 0

  constructor(boundsMs: readonly number[]) {
    this.#boundsMs = boundsMs
    this.#buckets = new Array<number>(boundsMs.length + 1).fill(0)
  }

  /** A request has come; returns when, for `end`. */
  begin(): number {
    this.#begun++
    return performance.now()
  }

  /** The request that came at `since` is answered. */
  end(since: number, bytes: number, isError: boolean): void {
    const elapsedMs = performance.now() - since
    let bucket = 0
    while (bucket < this.#boundsMs.length && elapsedMs > (this.#boundsMs[bucket] ?? 0)) bucket++
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#ended++
    this.#sumMs += elapsedMs
    this.#bytes += bytes
    if (isError) this.#errors++
  }

  counts(): Omit<OperationCounts, 'operation'> {
    return {
      count: this.#ended,
      errors: this.#errors,
      bytes: this.#bytes,
      inFlight: this.#begun - this.#ended,
      latencySumS: this.#sumMs / 1000,
      latencyCounts: [...this.#buckets],
    }
  }
}
