import { SheepfsError } from '../../errors.ts'
import { SD_MAX_VDI_LEN } from '../../wire/inode.ts'

/**
 * The bytes of a name or tag (`what`) for a VDI. Sheep takes an empty one, and cuts a longer one. Errors: invalid,
 * name-too-long.
 */
export function vdiTextBytes(what: string, text: string): Uint8Array {
  const bytes = Buffer.from(text)
  if (bytes.length === 0) throw new SheepfsError('invalid', `the ${what} of a VDI is empty: expected 1 to 255 bytes`)
  if (bytes.includes(0)) throw new SheepfsError('invalid', `the ${what} of a VDI has a NUL in it: expected none`)
  if (bytes.length < SD_MAX_VDI_LEN) return bytes
  throw new SheepfsError('name-too-long', `the ${what} of a VDI has ${bytes.length} bytes: expected 1 to 255`)
}
