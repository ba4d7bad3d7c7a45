import { SheepfsError } from '../errors.ts'

const UNITS = ['', 'K', 'M', 'G', 'T', 'P'] as const
const STEP = 1024

/** Reads `4096`, `10G`, `1.5T`: a number of bytes with a unit of 1024. Errors: invalid. */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGTP]?)(?:i?B)?$/i.exec(text)
  const power = UNITS.findIndex((unit) => unit === match?.[2]?.toUpperCase())
  const bytes = Number(match?.[1]) * STEP ** power
  if (match && Number.isSafeInteger(bytes)) return bytes
  if (bytes > Number.MAX_SAFE_INTEGER) {
    throw new SheepfsError('invalid', `"${text}" is too large: expected less than 8P`)
  }
  throw new SheepfsError('invalid', `"${text}" is not a size: expected bytes, or a number with K, M, G, T or P as 10G`)
}

const SECTOR = 512

/** The size when a block device can have it: the last sector of another would be missing there. Errors: invalid. */
export function wholeSectors(size: number): number {
  if (size % SECTOR === 0) return size
  const [below, above] = [size - (size % SECTOR), size + SECTOR - (size % SECTOR)]
  const expected = below === 0 ? String(above) : `${below} or ${above}`
  throw new SheepfsError('invalid', `${size} bytes are no whole number of sectors of ${SECTOR}: expected ${expected}`)
}

/** `1.5G`, in the largest unit of which there is at least one. */
export function byteSizeText(bytes: number): string {
  const power = Math.min(bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  const value = bytes / STEP ** power
  return `${Number(value.toFixed(value < 10 ? 1 : 0))}${UNITS[power] ?? ''}`
}
