/**
 * A place in the queue for a range of one object. It holds the range from when `granted` resolves (undefined: at once)
 * until `release`.
 */
export class RangeHold {
  readonly #locks: RangeLocks
  readonly object: number
  start: number
  end: number
  granted: Promise<void> | undefined
  #grant: (() => void) | undefined

  constructor(locks: RangeLocks, object: number, start: number, end: number) {
    this.#locks = locks
    this.object = object
    this.start = start
    this.end = end
  }

  get isGranted(): boolean {
    return this.granted === undefined
  }

  overlaps(other: RangeHold): boolean {
    return this.start < other.end && other.start < this.end
  }

  /** @internal for RangeLocks */
  queue(): void {
    this.granted = new Promise((resolve) => {
      this.#grant = resolve
    })
  }

  /** @internal for RangeLocks */
  grant(): void {
    this.granted = undefined
    this.#grant?.()
  }

  /** Gives back all but `start` to `end`, which lie within the range held. */
  narrow(start: number, end: number): void {
    if (start === this.start && end === this.end) return
    this.start = start
    this.end = end
    this.#locks.promote(this.object)
  }

  release(): void {
    this.#locks.remove(this)
  }
}

/**
 * Orders what changes the objects of a volume: ranges of an object that overlap are held one after another in the order
 * they were asked for, others at the same time. A whole object is the range that overlaps all.
 */
export class RangeLocks {
  /** Holds by object, granted or waiting, in the order they were asked for. */
  readonly #queues = new Map<number, RangeHold[]>()

  /** Takes a place in the queue, at once: the order of the calls is the order of the grants. */
  acquire(object: number, start: number, end: number): RangeHold {
    const hold = new RangeHold(this, object, start, end)
    const queue = this.#queues.get(object)
    if (!queue) {
      this.#queues.set(object, [hold])
      return hold
    }
    if (queue.some((earlier) => earlier.overlaps(hold))) hold.queue()
    queue.push(hold)
    return hold
  }

  /** Resolves when what was asked for before, and overlaps this, is over. */
  async passed(object: number, start: number, end: number): Promise<void> {
    const hold = this.acquire(object, start, end)
    try {
      if (hold.granted) await hold.granted
    } finally {
      hold.release()
    }
  }

  /** Whether nothing is held or waited for. */
  get isIdle(): boolean {
    return this.#queues.size === 0
  }

  /** @internal for RangeHold */
  remove(hold: RangeHold): void {
    const queue = this.#queues.get(hold.object)
    const place = queue?.indexOf(hold) ?? -1
    if (!queue || place === -1) return
    queue.splice(place, 1)
    if (queue.length === 0) this.#queues.delete(hold.object)
    else this.promote(hold.object)
  }

  /** @internal for RangeHold: grants whatever no earlier hold overlaps any more. */
  promote(object: number): void {
    const queue = this.#queues.get(object) ?? []
    queue.forEach((hold, place) => {
      if (hold.isGranted) return
      for (let i = 0; i < place; i++) if (queue[i]?.overlaps(hold)) return
      hold.grant()
    })
  }
}
