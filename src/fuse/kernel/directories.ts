import { constants } from 'node:os'
import type { Directory, Entry } from '../../tree/node.ts'
import { DirentType } from '../../wire/fuse-abi.ts'
import { DirentWriter, type FuseDirectoryEntry } from '../../wire/fuse-dirent.ts'
import { openOut } from '../../wire/fuse-reply.ts'
import { FuseReadIn, FuseReleaseIn } from '../../wire/fuse-structs.ts'
import { attributesOf, entryValidS } from './attributes.ts'
import { ARGS, type Reply, type Request, type Served } from './operation.ts'

const { ENOTDIR, ESTALE } = constants.errno

/** OPENDIR. */
export function opendir(served: Served, request: Request): Reply {
  const node = served.tree.node(request.nodeid)
  if (node === undefined) return ESTALE
  return node.kind === 'directory' ? openOut(served.directories.add(node), 0) : ENOTDIR
}

/** RELEASEDIR. */
export function releasedir(served: Served, request: Request): Reply {
  served.directories.release(FuseReleaseIn.fh.get(request.view, ARGS))
  return 0
}

/** READDIR. */
export function readdir(served: Served, request: Request): Reply {
  const node = served.tree.node(request.nodeid)
  if (node?.kind !== 'directory') return ESTALE
  const { rest, start, size } = remaining(served, request, node)
  const writer = new DirentWriter(size)
  for (const [index, entry] of rest.entries()) {
    if (!writer.add(direntOf(entry, start + index))) break
  }
  return writer.reply()
}

/** READDIRPLUS: with the attributes of each entry, except those whose attributes cannot be had now. */
export async function readdirplus(served: Served, request: Request): Promise<Reply> {
  const node = served.tree.node(request.nodeid)
  if (node?.kind !== 'directory') return ESTALE
  const { rest, start, size } = remaining(served, request, node)
  const attributes = await Promise.allSettled(
    rest.map(async (entry) => (isDot(entry) ? undefined : await attributesOf(entry.node))),
  )
  const writer = new DirentWriter(size)
  for (const [index, entry] of rest.entries()) {
    const result = attributes[index]
    const known = result?.status === 'fulfilled' ? result.value : undefined
    const plus = { attributes: known, entryValidS: known === undefined ? 0 : entryValidS(known) }
    if (!writer.add(direntOf(entry, start + index), plus)) break
  }
  return writer.reply()
}

/** More would not fit in one reply: the smallest READDIRPLUS record has 160 bytes, READDIR 32. */
const MIN_RECORD = 32

function remaining(
  served: Served,
  request: Request,
  directory: Directory,
): { rest: readonly Entry[]; start: number; size: number } {
  const start = FuseReadIn.offset.get(request.view, ARGS)
  const size = FuseReadIn.size.get(request.view, ARGS)
  const entries = served.directories.entries(FuseReadIn.fh.get(request.view, ARGS), directory)
  return { rest: entries.slice(start, start + Math.ceil(size / MIN_RECORD)), start, size }
}

function direntOf({ name, node }: Entry, index: number): FuseDirectoryEntry {
  const type = node.kind === 'directory' ? DirentType.DIRECTORY : DirentType.REGULAR
  return { ino: node.id, type, off: index + 1, name: Buffer.from(name, 'utf8') }
}

function isDot({ name }: Entry): boolean {
  return name === '.' || name === '..'
}
