/** An integer at a constant offset of a binary struct; `at` is where the struct starts in the view. Little-endian. */
export interface Field {
  readonly offset: number
  readonly size: 1 | 2 | 4
  get(view: DataView, at?: number): number
  set(view: DataView, value: number, at?: number): void
}

/** A 64-bit integer as a number: exact from -(2^53 - 1) to 2^53 - 1. `get` rounds beyond; u64 reads no negative numbers. */
export interface WideField {
  readonly offset: number
  readonly size: 8
  get(view: DataView, at?: number): number
  set(view: DataView, value: number, at?: number): void
  low(view: DataView, at?: number): number
  high(view: DataView, at?: number): number
}

/** A run of bytes at a constant offset. */
export interface BytesField {
  readonly offset: number
  readonly size: number
  get(view: DataView, at?: number): Uint8Array
}

export function u8(offset: number): Field {
  return {
    offset,
    size: 1,
    get: (view, at = 0) => view.getUint8(at + offset),
    set: (view, value, at = 0) => {
      view.setUint8(at + offset, value)
    },
  }
}

export function u16(offset: number): Field {
  return {
    offset,
    size: 2,
    get: (view, at = 0) => view.getUint16(at + offset, true),
    set: (view, value, at = 0) => {
      view.setUint16(at + offset, value, true)
    },
  }
}

export function u32(offset: number): Field {
  return {
    offset,
    size: 4,
    get: (view, at = 0) => view.getUint32(at + offset, true),
    set: (view, value, at = 0) => {
      view.setUint32(at + offset, value, true)
    },
  }
}

export function i32(offset: number): Field {
  return {
    offset,
    size: 4,
    get: (view, at = 0) => view.getInt32(at + offset, true),
    set: (view, value, at = 0) => {
      view.setInt32(at + offset, value, true)
    },
  }
}

const TWO_32 = 0x1_0000_0000

export function u64(offset: number): WideField {
  return {
    offset,
    size: 8,
    get: (view, at = 0) => view.getUint32(at + offset + 4, true) * TWO_32 + view.getUint32(at + offset, true),
    // both lines hold for negative numbers too: setUint32 keeps the low 32 bits of the two's complement
    set: (view, value, at = 0) => {
      view.setUint32(at + offset, value % TWO_32, true)
      view.setUint32(at + offset + 4, Math.floor(value / TWO_32), true)
    },
    low: (view, at = 0) => view.getUint32(at + offset, true),
    high: (view, at = 0) => view.getUint32(at + offset + 4, true),
  }
}

/** An i64 as a number: exact within 53 bits and a sign. */
export function i64(offset: number): WideField {
  return {
    ...u64(offset),
    get: (view, at = 0) => view.getInt32(at + offset + 4, true) * TWO_32 + view.getUint32(at + offset, true),
  }
}

/** `get` is a view of the struct's own bytes, not a copy. */
export function bytes(offset: number, size: number): BytesField {
  return {
    offset,
    size,
    get: (view, at = 0) => new Uint8Array(view.buffer, view.byteOffset + at + offset, size),
  }
}

/** The view of a byte array's own memory. */
export function viewOf(array: Uint8Array): DataView {
  return new DataView(array.buffer, array.byteOffset, array.byteLength)
}

/** A little-endian 64-bit number as 16 hex digits, for what is only compared. */
export function hexOfU64(view: DataView, at: number): string {
  return view.getBigUint64(at, true).toString(16).padStart(16, '0')
}
