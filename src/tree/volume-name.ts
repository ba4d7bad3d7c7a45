import { isUtf8 } from 'node:buffer'
import { SheepfsError } from '../errors.ts'
import { SD_MAX_VDI_LEN, SD_MAX_VDI_TAG_LEN } from '../wire/inode.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'

/**
 * Names which inode of the cluster a volume is: `VDI` the working VDI, `VDI@TAG` and `VDI@ID` a snapshot. Two names with
 * the same `text` are the same volume.
 */
export interface VolumeName {
  /** The canonical form: a file name, at most 255 bytes of UTF-8. */
  readonly text: string
  readonly vdi: Uint8Array
  /** What stands after the "@": a tag, or a snapshot id in decimal. */
  readonly snapshot: Uint8Array | undefined
}

/** Longest file name that programs cope with (NAME_MAX); a longer one would make readdir(3) fail for the directory. */
const MAX_FILE_NAME = 255
const HIGHEST_SNAP_ID = 0xffff_ffff

const PERCENT = 0x25
const AT = 0x40

/**
 * Reads a volume's name. Bytes that a file name or the grammar cannot hold ("/", "%", "@", control characters, what is
 * not UTF-8, the names "." and "..") are written %XX; where there is no doubt the plain byte is taken too. Errors:
 * invalid and name-too-long, saying what is wrong.
 */
export function parseVolumeName(input: string | Uint8Array): VolumeName {
  const bytes = Buffer.from(input)
  if (bytes.length === 0) throw invalid(bytes, 'it is empty; expected VDI, VDI@TAG or VDI@ID')
  const at = bytes.indexOf(AT)
  if (at === -1) return volumeName(decodePercent(bytes, bytes))
  if (bytes.includes(AT, at + 1)) throw invalid(bytes, 'more than one "@"; write %40 for one that is part of a name')
  if (at === bytes.length - 1) throw invalid(bytes, 'expected a tag or a snapshot id after the "@"')
  return volumeName(decodePercent(bytes.subarray(0, at), bytes), decodePercent(bytes.subarray(at + 1), bytes))
}

/** The name of a VDI, or of its snapshot, from the bytes that the cluster has. Errors: as `parseVolumeName`. */
export function volumeName(vdi: Uint8Array, snapshot?: Uint8Array): VolumeName {
  const plain = encodePercent(vdi) + (snapshot === undefined ? '' : `@${encodePercent(snapshot)}`)
  const text = plain === '.' || plain === '..' ? plain.replace('.', '%2E') : plain
  if (vdi.length === 0) throw invalid(text, 'expected the name of a VDI')
  if (vdi.includes(0) || snapshot?.includes(0) === true) throw invalid(text, 'names in a cluster have no NUL')
  checkLength(text, 'the name of the VDI', vdi.length, SD_MAX_VDI_LEN - 1)
  checkLength(text, 'the tag', snapshot?.length ?? 0, SD_MAX_VDI_TAG_LEN - 1)
  checkLength(text, 'the file name', Buffer.byteLength(text), MAX_FILE_NAME)
  return { text, vdi, snapshot }
}

/**
 * What to ask the cluster for, in this order, until something is found: what stands after the "@" is a tag first, then,
 * if it looks like one, a snapshot id. So a snapshot is always reached by its tag, even one that is a number.
 */
export function vdiSpecs({ vdi, snapshot }: VolumeName): readonly VdiSpec[] {
  if (snapshot === undefined) return [{ name: vdi }]
  const byTag = { name: vdi, tag: snapshot }
  const digits = Buffer.from(snapshot).toString('latin1')
  const isId = /^[1-9]\d{0,9}$/.test(digits) && Number(digits) <= HIGHEST_SNAP_ID
  return isId ? [byTag, { name: vdi, snapId: Number(digits) }] : [byTag]
}

function encodePercent(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at)
    const character = bytes.subarray(at, at + Math.max(length, 1))
    text += length === 0 ? percent(bytes[at] ?? 0) : Buffer.from(character).toString('utf8')
    at += character.length
  }
  return text
}

/** Bytes of the UTF-8 character at `at`; 0 when the byte there has to be written %XX. */
function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0
  if (lead < 0x80) return lead < 0x20 || lead === 0x7f || '/%@'.includes(String.fromCharCode(lead)) ? 0 : 1
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  return at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
}

function decodePercent(part: Uint8Array, whole: Uint8Array): Uint8Array {
  const decoded: number[] = []
  for (let at = 0; at < part.length; at++) {
    const byte = part[at] ?? 0
    if (byte !== PERCENT) {
      decoded.push(byte)
      continue
    }
    const digits = Buffer.from(part.subarray(at + 1, at + 3)).toString('latin1')
    if (!/^[\da-f]{2}$/i.test(digits)) throw invalid(whole, 'expected two hex digits after "%"; write %25 for a "%"')
    decoded.push(parseInt(digits, 16))
    at += 2
  }
  return Uint8Array.from(decoded)
}

function checkLength(text: string, what: string, length: number, most: number): void {
  if (length <= most) return
  throw new SheepfsError(
    'name-too-long',
    `volume name ${JSON.stringify(text)}: ${what} has ${length} bytes, at most ${most} fit`,
  )
}

function invalid(name: string | Uint8Array, why: string): SheepfsError {
  return new SheepfsError('invalid', `volume name ${JSON.stringify(Buffer.from(name).toString('utf8'))}: ${why}`)
}
