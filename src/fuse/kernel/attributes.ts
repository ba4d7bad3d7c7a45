import { constants } from 'node:os'
import type { Attributes, Node } from '../../tree/node.ts'
import { FileType, FuseGetattr } from '../../wire/fuse-abi.ts'
import { attrOut, entryOut, statfsOut, type FuseAttributes } from '../../wire/fuse-reply.ts'
import { FuseGetattrIn } from '../../wire/fuse-structs.ts'
import { tellsSize } from './opener.ts'
import { ARGS, type Reply, type Request, type Served } from './operation.ts'

const { ENOENT, ENOTDIR, ESTALE } = constants.errno

/** A name that goes away is also notified; the limit only bounds the moment in between. */
const ENTRY_VALID_S = 1
/** Of sizes the kernel is told, of times not: an asynchronous write that ends after a stat(2) leaves it with those before. */
const ATTR_VALID_S = 1

/** What fits above the tree's id in the 53 bits of a number. */
const TEXT_SIZE_LIMIT = 2 ** 21

const STATFS_BLOCK = 4096
const NAME_MAX = 255

/** LOOKUP. */
export function lookup(served: Served, request: Request): Reply | Promise<Reply> {
  const directory = served.tree.node(request.nodeid)
  if (directory === undefined) return ESTALE
  if (directory.kind !== 'directory') return ENOTDIR
  const node = directory.lookup(nameOf(request))
  if (node === undefined) return ENOENT
  return shownOf(served, node).then((attributes) => entryOut(attributes, entryValidS(attributes)))
}

/** GETATTR. */
export function getattr(served: Served, request: Request): Reply | Promise<Reply> {
  const node = served.tree.node(request.nodeid)
  if (node === undefined) return ESTALE
  if (!served.sizes.isLost(node.id)) return attributesOf(node).then(attrOut)
  const isOfHandle = (FuseGetattrIn.getattrFlags.get(request.view, ARGS) & FuseGetattr.FH) !== 0
  return waitForSize(served, node.id, { isOfHandle, pid: request.pid }).then(async () =>
    attrOut(await shownOf(served, node)),
  )
}

/** stat(2) and fstat(2) ask without a handle. With one the kernel asks for itself, lseek(2) with the file locked. */
async function waitForSize(
  { sizes }: Served,
  node: number,
  { isOfHandle, pid }: { readonly isOfHandle: boolean; readonly pid: number },
): Promise<void> {
  if (isOfHandle) await sizes.overstate(node)
  else if (!(await tellsSize(pid))) await sizes.whenKnown(node)
}

/** STATFS. */
export async function statfs(served: Served): Promise<Reply> {
  const { total, free } = await served.tree.space()
  return statfsOut({
    blocks: Math.floor(total / STATFS_BLOCK),
    free: Math.floor(free / STATFS_BLOCK),
    blockSize: STATFS_BLOCK,
    nameLength: NAME_MAX,
  })
}

/** Seconds for which the kernel need not look a name up again: none where the node id may be another then. */
export function entryValidS({ validS }: FuseAttributes): number {
  return validS === 0 ? 0 : ENTRY_VALID_S
}

/**
 * With write-back a kernel keeps the size it first saw of a node id (docs/fuse-kernel-protocol.md#9), so a text of
 * another size gets another one: the size is its upper half, which nobody else looks at (see `Request`).
 */
function nodeidOf(node: Node, { size, validity }: Attributes): number {
  const isText = node.kind === 'file' && validity === 'never' && size < TEXT_SIZE_LIMIT
  return isText ? node.id + size * 2 ** 32 : node.id
}

/** As `attributesOf`. A kernel that does not know the size is to ask again. */
export async function shownOf({ sizes }: Served, node: Node): Promise<FuseAttributes> {
  const attributes = await attributesOf(node)
  return sizes.isLost(node.id) ? { ...attributes, validS: 0 } : attributes
}

/** A node's attributes as the kernel wants them. */
export async function attributesOf(node: Node): Promise<FuseAttributes> {
  const attributes = await node.attributes()
  const { size, allocated, mode, uid, gid, modifiedMs, changedMs, blockSize, validity } = attributes
  const isDirectory = node.kind === 'directory'
  return {
    nodeid: nodeidOf(node, attributes),
    ino: node.id,
    size,
    allocated,
    mode: (isDirectory ? FileType.DIRECTORY : FileType.REGULAR) + mode,
    nlink: isDirectory ? 2 : 1,
    uid,
    gid,
    modifiedMs,
    changedMs,
    blockSize,
    validS: validity === 'until-told' ? ATTR_VALID_S : 0,
  }
}

function nameOf(request: Request): string {
  const { buffer, byteOffset } = request.view
  return Buffer.from(buffer, byteOffset + ARGS, request.length - ARGS - 1).toString('utf8')
}
