import { courseOf, type Course } from './course.ts'
import { Finding } from './finding.ts'
import { knownFault } from './known-faults.ts'
import { play } from './play.ts'
import { Trace } from './trace.ts'

/** How one course ended. */
export interface SeedRun {
  readonly seed: number
  readonly trace: string
  /** What was found; undefined: nothing. */
  readonly found?: {
    readonly text: string
    /** What tells it from others. */
    readonly kind: string
    /** The known fault that it shows. */
    readonly fault: string | undefined
  }
}

/** Some parts of a course, with so many steps each; in the order of the course. */
export type Cut = ReadonlyMap<number, number>

/** Plays a seed, all of it or what is left of it. Never rejects. */
export async function runSeed(seed: number, options: { cut?: Cut | undefined; trace?: Trace } = {}): Promise<SeedRun> {
  const trace = options.trace ?? new Trace()
  try {
    await play(cutTo(courseOf(seed), options.cut), trace)
    return { seed, trace: trace.hex }
  } catch (error) {
    return { seed, trace: trace.hex, found: describe(error) }
  }
}

/** The cut that leaves everything. */
export function wholeCut(seed: number): Cut {
  return new Map(courseOf(seed).parts.map(({ steps }, i) => [i, steps]))
}

function cutTo(course: Course, cut: Cut | undefined): Course {
  if (!cut) return course
  const parts = course.parts.flatMap((part, i) => {
    const steps = cut.get(i)
    return steps === undefined ? [] : { ...part, steps }
  })
  return { ...course, parts }
}

function describe(error: unknown): NonNullable<SeedRun['found']> {
  if (!(error instanceof Finding)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { text, kind: text, fault: undefined }
  }
  const fault = knownFault(error)?.name
  const { symptom, circumstance } = error
  return { text: `${error.message} (before: ${error.past.join(', ')})`, kind: `${symptom} / ${circumstance}`, fault }
}
