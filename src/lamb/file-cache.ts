import { closeSync, openSync } from 'node:fs'
import type { ObjectId } from '../wire/object-id.ts'

const MAX_OPEN = 512

interface OpenFile {
  readonly oid: ObjectId
  readonly fd: number
  wasUsed: boolean
}

/**
 * Descriptors of the objects used lately, so that a read costs one system call. At most 512 are open; the clock algorithm
 * chooses which one to close.
 */
export class FileCache {
  /** By the high word, then by the index: an id of 64 bits fits no number. */
  readonly #files = new Map<number, Map<number, OpenFile>>()
  readonly #clock: OpenFile[] = []
  #hand = 0

  /** The descriptor of an object, opened when needed with `path()`; undefined when there is no such file. */
  get(oid: ObjectId, path: () => string): number | undefined {
    const known = this.#files.get(oid.high)?.get(oid.index)
    if (known) {
      known.wasUsed = true
      return known.fd
    }
    try {
      const fd = openSync(path(), 'r+')
      this.put(oid, fd)
      return fd
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Takes over an open descriptor of an object, in place of any other. */
  put(oid: ObjectId, fd: number): void {
    this.drop(oid)
    if (this.#clock.length >= MAX_OPEN) this.#evict()
    const file = { oid, fd, wasUsed: true }
    const ofHigh = this.#files.get(oid.high)
    if (ofHigh) ofHigh.set(oid.index, file)
    else this.#files.set(oid.high, new Map([[oid.index, file]]))
    this.#clock.push(file)
  }

  /** Forgets an object whose file was replaced or removed. */
  drop(oid: ObjectId): void {
    const file = this.#files.get(oid.high)?.get(oid.index)
    if (!file) return
    this.#remove(this.#clock.indexOf(file), file)
  }

  close(): void {
    for (const file of this.#clock) closeSync(file.fd)
    this.#clock.length = 0
    this.#files.clear()
  }

  #evict(): void {
    for (;;) {
      this.#hand %= this.#clock.length
      const file = this.#clock[this.#hand]
      if (file === undefined) return
      if (!file.wasUsed) {
        this.#remove(this.#hand, file)
        return
      }
      file.wasUsed = false
      this.#hand++
    }
  }

  #remove(at: number, file: OpenFile): void {
    const last = this.#clock.pop()
    if (last && last !== file) this.#clock[at] = last
    const ofHigh = this.#files.get(file.oid.high)
    ofHigh?.delete(file.oid.index)
    if (ofHigh?.size === 0) this.#files.delete(file.oid.high)
    closeSync(file.fd)
  }
}
