import { constants } from 'node:os'
import { isSheepfsError } from '../../errors.ts'
import type { File, Node } from '../../tree/node.ts'
import { Fattr } from '../../wire/fuse-abi.ts'
import { attrOut, type FuseAttributes } from '../../wire/fuse-reply.ts'
import { FuseSetattrIn } from '../../wire/fuse-structs.ts'
import { shownOf } from './attributes.ts'
import { ARGS, type Reply, type Request, type Served } from './operation.ts'

const { EPERM, ESTALE } = constants.errno

/** Permission bits of a mode. */
const MODE_BITS = 0o7777

/** What is to be set; undefined is left as it is. */
interface Wanted {
  readonly pid: number
  readonly fh: number | undefined
  readonly size: number | undefined
  readonly mode: number | undefined
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly modifiedMs: number | undefined
  readonly changedMs: number | undefined
}

/**
 * SETATTR. A size and the time of a change go to the file; another mode or owner is refused, because nothing keeps it. The
 * reply says how all of it really is. A kernel that writes back sets times by itself: that must succeed.
 */
export async function setattr(served: Served, request: Request): Promise<Reply> {
  const wanted = readWanted(request)
  const node = served.tree.node(request.nodeid)
  if (node === undefined) return ESTALE
  if (!(await hasModeAndOwner(node, wanted))) return EPERM
  if (node.kind === 'directory') return attrOut(await shownOf(served, node))
  const isEmptied = await resize(served, node, wanted)
  if (wanted.modifiedMs !== undefined) node.setTimes?.(wanted.modifiedMs, wanted.changedMs)
  const attributes = await shownOf(served, node)
  return isEmptied ? emptied(served, request, { node, attributes }) : attrOut(attributes)
}

function readWanted({ view, pid }: Request): Wanted {
  const valid = FuseSetattrIn.valid.get(view, ARGS)
  const ifSet = (bit: number, read: () => number): number | undefined => ((valid & bit) === 0 ? undefined : read())
  const timeMs = (seconds: 'mtime' | 'ctime'): number =>
    FuseSetattrIn[seconds].get(view, ARGS) * 1000 + FuseSetattrIn[`${seconds}nsec`].get(view, ARGS) / 1e6
  return {
    pid,
    fh: ifSet(Fattr.FH, () => FuseSetattrIn.fh.get(view, ARGS)),
    size: ifSet(Fattr.SIZE, () => FuseSetattrIn.size.get(view, ARGS)),
    mode: ifSet(Fattr.MODE, () => FuseSetattrIn.mode.get(view, ARGS) & MODE_BITS),
    uid: ifSet(Fattr.UID, () => FuseSetattrIn.uid.get(view, ARGS)),
    gid: ifSet(Fattr.GID, () => FuseSetattrIn.gid.get(view, ARGS)),
    modifiedMs: ifSet(Fattr.MTIME, () => timeMs('mtime')),
    changedMs: ifSet(Fattr.CTIME, () => timeMs('ctime')),
  }
}

async function hasModeAndOwner(node: Node, wanted: Wanted): Promise<boolean> {
  const now = await node.attributes()
  return (['mode', 'uid', 'gid'] as const).every((name) => wanted[name] === undefined || wanted[name] === now[name])
}

/** Resolves with true when a volume was truncated to nothing. Errors: those of the file; why it is busy is told here only. */
async function resize({ files, sizes, log }: Served, file: File, { size, pid, fh }: Wanted): Promise<boolean> {
  if (size === undefined) return false
  const { size: oldSize, validity } = await file.attributes()
  try {
    await file.resize(size, () => files.ownOf(file.id, { pid, fh }))
  } catch (error) {
    if (isSheepfsError(error, 'busy')) {
      log.warn(`${error.message}: ${await files.othersOf(file.id, pid)}; process ${pid} asked for it`)
    }
    throw error
  }
  if (size > 0) sizes.told(file.id, fh)
  return size === 0 && oldSize > 0 && validity === 'until-told'
}

/**
 * The answer to a truncation: a size of 0. That makes the kernel drop what it has cached; told the true size it would keep
 * clean pages, and send dirty ones afterwards (docs/fuse-kernel-protocol.md#9). The true size comes right behind.
 */
function emptied(
  { sizes, notifier }: Served,
  request: Request,
  { node, attributes }: { readonly node: File; readonly attributes: FuseAttributes },
): Reply {
  request.onAnswered = () => {
    if (request.isGivenUp) notifier.dropContent(node.id)
    else sizes.restore(node, attributes.size)
    node.tellSize?.()
  }
  return attrOut({ ...attributes, size: 0, validS: 0 })
}
