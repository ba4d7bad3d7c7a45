import { Random } from '../sheep/random.ts'
import type { Fuzzer } from './fuzzer.ts'

/** Rounds between looks at the time, which costs as much as a round of some. */
const BETWEEN_LOOKS = 64
/** Where a processor is shared with so many others, less has to do. */
const MOST_SHARERS = 4

/**
 * Rounds of a fuzzer, each from a number of its own, from `seed` on, for so much time of a processor. Rejects with the number of
 * the round that failed.
 */
export async function fuzzFor(fuzzer: Fuzzer, seed: number, limitMs: number): Promise<number> {
  const [began, until] = [process.cpuUsage(), performance.now() + MOST_SHARERS * limitMs]
  const isOver = (): boolean => {
    const { user, system } = process.cpuUsage(began)
    return (user + system) / 1000 >= limitMs || performance.now() >= until
  }
  for (let rounds = 0; ; rounds++) {
    if (rounds % BETWEEN_LOOKS === 0) {
      if (isOver()) return rounds
      await new Promise(setImmediate)
    }
    try {
      await fuzzer.play(new Random(seed + rounds))
    } catch (cause) {
      throw new Error(`${fuzzer.name}: npm run fuzz -- ${seed + rounds} finds it again`, { cause })
    }
  }
}
