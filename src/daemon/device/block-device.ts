import { open, type FileHandle } from 'node:fs/promises'
import { constants } from 'node:fs'
import { errorText, SheepfsError } from '../../errors.ts'
import { inOwnScope } from '../../fuse/own-scope.ts'
import { runToEnd } from '../../fuse/run-to-end.ts'
import { deviceUsers } from './device-users.ts'
import { isLoopFreed, listLoops } from './loop-device.ts'
import { backingFile, readLoops, type LoopState } from './loop-table.ts'
import { readPartitions, type PartitionTable } from './partition-table.ts'
import { oneLine, runSystemProgram } from '../system/system-program.ts'

/** How a volume is to be mapped. */
export interface MapOptions {
  readonly isReadOnly: boolean
  /** Undefined: that of the disk which the volume is an image of, as far as its partition table tells. */
  readonly sectorSize: number | undefined
  /** Aborts when nobody wants the device any more: it is undone then. */
  readonly signal: AbortSignal
}

/** How long the kernel may take to free a device that nobody has open. */
const FREE_LIMIT_MS = 10_000
/** For `runToEnd`. */
const NO_LIMIT = 0

/** A loop device over the whole of a file, that stays until it is unmapped. */
export function isMapped({ offset, sizeLimit, goesWithUser }: LoopState): boolean {
  return offset === 0 && sizeLimit === 0 && !goesWithUser
}

/**
 * Maps a volume to a loop device with direct I/O and its partitions, or finds the one that is there. Nobody else may look for
 * one meanwhile. The kernel keeps it, whatever becomes of this process. Errors: busy when the volume is used through a device
 * of another kind; io; as `signal` has it.
 */
export async function mapVolume(file: string, options: MapOptions): Promise<{ loop: LoopState; isNew: boolean }> {
  const { isReadOnly, sectorSize, signal } = options
  const present = await listLoops(file, { signal })
  const states = (await readLoops()).filter(({ path }) => present.some(({ name }) => name === path))
  const fitting = states.find(
    (loop) =>
      isMapped(loop) && loop.isReadOnly === isReadOnly && (sectorSize === undefined || loop.sectorSize === sectorSize),
  )
  if (fitting) return { loop: fitting, isNew: false }
  const other = states.find((loop) => !(loop.isReadOnly && isReadOnly))
  if (other) throw new SheepfsError('busy', await whyNotBeside(other))
  signal.throwIfAborted()
  const table = await readPartitions(file)
  const sectors = ['--sector-size', String(sectorSize ?? table.sectorSize)]
  const flags = ['--direct-io=on', '--partscan', ...sectors, ...(isReadOnly ? ['--read-only'] : [])]
  const path = (await runSystemProgram('losetup', ['--find', '--show', ...flags, file])).trim()
  const loop = await findLoop(path)
  try {
    signal.throwIfAborted()
    await addPartitions(loop, table)
    return { loop: await findLoop(path), isNew: true }
  } catch (error) {
    await dropDevice(loop)
    throw error
  }
}

/** The kernel finds the partitions itself, where it knows this kind of table. */
async function addPartitions({ path, sectorSize, partitions }: LoopState, table: PartitionTable): Promise<void> {
  if (sectorSize === table.sectorSize && partitions.length < table.rows.length) await change('partx', '--update', path)
}

async function findLoop(path: string): Promise<LoopState> {
  const found = (await readLoops()).find((loop) => loop.path === path)
  if (found) return found
  throw new SheepfsError('io', `${path} was taken away as soon as it was there`)
}

/** Two devices over the same bytes would have two caches. */
async function whyNotBeside(loop: LoopState): Promise<string> {
  if (isMapped(loop)) {
    const kind = `${loop.isReadOnly ? 'read-only' : 'for writing'}, with sectors of ${loop.sectorSize} bytes`
    return `it is mapped to ${loop.path} in another way: ${kind}`
  }
  const users = await deviceUsers(loop)
  const why = loop.goesWithUser ? 'goes with its last user' : 'has only a part of it'
  return `it is in use through ${loop.path}, which ${why}${byText(users)}`
}

/**
 * Takes a device away that nobody uses, after what was written to it has been flushed, unless `signal` has aborted until then.
 * Errors: busy, saying who uses it, and the device stays; busy too when somebody has it open who cannot be seen: it goes with
 * him; io; as `signal` has it.
 */
export async function unmapDevice(loop: LoopState, signal: AbortSignal): Promise<void> {
  await checkUnused(loop)
  await change('blockdev', '--flushbufs', loop.path)
  signal.throwIfAborted()
  await detachOpen(loop, await claimDevice(loop))
  if (await isLoopFreed(loop.path, loop.file, FREE_LIMIT_MS)) return
  const users = await deviceUsers(loop)
  throw new SheepfsError('busy', `${loop.path} was opened meanwhile, and goes with its last user${byText(users)}`)
}

/** Errors: busy, saying who uses it. */
export async function checkUnused(loop: LoopState): Promise<void> {
  const users = await deviceUsers(loop)
  if (users.length > 0) throw new SheepfsError('busy', `${loop.path} is in use${byText(users)}`)
}

/** A device that nobody uses goes at once, any other with its last user. Errors: io. */
export async function dropDevice(loop: Pick<LoopState, 'path' | 'file'>): Promise<void> {
  await detachOpen(loop, await open(loop.path))
}

/** Also by what is left of the path when its tree was taken away meanwhile: from the root of the tree. */
function isFile(found: string, file: string): boolean {
  return found === file || (/^\/volume\/[^/]+$/.test(found) && file.endsWith(found))
}

/** As long as somebody has it open, its number is not given to another file. */
async function detachOpen({ path, file }: Pick<LoopState, 'path' | 'file'>, holder: FileHandle): Promise<void> {
  try {
    if (isFile(await backingFile(path), file)) await change('losetup', '--detach', path)
  } finally {
    await holder.close()
  }
}

/** The size of the device becomes that of its file. */
export async function takeFileSize(loop: LoopState): Promise<void> {
  const { program, args } = inOwnScope('losetup', ['--set-capacity', loop.path])
  await change(program, ...args)
}

/** Also while the service is stopped, whose manager ends all that runs in it. It may wait for the cluster. */
async function change(program: string, ...args: readonly string[]): Promise<void> {
  try {
    await runToEnd(program, args, NO_LIMIT)
  } catch (cause) {
    const complaint = cause instanceof Error && 'stderr' in cause ? oneLine(String(cause.stderr)) : ''
    throw new SheepfsError('io', complaint || errorText(cause), { cause })
  }
}

/** While it is claimed, nobody can mount it or build on it, and who did before cannot be overlooked. */
async function claimDevice({ path }: LoopState): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_EXCL)
  } catch (cause) {
    throw new SheepfsError('busy', `${path} is in use, maybe by a mount that is not seen from here`, { cause })
  }
}

function byText(users: readonly string[]): string {
  return users.length === 0 ? '' : ` by ${users.join(', ')}`
}
