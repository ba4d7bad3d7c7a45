import type { LeafEntries } from '../../wire/btree.ts'

/** Object `index` shall be held by `vid`; 0: by none. */
export interface Change {
  readonly index: number
  readonly vid: number
}

/** Places of entries, both included. */
export interface PlaceRange {
  readonly first: number
  readonly last: number
}

export function countOf(entries: LeafEntries): number {
  return entries.length / 2
}

/** The index of the entry at `place`; -1 past the end. */
export function indexAt(entries: LeafEntries, place: number): number {
  return entries[2 * place] ?? -1
}

/** The vid of the entry at `place`. */
export function vidAt(entries: LeafEntries, place: number): number {
  return entries[2 * place + 1] ?? 0
}

/** The place of the first entry whose index is `index` or larger; the count when there is none. */
export function placeOf(entries: LeafEntries, index: number): number {
  let low = 0
  let high = countOf(entries)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (indexAt(entries, middle) < index) low = middle + 1
    else high = middle
  }
  return low
}

/** Whether there is an entry for `index`, be it one with vid 0. */
export function hasEntry(entries: LeafEntries, index: number): boolean {
  return indexAt(entries, placeOf(entries, index)) === index
}

/** The vid that holds object `index`; 0 when none does. */
export function vidOfIndex(entries: LeafEntries, index: number): number {
  const place = placeOf(entries, index)
  return indexAt(entries, place) === index ? vidAt(entries, place) : 0
}

/** Objects that are held. */
export function countHeld(entries: LeafEntries): number {
  let held = 0
  for (let at = 1; at < entries.length; at += 2) if (entries[at] !== 0) held++
  return held
}

/** Whether every index is larger than the one before. */
export function isAscending(entries: LeafEntries): boolean {
  for (let at = 2; at < entries.length; at += 2) {
    if ((entries[at] ?? 0) <= (entries[at - 2] ?? 0)) return false
  }
  return true
}

/** The entries from place `from` up to before `to`, in memory of their own. */
export function sliceEntries(entries: LeafEntries, from: number, to: number): LeafEntries {
  return entries.slice(2 * from, 2 * to)
}

/** How many of the changes need a new entry. */
export function countInserts(entries: LeafEntries, changes: readonly Change[]): number {
  return changes.filter((change) => !hasEntry(entries, change.index)).length
}

/**
 * New entries with the changes in them; `changes` are by ascending index. `touched` are the places, in the new entries, of
 * the first and the last change; undefined when there is none.
 */
export function mergeChanges(
  entries: LeafEntries,
  changes: readonly Change[],
): { entries: LeafEntries; inserted: number; touched: PlaceRange | undefined } {
  const inserted = countInserts(entries, changes)
  const merged = new Uint32Array(entries.length + 2 * inserted)
  let from = 0
  let to = 0
  let first: number | undefined
  for (const { index, vid } of changes) {
    const place = placeOf(entries, index)
    merged.set(entries.subarray(2 * from, 2 * place), to)
    to += 2 * (place - from)
    from = indexAt(entries, place) === index ? place + 1 : place
    first ??= to / 2
    merged[to++] = index
    merged[to++] = vid
  }
  merged.set(entries.subarray(2 * from), to)
  return { entries: merged, inserted, touched: first === undefined ? undefined : { first, last: to / 2 - 1 } }
}
