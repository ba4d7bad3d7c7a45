import { SD_MAX_VDI_LEN, SD_MAX_VDI_TAG_LEN } from './inode.ts'
import { newMessage, type Message, type Response } from './message.ts'
import { Opcode, ReqVdi, RspVdi } from './sd-proto.ts'

/** Bytes of the READ_VDIS and READ_DEL_VDIS bitmaps: one bit per vid. */
export const VDI_BITMAP_SIZE = 2 ** 24 / 8

/** LOCK_VDI, RELEASE_VDI: how the lock is held. */
export const LockType = { NORMAL: 0, SHARED: 1 } as const

/**
 * Which inode of a name is meant: neither tag nor snapId, the working VDI; a tag, its newest snapshot with that tag; a
 * snapId, that snapshot. Bytes, up to 255 each.
 */
export interface VdiSpec {
  readonly name: Uint8Array
  readonly tag?: Uint8Array
  readonly snapId?: number
}

/** What lookups, locks and NEW_VDI answer. */
export interface VdiAnswer {
  readonly vid: number
  readonly copies: number
  readonly blockSizeShift: number
}

/** Only meaningful when the response's result is SUCCESS: an error leaves garbage. */
export function parseVdiAnswer(response: Response): VdiAnswer {
  return {
    vid: RspVdi.vdiId.get(response.header),
    copies: RspVdi.copies.get(response.header),
    blockSizeShift: RspVdi.blockSizeShift.get(response.header),
  }
}

/** GET_VDI_INFO. Results NO_VDI, NO_TAG. */
export function getVdiInfo(spec: VdiSpec): Message {
  return withSpec(Opcode.GET_VDI_INFO, spec)
}

/** LOCK_VDI. Results as GET_VDI_INFO, and VDI_LOCKED. Without locking in the cluster it is GET_VDI_INFO. */
export function lockVdi(spec: VdiSpec, type: number = LockType.NORMAL): Message {
  const message = withSpec(Opcode.LOCK_VDI, spec)
  ReqVdi.type.set(message.header, type)
  return message
}

/** RELEASE_VDI. Always SUCCESS, also for anybody else's lock and when nothing was locked. */
export function releaseVdi(vid: number, type: number = LockType.NORMAL): Message {
  const message = newMessage(Opcode.RELEASE_VDI, {})
  ReqVdi.baseVdiId.set(message.header, vid)
  ReqVdi.type.set(message.header, type)
  return message
}

/** DEL_VDI. The index must have been cleared before, except for hyper volumes. */
export function deleteVdi(spec: VdiSpec): Message {
  return withSpec(Opcode.DEL_VDI, spec)
}

/** NEW_VDI. Copies, policies, size and shift come from the request, also for snapshots and clones. */
export function newVdi(options: {
  name: Uint8Array
  size: number
  baseVid?: number
  /** 0: the cluster's copies and policy. */
  copies?: number
  copyPolicy?: number
  storePolicy?: number
  blockSizeShift?: number
  /** The current VDI of the name becomes a snapshot. */
  isSnapshot?: boolean
}): Message {
  const message = newMessage(Opcode.NEW_VDI, { payload: padded(options.name, SD_MAX_VDI_LEN) })
  const { header } = message
  ReqVdi.vdiSize.set(header, options.size)
  ReqVdi.baseVdiId.set(header, options.baseVid ?? 0)
  ReqVdi.copies.set(header, options.copies ?? 0)
  ReqVdi.copyPolicy.set(header, options.copyPolicy ?? 0)
  ReqVdi.storePolicy.set(header, options.storePolicy ?? 0)
  ReqVdi.blockSizeShift.set(header, options.blockSizeShift ?? 0)
  ReqVdi.snapId.set(header, options.isSnapshot === true ? 1 : 0)
  return message
}

/** READ_VDIS: a bit per vid that was ever used. */
export function readVdis(): Message {
  return newMessage(Opcode.READ_VDIS, { wanted: VDI_BITMAP_SIZE })
}

/** READ_DEL_VDIS: a bit per deleted vid. Unknown to 0.7. */
export function readDelVdis(): Message {
  return newMessage(Opcode.READ_DEL_VDIS, { wanted: VDI_BITMAP_SIZE })
}

/** The vids set in a bitmap, ascending. */
export function* vidsOf(bitmap: Uint8Array): Generator<number> {
  for (let at = 0; at < bitmap.length; at++) {
    const byte = bitmap[at] ?? 0
    for (let bit = 0; byte >> bit !== 0; bit++) if ((byte >> bit) & 1) yield at * 8 + bit
  }
}

function withSpec(opcode: number, spec: VdiSpec): Message {
  const payload = new Uint8Array(SD_MAX_VDI_LEN + SD_MAX_VDI_TAG_LEN)
  payload.set(padded(spec.name, SD_MAX_VDI_LEN))
  payload.set(padded(spec.tag ?? new Uint8Array(0), SD_MAX_VDI_TAG_LEN), SD_MAX_VDI_LEN)
  const message = newMessage(opcode, { payload })
  ReqVdi.snapId.set(message.header, spec.snapId ?? 0)
  return message
}

function padded(text: Uint8Array, size: number): Uint8Array {
  if (text.length >= size) throw new RangeError(`${text.length} bytes: a VDI's name and tag have at most ${size - 1}`)
  const field = new Uint8Array(size)
  field.set(text)
  return field
}
