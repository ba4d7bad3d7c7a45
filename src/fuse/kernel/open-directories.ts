import type { Directory, Entry } from '../../tree/node.ts'
import type { FileHandleNumbers } from './file-handle-numbers.ts'

/** The entries that each open directory shows, as they were when it was opened. */
export class OpenDirectories {
  readonly #numbers: FileHandleNumbers
  readonly #entries = new Map<number, readonly Entry[]>()

  constructor(numbers: FileHandleNumbers) {
    this.#numbers = numbers
  }

  add(directory: Directory): number {
    const fh = this.#numbers.next(false)
    this.#entries.set(fh, entriesOf(directory))
    return fh
  }

  /** With "." and ".." first. A predecessor's handle sees the entries of now. */
  entries(fh: number, directory: Directory): readonly Entry[] {
    let entries = this.#entries.get(fh)
    if (entries === undefined) {
      entries = entriesOf(directory)
      this.#entries.set(fh, entries)
    }
    return entries
  }

  release(fh: number): void {
    this.#entries.delete(fh)
  }
}

function entriesOf(directory: Directory): readonly Entry[] {
  return [{ name: '.', node: directory }, { name: '..', node: directory.parent ?? directory }, ...directory.entries()]
}
