import type { Readable } from 'node:stream'

/** Longest turn without a rest, ms. */
const TURN_MS = 5

/** Does what a piece of a source asks for; a long turn is followed by as long a pause of the source, in which others have theirs. */
export function restAfterWork(source: Readable, work: () => void): void {
  const since = performance.now()
  work()
  const tookMs = performance.now() - since
  if (tookMs <= TURN_MS) return
  source.pause()
  setTimeout(() => source.resume(), tookMs)
}
