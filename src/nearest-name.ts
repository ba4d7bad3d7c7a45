/** The name that `word` was most likely meant to be; undefined when none resembles it. */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  const near = names.flatMap((name) => {
    const limit = Math.max(2, Math.floor(name.length / 3))
    if (Math.abs(word.length - name.length) > limit) return [] // no need to measure, whatever somebody has sent
    const distance = editDistance(word.toLowerCase(), name.toLowerCase())
    return distance > limit ? [] : [{ name, distance }]
  })
  return near.sort((a, b) => a.distance - b.distance)[0]?.name
}

/** Levenshtein distance: insertions, deletions and replacements that make one word of the other. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
