import type { ObjectId } from '../wire/object-id.ts'

/** A whole object that takes the place of what was there: `size` bytes, zeros but for the pieces. */
export interface ObjectImage {
  readonly oid: ObjectId
  readonly size: number
  readonly pieces: readonly Piece[]
}

export interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Content of a new object: zeros, or what `base` has, overlaid with `data`. */
export interface NewContent {
  readonly offset: number
  readonly data: Uint8Array
  readonly base?: ObjectId
}

/** Where objects are kept. Every call is one step that no other request can see half done. */
export interface ObjectStore {
  /** The ids of all objects, as 16 hex digits. */
  list(): string[]
  exists(oid: ObjectId): boolean
  /** Fills `length` bytes of `into` from `at` on; beyond the object's end they are zero. False when it does not exist. */
  read(oid: ObjectId, offset: number, into: Uint8Array, at?: number, length?: number): boolean
  /** Writes into an object; beyond its end it grows. False when it does not exist. */
  write(oid: ObjectId, offset: number, data: Uint8Array): boolean
  /** Replaces an object by a new one of `size` bytes. False when the base does not exist. */
  create(oid: ObjectId, size: number, content: NewContent): boolean
  /** Replaces several objects, all or none, whenever the process is killed. */
  replaceAll(images: readonly ObjectImage[]): void
  /** False when there was no such object. */
  remove(oid: ObjectId): boolean
  /** Removes every object. */
  clear(): void
  /** A position from which on all of an object is zero, up to `limit`; 0 when it does not exist. */
  usedBefore(oid: ObjectId, limit: number): number
  /** What the objects take and what is left for more, bytes. */
  space(): { readonly used: number; readonly free: number }
}
