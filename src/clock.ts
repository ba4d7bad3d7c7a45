/** Where time and chance come from: the machine's, or those of a simulation. */
export interface Clock {
  /** Never goes back, ms; only differences mean something. */
  now(): number
  /** Since 1970, ms; as the machine is set. */
  date(): number
  /** Calls `run` once, `ms` from now, unless it is cancelled before; 0: when others have had their turn. */
  after(ms: number, run: () => void, options?: TimerOptions): Timer
  /** 0 <= x < 1. */
  random(): number
}

export interface Timer {
  /** Idempotent. */
  cancel(): void
}

export interface TimerOptions {
  /** Keeps no process alive. */
  readonly isBackground?: boolean
}

/** Resolves after `ms`. */
export function sleep(clock: Clock, ms: number, options?: TimerOptions): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve, options)
  })
}

/** Calls `run` every `ms` until it is cancelled. Keeps no process alive. */
export function every(clock: Clock, ms: number, run: () => void): Timer {
  const next = (): Timer =>
    clock.after(
      ms,
      () => {
        timer = next()
        run()
      },
      { isBackground: true },
    )
  let timer = next()
  return {
    cancel: () => {
      timer.cancel()
    },
  }
}
