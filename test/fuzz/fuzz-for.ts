import { Random } from '../sheep/random.ts'
import type { Fuzzer } from './fuzzer.ts'

/** Rounds of a fuzzer, each from a number of its own, from `seed` on, for so long. Rejects with the number of the round that failed. */
export async function fuzzFor(fuzzer: Fuzzer, seed: number, limitMs: number): Promise<number> {
  const until = performance.now() + limitMs
  let round = seed
  for (; performance.now() < until; round++) {
    try {
      await fuzzer.play(new Random(round))
    } catch (cause) {
      throw new Error(`${fuzzer.name}: npm run fuzz -- ${round} finds it again`, { cause })
    }
    if (round % 64 === 0) await new Promise(setImmediate)
  }
  return round - seed
}
