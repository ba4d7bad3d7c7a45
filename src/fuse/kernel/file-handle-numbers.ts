/** Generations go from 0 to below this, so that an fh is exact in a number. */
const GENERATIONS = 2 ** 20

const PER_GENERATION = 2 ** 32

/**
 * Gives out the fh values of one session: the generation above, a counter below, and whether the file is open for writing
 * in the lowest bit, so that a successor can tell whose a handle is and open it the same way.
 */
export class FileHandleNumbers {
  readonly #base: number
  #count = 0

  /** `generation`: another one for every session of a mount. */
  constructor(generation: number) {
    this.#base = (generation % GENERATIONS) * PER_GENERATION
  }

  next(isWritable: boolean): number {
    this.#count = (this.#count + 2) % PER_GENERATION
    return this.#base + this.#count + (isWritable ? 1 : 0)
  }

  isWritable(fh: number): boolean {
    return fh % 2 === 1
  }
}
