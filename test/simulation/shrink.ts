import { runSeed, wholeCut, type Cut, type SeedRun } from './seed-run.ts'

/** Tries of a smaller course at most. */
const MOST_TRIES = 200

/** The smallest part of a seed's course that still finds the same: fewer actors, then fewer steps of each. */
export async function shrink(seed: number, found: NonNullable<SeedRun['found']>): Promise<Cut> {
  let cut = wholeCut(seed)
  let tries = 0
  const attempt = async (smaller: Cut): Promise<boolean> => {
    if (tries++ >= MOST_TRIES) return false
    const run = await runSeed(seed, { cut: smaller })
    if (run.found?.kind !== found.kind || run.found.fault !== found.fault) return false
    cut = smaller
    return true
  }
  for (const part of [...cut.keys()].reverse()) {
    await attempt(new Map([...cut].filter(([other]) => other !== part)))
  }
  for (const part of cut.keys()) {
    for (let steps = cut.get(part) ?? 1; steps > 1;) {
      const fewer = Math.floor(steps / 2)
      if (!(await attempt(new Map(cut).set(part, fewer)))) break
      steps = fewer
    }
  }
  return cut
}

/** As an option of `npm run simulate`. */
export function cutText(cut: Cut): string {
  return [...cut].map(([part, steps]) => `${part}:${steps}`).join(',')
}

export function parseCut(text: string): Cut {
  return new Map(
    text.split(',').map((one) => {
      const [part = NaN, steps = NaN] = one.split(':').map(Number)
      return [part, steps]
    }),
  )
}
