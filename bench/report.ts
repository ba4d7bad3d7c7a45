import { type Target } from './target.ts'
import { type Workload } from './workload.ts'

/** Speeds of all runs, by workload and then target. */
export type Measurements = ReadonlyMap<Workload, ReadonlyMap<Target, readonly number[]>>

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2
}

/** Medians of every target, then the ratios of every two. */
export function reportText(measurements: Measurements): string {
  const targets = [...(measurements.values().next().value?.keys() ?? [])]
  const pairs = targets.flatMap((a, at) => targets.slice(0, at).map((b) => [a, b] as const))
  const medians = [['medians', '', ...targets.map(({ label }) => label)]]
  const ratios = [['ratios', ...pairs.map(([a, b]) => `${a.label} / ${b.label}`)]]
  for (const [{ name, unit }, byTarget] of measurements) {
    const of = (target: Target): number => median(byTarget.get(target) ?? [])
    medians.push([name, unit, ...targets.map((target) => of(target).toFixed(0))])
    ratios.push([name, ...pairs.map(([a, b]) => (of(a) / of(b)).toFixed(2))])
  }
  return `${tableText(medians)}\n\n${tableText(ratios)}`
}

/** The same for programs, with all runs. */
export function reportJson(measurements: Measurements): unknown {
  return [...measurements].map(([workload, byTarget]) => ({
    workload,
    targets: [...byTarget].map(([{ label }, runs]) => ({ label, median: median(runs), runs })),
  }))
}

function tableText(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) => row.map((cell, at) => (at === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[at] ?? 0))))
    .map((cells) => cells.join('  '))
    .join('\n')
}
