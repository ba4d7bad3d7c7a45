import type { Clock, Timer } from './clock.ts'

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after: (ms, run, { isBackground = false } = {}) => {
    if (ms === 0) return inNextTurn(run, isBackground)
    const timer = setTimeout(run, ms)
    if (isBackground) timer.unref()
    return {
      cancel: () => {
        clearTimeout(timer)
      },
    }
  },
  random: () => Math.random(),
}

/** Sooner than any timer. */
function inNextTurn(run: () => void, isBackground: boolean): Timer {
  const turn = setImmediate(run)
  if (isBackground) turn.unref()
  return {
    cancel: () => {
      clearImmediate(turn)
    },
  }
}
