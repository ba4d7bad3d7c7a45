import { u32, viewOf } from '../wire/field.ts'
import { fnv1a, vidHash } from '../wire/fnv.ts'
import { SD_MAX_VDI_LEN, SD_MAX_VDI_TAG_LEN } from '../wire/inode.ts'
import { attributeOid } from '../wire/object-id.ts'
import { Flag, Result, RspVdi } from '../wire/sd-proto.ts'
import type { LambNode } from './node.ts'
import type { Reply, Request } from './request.ts'
import { fieldText, lookupVdi } from './vdi-lookup.ts'

/** Bytes of struct sheepdog_vdi_attr, payload and object. */
export const ATTRIBUTE_SIZE = 66320

const CTIME_OFFSET = 512
const snapId = u32(520)
const KEY_OFFSET = 528
const KEY_SIZE = 256

/**
 * GET_VDI_ATTR: finds an attribute of a name's VDI; flags CREAT, EXCL and DEL make, overwrite or remove it. The client
 * then reads the object that the answer names.
 */
export function getVdiAttribute(node: LambNode, request: Request): Reply {
  const { payload, flags } = request
  if (payload.length !== ATTRIBUTE_SIZE) return { result: Result.INVALID_PARMS }
  const name = fieldText(payload.subarray(0, SD_MAX_VDI_LEN))
  const tag = fieldText(payload.subarray(SD_MAX_VDI_LEN, SD_MAX_VDI_LEN + SD_MAX_VDI_TAG_LEN))
  const found = lookupVdi(node.table, node.store, { name, tag, snapId: snapId.get(viewOf(payload)) })
  if (!found.inode) return { result: found.result }
  const vid = vidHash(name)
  const place = find(node, vid, payload)
  const oid = attributeOid(vid, place.id)
  const reply = (result: number): Reply => ({
    result,
    fill: (header, at) => {
      RspVdi.vdiId.set(header, vid, at)
      RspVdi.attrId.set(header, place.id, at)
      RspVdi.copies.set(header, node.settings.copies, at)
    },
  })
  if ((flags & Flag.CREAT) !== 0) {
    if (place.exists && (flags & Flag.EXCL) !== 0) return reply(Result.VDI_EXIST)
    node.store.create(oid, ATTRIBUTE_SIZE, { offset: 0, data: payload })
    return reply(Result.SUCCESS)
  }
  if (!place.exists) return reply(Result.NO_OBJ)
  if ((flags & Flag.DEL) !== 0) node.store.remove(oid)
  return reply(Result.SUCCESS)
}

/** Where the attribute is, or would be: probed upwards from the hash of everything that identifies it. */
function find(node: LambNode, vid: number, wanted: Uint8Array): { id: number; exists: boolean } {
  const identity = identityOf(wanted)
  const there = new Uint8Array(ATTRIBUTE_SIZE)
  let id = fnv1a(identity).low
  while (node.store.read(attributeOid(vid, id), 0, there)) {
    if (Buffer.compare(identityOf(there), identity) === 0) return { id, exists: true }
    id = (id + 1) >>> 0
  }
  return { id, exists: false }
}

/** Name, tag, snapshot id and key. */
function identityOf(attribute: Uint8Array): Buffer {
  return Buffer.concat([
    attribute.subarray(0, CTIME_OFFSET),
    attribute.subarray(snapId.offset, snapId.offset + snapId.size),
    attribute.subarray(KEY_OFFSET, KEY_OFFSET + KEY_SIZE),
  ])
}
