/** A title, or one above numbers and sizes, which are aligned to the right. */
export type Column = string | { readonly number: string }

/** Rows below their titles, columns aligned. */
export function tableText(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titles = columns.map((column) => (typeof column === 'string' ? column : column.number))
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (typeof columns[i] === 'string' ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return `${[titles, ...rows].map(line).join('\n')}\n`
}
