import { VOLUME_OPERATIONS, type OperationCounts } from '../operation-counts.ts'

/** A request without an answer for as long as this waits, ms. */
const WAITS_AFTER_MS = 1000

/** As the kernel names them. */
const OF_VOLUMES: ReadonlySet<string> = new Set(VOLUME_OPERATIONS.map((name) => name.toUpperCase()))

/** A request that is being served, from `Meter.begin` to `Meter.end`. */
export interface Measured {
  /** A time of `performance.now()`. */
  readonly since: number
  readonly ofMount: OperationMeter
  readonly ofVolume: OperationMeter | undefined
}

type Operations = Map<string, OperationMeter>

/** What of each meter is under way. */
type Open = ReadonlyMap<OperationMeter, Pick<OperationCounts, 'inFlight' | 'waiting'>>

/** Measures the requests of an engine. Cheap enough to be always on: two readings of the clock a request. */
export class Meter {
  readonly #boundsMs: readonly number[]
  readonly #operations: Operations = new Map()
  /** By node id. */
  readonly #volumes = new Map<number, Operations>()
  /** In the order they came in. */
  readonly #inFlight = new Set<Measured>()
  /** Requests that the kernel sent again after a predecessor had died. */
  resent = 0

  /** @param boundsS upper bounds of the latency buckets, ascending, seconds */
  constructor(boundsS: readonly number[]) {
    this.#boundsMs = boundsS.map((bound) => bound * 1000)
  }

  /** What comes for this node from now on is counted apart too. */
  addVolume(node: number): void {
    this.#volumes.set(node, new Map())
  }

  removeVolume(node: number): void {
    this.#volumes.delete(node)
  }

  /** A request for a node has come. */
  begin(operation: string, node: number): Measured {
    const volume = OF_VOLUMES.has(operation) ? this.#volumes.get(node) : undefined
    const measured = {
      since: performance.now(),
      ofMount: this.#meterOf(this.#operations, operation),
      ofVolume: volume && this.#meterOf(volume, operation),
    }
    this.#inFlight.add(measured)
    return measured
  }

  /** The request is answered. */
  end(measured: Measured, bytes: number, isError: boolean): void {
    this.#inFlight.delete(measured)
    const elapsedMs = performance.now() - measured.since
    let bucket = 0
    while (bucket < this.#boundsMs.length && elapsedMs > (this.#boundsMs[bucket] ?? 0)) bucket++
    measured.ofMount.add(elapsedMs, bucket, bytes, isError)
    measured.ofVolume?.add(elapsedMs, bucket, bytes, isError)
  }

  /** What was measured up to now of the mount. */
  mountCounts(): OperationCounts[] {
    return countsOf(this.#operations, this.#open())
  }

  /** The same of each volume, by node id. */
  volumeCounts(): ReadonlyMap<number, OperationCounts[]> {
    const open = this.#open()
    return new Map([...this.#volumes].map(([node, operations]) => [node, countsOf(operations, open)]))
  }

  #meterOf(operations: Operations, name: string): OperationMeter {
    let meter = operations.get(name)
    if (!meter) {
      meter = new OperationMeter(this.#boundsMs.length + 1)
      operations.set(name, meter)
    }
    return meter
  }

  #open(): Open {
    const open = new Map<OperationMeter, { inFlight: number; waiting: number }>()
    const waitsSince = performance.now() - WAITS_AFTER_MS
    for (const { since, ofMount, ofVolume } of this.#inFlight) {
      for (const meter of ofVolume ? [ofMount, ofVolume] : [ofMount]) {
        const counted = open.get(meter) ?? { inFlight: 0, waiting: 0 }
        counted.inFlight++
        if (since <= waitsSince) counted.waiting++
        open.set(meter, counted)
      }
    }
    return open
  }
}

function countsOf(operations: Operations, open: Open): OperationCounts[] {
  return [...operations].map(([name, meter]) => ({
    operation: name.toLowerCase(),
    ...meter.counts(),
    ...(open.get(meter) ?? { inFlight: 0, waiting: 0 }),
  }))
}

/** Counts one kind of request that was answered. */
class OperationMeter {
  readonly #buckets: number[]
  #count = 0
  #errors = 0
  #bytes = 0
  #sumMs = 0

  constructor(buckets: number) {
    this.#buckets = new Array<number>(buckets).fill(0)
  }

  add(elapsedMs: number, bucket: number, bytes: number, isError: boolean): void {
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#count++
    this.#sumMs += elapsedMs
    this.#bytes += bytes
    if (isError) this.#errors++
  }

  counts(): Omit<OperationCounts, 'operation' | 'inFlight' | 'waiting'> {
    return {
      count: this.#count,
      errors: this.#errors,
      bytes: this.#bytes,
      latencySumS: this.#sumMs / 1000,
      latencyCounts: [...this.#buckets],
    }
  }
}
