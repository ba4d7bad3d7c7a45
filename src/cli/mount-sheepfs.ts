#!/usr/bin/env node
import { stat } from 'node:fs/promises'
import { SheepfsError, errorText } from '../errors.ts'
import { tellError } from '../journal.ts'
import { ExitStatus, exitStatusOf } from './mount/exit-status.ts'
import { MOUNT_USAGE, parseMountArguments, type MountArguments } from './mount/mount-arguments.ts'
import { mountInstanceTree, mountInstanceVolume } from './mount/instance-mount.ts'
import { parseMountOptions } from './mount/mount-options.ts'
import { parseMountSource, type MountSource } from './mount/mount-source.ts'
import { findMountAt, recordedSource, resolveMountpoint } from './mount/mount-table.ts'
import type { MountRequest } from './mount/mount-request.ts'
import { mountStandaloneTree, mountStandaloneVolume } from './mount/standalone-mount.ts'
import { remount } from './mount/remount.ts'
import { UndoList } from './mount/undo-list.ts'
import { programVersion } from '../daemon/program-version.ts'

async function mount(args: MountArguments, signal: AbortSignal): Promise<void> {
  const source = parseMountSource(args.source)
  const options = parseMountOptions(args.options, source)
  const directory = await resolveMountpoint(args.directory)
  const present = await findMountAt(directory)
  const undo = new UndoList()
  const tell = (step: string): void => {
    if (args.isVerbose) process.stdout.write(`mount.sheepfs: ${step}\n`)
  }
  const request = { args, options, directory, signal, undo, tell }
  if (options.isRemount) {
    if (!args.isFake) await remount(source, request, present)
    return
  }
  if (present && (present.source === args.source || recordedSource(present) === args.source)) return
  if (!present) await checkDirectory(directory)
  if (args.isFake) return
  try {
    await mountSource(source, request)
  } catch (error) {
    const left = await undo.undoAll()
    if (left.length === 0) throw error
    throw new SheepfsError('io', `${errorText(error)}; not undone: ${left.join('; ')}`, { cause: error })
  }
}

async function mountSource(source: MountSource, request: MountRequest): Promise<void> {
  if (source.volume !== undefined && process.geteuid?.() !== 0) {
    throw new SheepfsError('not-permitted', 'only root can mount the file system in a volume: it takes a loop device')
  }
  switch (source.kind) {
    case 'standalone':
      await (source.volume === undefined ? mountStandaloneTree : mountStandaloneVolume)(source, request)
      break
    case 'instance':
      await (source.volume === undefined ? mountInstanceTree : mountInstanceVolume)(source, request)
      break
  }
}

async function checkDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch((cause: unknown) => {
    throw new SheepfsError('not-found', `mountpoint "${directory}" does not exist: create the directory first`, {
      cause,
    })
  })
  if (!found.isDirectory()) throw new SheepfsError('invalid', `mountpoint "${directory}" is not a directory`)
}

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => {
    interrupted.abort()
  })
}
try {
  const args = parseMountArguments(process.argv.slice(2))
  if (args === 'help') process.stdout.write(MOUNT_USAGE)
  else if (args === 'version') process.stdout.write(`mount.sheepfs ${programVersion()}\n`)
  else await mount(args, interrupted.signal)
} catch (error) {
  const isInterrupted = interrupted.signal.aborted
  tellError(`mount.sheepfs: ${isInterrupted ? 'interrupted' : errorText(error)}\n`)
  process.exitCode = isInterrupted ? ExitStatus.USER : exitStatusOf(error)
}
