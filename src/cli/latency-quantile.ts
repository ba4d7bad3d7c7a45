/**
 * The latency that a share of requests did not exceed, seconds: estimated within its bucket, as Prometheus does it. Above the
 * last bound it is that bound. Null: there were no requests.
 */
export function latencyQuantile(share: number, counts: readonly number[], bounds: readonly number[]): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  let below = 0
  for (const [at, upper] of bounds.entries()) {
    const count = counts[at] ?? 0
    if (count > 0 && below + count >= share * total) {
      const lower = bounds[at - 1] ?? 0
      return lower + ((upper - lower) * (share * total - below)) / count
    }
    below += count
  }
  return bounds.at(-1) ?? null
}
