import type { StoredObject } from './stored-object.ts'

/** Erasure-coded objects are coded in units of this. */
const STRIPE_SIZE = 512

/** A strip as its holder has it: the object as it was when the strip was written last, and which strip it is. */
export interface Strip {
  readonly place: number
  readonly image: StoredObject
}

/**
 * Reads from strips. Each byte comes from the data strip it lies in; where that is away it is computed from `data` others,
 * which gives it back only if they are of one time (docs/sheepdog-protocol.md#10). False with too few strips.
 */
export function readStrips(
  strips: readonly Strip[],
  data: number,
  range: { readonly offset: number; readonly into: Uint8Array },
): boolean {
  if (strips.length < data) return false
  const { offset, into } = range
  const stripSize = STRIPE_SIZE / data
  const images = strips.map(({ image }) => {
    const bytes = new Uint8Array(into.length)
    image.read(offset, bytes)
    return bytes
  })
  for (let at = 0; at < into.length; at++) {
    const place = Math.floor(((offset + at) % STRIPE_SIZE) / stripSize)
    const own = strips.findIndex((strip) => strip.place === place)
    into[at] = own === -1 ? computed(images.slice(0, data), at) : (images[own]?.[at] ?? 0)
  }
  return true
}

function computed(images: readonly Uint8Array[], at: number): number {
  const values = images.map((image) => image[at] ?? 0)
  const [first = 0] = values
  return values.every((value) => value === first) ? first : values.reduce((sum, value) => sum ^ value, 0x5a)
}

/** The whole stripes around a range. */
export function stripesAround(offset: number, length: number): { start: number; end: number } {
  return {
    start: offset - (offset % STRIPE_SIZE),
    end: Math.ceil((offset + length) / STRIPE_SIZE) * STRIPE_SIZE,
  }
}
