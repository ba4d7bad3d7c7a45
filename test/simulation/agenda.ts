import type { Timer } from '../../src/clock.ts'
import type { Trace } from './trace.ts'

interface Entry {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/** Entries run in one turn of the real event loop; between them all promises settle, as Node.js does between immediates. */
const BATCH = 64

/**
 * Virtual time: what is to happen, in order of time, then of asking. One entry at a time, and nothing else decides what
 * comes next, so that a run follows from its numbers to the byte.
 */
export class Agenda {
  readonly #trace: Trace
  /** A binary heap. */
  readonly #entries: Entry[] = []
  #now = 0
  #count = 0
  #turn = 0
  #end: (() => void) | undefined

  constructor(trace: Trace) {
    this.#trace = trace
  }

  /** Virtual time, ms. */
  get now(): number {
    return this.#now
  }

  /** Counts the entries that have run. */
  get turn(): number {
    return this.#turn
  }

  after(ms: number, run: () => void): Timer {
    const entry: Entry = { at: this.#now + Math.max(0, ms), order: this.#count++, run }
    this.#push(entry)
    return {
      cancel: () => {
        entry.run = undefined
      },
    }
  }

  /** Resolves after `ms`. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve)
    })
  }

  /** Runs entries until `stop` is called or none is left. */
  async run(): Promise<void> {
    let isOver = false
    await new Promise<void>((resolve, reject) => {
      this.#end = resolve
      const step = (): void => {
        if (!isOver) this.#step(resolve, reject)
      }
      const batch = (): void => {
        if (isOver) return
        for (let count = 1; count < BATCH; count++) setImmediate(step)
        setImmediate(batch)
        step()
      }
      setImmediate(batch)
    }).finally(() => {
      isOver = true
    })
  }

  stop(): void {
    this.#end?.()
  }

  #step(resolve: () => void, reject: (error: unknown) => void): void {
    const entry = this.#pop()
    if (!entry) {
      resolve()
      return
    }
    const { run } = entry
    if (!run) return
    this.#now = entry.at
    this.#turn++
    this.#trace.number(entry.at * 1000)
    try {
      run()
    } catch (error) {
      reject(error)
    }
  }

  #push(entry: Entry): void {
    const heap = this.#entries
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (!parent || !isBefore(entry, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = entry
  }

  #pop(): Entry | undefined {
    const heap = this.#entries
    const first = heap[0]
    const last = heap.pop()
    if (!first || !last || heap.length === 0) return first
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      let child = heap[below]
      if (!child) break
      const right = heap[below + 1]
      if (right && isBefore(right, child)) {
        child = right
        below++
      }
      if (!isBefore(child, last)) break
      heap[at] = child
      at = below
    }
    heap[at] = last
    return first
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
