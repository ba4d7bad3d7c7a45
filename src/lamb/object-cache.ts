import { viewOf } from '../wire/field.ts'
import { kindOf, oidText, vidOf, type ObjectId } from '../wire/object-id.ts'
import { Flag, Opcode, ReqObj, Result } from '../wire/sd-proto.ts'
import type { LambNode } from './node.ts'
import type { ObjectStore } from './object-store.ts'
import { objectSize, writeRefusal } from './object-operations.ts'
import { oidOf, type Reply, type Request } from './request.ts'

type Run = (node: LambNode, request: Request) => Reply

/** A whole object in the cache, and what is still to be done to the one in the cluster. */
interface CachedObject {
  readonly oid: ObjectId
  readonly bytes: Uint8Array
  readonly late: (() => void)[]
}

/**
 * The object cache of one gateway, as sheep up to 0.9 have it when they are told to (sheepdog 0.9: sheep/object_cache.c).
 * Each gateway has its own, and none hears of what is written through another.
 */
export class ObjectCache {
  readonly #vdis = new Map<number, Map<string, CachedObject>>()

  /** What is written late is written now. */
  flush(vid: number): void {
    for (const { late } of this.#vdis.get(vid)?.values() ?? []) for (const write of late.splice(0)) write()
  }

  delete(vid: number): void {
    this.#vdis.delete(vid)
  }

  /** All objects are written whole, and the cache is empty. */
  writeBack(vid: number, store: ObjectStore): void {
    this.flush(vid)
    for (const { oid, bytes } of this.#vdis.get(vid)?.values() ?? []) {
      store.create(oid, bytes.length, { offset: 0, data: bytes })
    }
    this.delete(vid)
  }

  find(oid: ObjectId): CachedObject | undefined {
    return this.#vdis.get(vidOf(oid))?.get(oidText(oid))
  }

  put(oid: ObjectId, bytes: Uint8Array): CachedObject {
    const object: CachedObject = { oid, bytes, late: [] }
    const objects = this.#vdis.get(vidOf(oid)) ?? new Map<string, CachedObject>()
    this.#vdis.set(vidOf(oid), objects.set(oidText(oid), object))
    return object
  }
}

/** The operation as a gateway with an object cache does it; as it is where there is none. */
export function throughCache(run: Run): Run {
  return (node, request) => {
    const cache = node.objectCache(request.gateway)
    if (!cache || isBypassed(node, cache, request)) return run(node, request)
    if (request.opcode === Opcode.READ_OBJ) return readCached(node, cache, request)
    const refusal = writeRefusal(node, request, oidOf(request))
    return refusal === Result.SUCCESS ? writeCached({ node, cache, run }, request) : { result: refusal }
  }
}

/** What carries neither CACHE nor DIRECT is cached too. */
function isBypassed({ store }: LambNode, cache: ObjectCache, request: Request): boolean {
  const oid = oidOf(request)
  const kind = kindOf(oid)
  if (kind === 'vmstate' || kind === 'attribute' || (request.flags & Flag.COW) !== 0) return true
  if ((request.flags & Flag.DIRECT) === 0) return false
  if ((request.flags & Flag.WRITE) !== 0) cache.writeBack(vidOf(oid), store)
  return cache.find(oid) === undefined
}

function pulled(node: LambNode, cache: ObjectCache, oid: ObjectId): CachedObject | undefined {
  const cached = cache.find(oid)
  if (cached) return cached
  const bytes = new Uint8Array(objectSize(node, oid))
  return node.store.read(oid, 0, bytes) ? cache.put(oid, bytes) : undefined
}

function readCached(node: LambNode, cache: ObjectCache, request: Request): Reply {
  const object = pulled(node, cache, oidOf(request))
  if (!object) return { result: Result.NO_OBJ }
  const offset = ReqObj.offset.get(request.header)
  const payload = new Uint8Array(request.dataLength)
  payload.set(object.bytes.subarray(offset, offset + request.dataLength))
  return { result: Result.SUCCESS, payload }
}

function writeCached(
  { node, cache, run }: { readonly node: LambNode; readonly cache: ObjectCache; readonly run: Run },
  request: Request,
): Reply {
  const oid = oidOf(request)
  const isCreate = request.opcode === Opcode.CREATE_AND_WRITE_OBJ
  const object = isCreate ? cache.put(oid, new Uint8Array(objectSize(node, oid))) : pulled(node, cache, oid)
  if (!object) return { result: Result.NO_OBJ }
  object.bytes.set(request.payload, ReqObj.offset.get(request.header))
  if ((request.flags & Flag.CACHE) === 0) return run(node, request)
  const header = viewOf(new Uint8Array(new Uint8Array(request.header.buffer)))
  const kept = { ...request, header, payload: new Uint8Array(request.payload) } // the memory of both is used again
  object.late.push(() => run(node, kept))
  return { result: Result.SUCCESS }
}

/** FLUSH_VDI: INVALID_PARMS says that there is no cache to flush. */
export function flushVdi(node: LambNode, request: Request): Reply {
  const cache = node.objectCache(request.gateway)
  if (!cache) return { result: Result.INVALID_PARMS }
  cache.flush(vidOf(oidOf(request)))
  return { result: Result.SUCCESS }
}

/** FLUSH_DEL_CACHE: succeeds also where there is none. */
export function flushAndDeleteCache(node: LambNode, request: Request): Reply {
  node.objectCache(request.gateway)?.writeBack(vidOf(oidOf(request)), node.store)
  return { result: Result.SUCCESS }
}

/** DELETE_CACHE: of all gateways, whatever is still to be written. */
export function deleteCaches(node: LambNode, request: Request): Reply {
  for (const cache of node.objectCaches.values()) cache.delete(vidOf(oidOf(request)))
  return { result: Result.SUCCESS }
}
