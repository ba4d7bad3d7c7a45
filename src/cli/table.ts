/** Rows below their titles, columns aligned; numbers (texts that start with a digit in every row) to the right. */
export function tableText(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const isNumeric = titles.map((_, i) => rows.length > 0 && rows.every((row) => /^(\d|-$)/.test(row[i] ?? '')))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (isNumeric[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return `${[titles, ...rows].map(line).join('\n')}\n`
}
