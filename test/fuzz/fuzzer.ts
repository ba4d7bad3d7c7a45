import type { Random } from '../sheep/random.ts'

/** One round of bytes or values by chance against one reader of ours. Everything in it follows from the random numbers. */
export interface Fuzzer {
  readonly name: string
  /** Rejects when anything happened that must not. */
  play(random: Random): Promise<void>
}

/** Where numbers end, and begin. */
export const EDGES = [0, 1, 2, 7, 8, 255, 256, 4095, 65_535, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1] as const

/** Changes some bytes, or words of 32 bits to where numbers end; or cuts. */
export function spoil(bytes: Uint8Array, random: Random): Uint8Array {
  const spoilt = Uint8Array.from(bytes) // slice of a Buffer is no copy
  const view = new DataView(spoilt.buffer)
  for (let changes = random.below(4); changes > 0; changes--) {
    if (random.chance(0.5) && spoilt.length >= 4) {
      view.setUint32(4 * random.below(Math.floor(spoilt.length / 4)), random.pick(EDGES), true)
    } else if (spoilt.length > 0) spoilt[random.below(spoilt.length)] = random.below(256)
  }
  return random.chance(0.1) ? spoilt.subarray(0, random.below(spoilt.length + 1)) : spoilt
}
