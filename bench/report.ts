import type { Outcome, Target } from './target.ts'
import type { Workload } from './workload.ts'

/** All runs, by workload and then target. */
export type Measurements = ReadonlyMap<Workload, ReadonlyMap<Target, readonly Outcome[]>>

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2
}

/** Medians of every target, then the ratios of every two, then what failed. */
export function reportText(measurements: Measurements): string {
  const targets = [...(measurements.values().next().value?.keys() ?? [])]
  const pairs = targets.flatMap((a, at) => targets.slice(0, at).map((b) => [a, b] as const))
  const medians = [['medians', '', ...targets.map(({ label }) => label)]]
  const ratios = [['ratios', ...pairs.map(([a, b]) => `${a.label} / ${b.label}`)]]
  for (const [{ name, unit }, byTarget] of measurements) {
    const of = (target: Target): number => median(speeds(byTarget.get(target)))
    medians.push([name, unit, ...targets.map((target) => of(target).toFixed(0))])
    ratios.push([name, ...pairs.map(([a, b]) => (of(a) / of(b)).toFixed(2))])
  }
  return [tableText(medians), tableText(ratios), failuresText(measurements)].filter((part) => part !== '').join('\n\n')
}

function failuresText(measurements: Measurements): string {
  const lines = [...measurements].flatMap(([{ name }, byTarget]) =>
    [...byTarget].map(([{ label }, outcomes]) => {
      const failures = outcomes.reduce((sum, outcome) => sum + outcome.failures, 0)
      return failures === 0 ? '' : `${label}: ${failures} requests failed in ${name}`
    }),
  )
  return lines.filter((line) => line !== '').join('\n')
}

function speeds(outcomes: readonly Outcome[] = []): number[] {
  return outcomes.map(({ speed }) => speed)
}

/** The same for programs, with all runs. */
export function reportJson(measurements: Measurements): unknown {
  return [...measurements].map(([workload, byTarget]) => ({
    workload,
    targets: [...byTarget].map(([{ label }, runs]) => ({ label, median: median(speeds(runs)), runs })),
  }))
}

function tableText(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) => row.map((cell, at) => (at === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[at] ?? 0))))
    .map((cells) => cells.join('  '))
    .join('\n')
}
