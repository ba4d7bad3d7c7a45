#!/usr/bin/env node
import { stat } from 'node:fs/promises'
import { SheepfsError, errorText } from '../errors.ts'
import { tellError } from '../journal.ts'
import { printable } from '../printable.ts'
import { ExitStatus, exitStatusOf } from './mount/exit-status.ts'
import { withVolumeLock } from '../daemon/device/volume-lock.ts'
import { isLoopDevice } from '../daemon/device/loop-device.ts'
import { backingFile } from '../daemon/device/loop-table.ts'
import { MOUNT_USAGE, parseMountArguments, type MountArguments } from './mount/mount-arguments.ts'
import { mountInstanceTree, mountInstanceVolume } from './mount/instance-mount.ts'
import { type MountOptions, parseMountOptions } from './mount/mount-options.ts'
import { parseMountSource, type MountSource } from './mount/mount-source.ts'
import type { MountRequest } from './mount/mount-request.ts'
import { mountStandaloneTree, mountStandaloneVolume } from './mount/standalone-mount.ts'
import { remount } from './mount/remount.ts'
import { UndoList } from './mount/undo-list.ts'
import { isDeadMount } from '../daemon/system/dead-mount.ts'
import { findMountAt, type MountedAt, recordedSource, resolveMountpoint } from '../daemon/system/remembered-mounts.ts'
import { runSystemProgram } from '../daemon/system/system-program.ts'
import { versionLine } from '../program-version.ts'

async function mount(args: MountArguments, signal: AbortSignal): Promise<void> {
  const source = parseMountSource(args.source)
  const options = parseMountOptions(args.options, source)
  const directory = await resolveMountpoint(args.directory)
  const work = (): Promise<void> => mountAt(directory, { args, source, options, signal })
  // systemd and an administrator may mount a line of fstab at the same moment: the later finds what the other has mounted
  if (process.geteuid?.() === 0) await withVolumeLock(`place ${directory}`, signal, work)
  else await work()
}

interface Wanted {
  readonly args: MountArguments
  readonly source: MountSource
  readonly options: MountOptions
  readonly signal: AbortSignal
}

async function mountAt(directory: string, { args, source, options, signal }: Wanted): Promise<void> {
  const found = await findMountAt(directory)
  const undo = new UndoList()
  const tell = (step: string): void => {
    if (args.isVerbose) process.stdout.write(printable(`mount.sheepfs: ${step}\n`))
  }
  const request = { args, options, directory, signal, undo, tell }
  if (options.isRemount) {
    if (!args.isFake) await remount(source, request, found)
    return
  }
  const isThere = found && (found.source === args.source || recordedSource(found) === args.source)
  const isDead = isThere && (await isDeadMount(found))
  if (isThere && !isDead) return
  if (args.isFake) return
  if (isDead) await takeAway(found, request)
  if (isDead || !found) await checkDirectory(directory)
  try {
    await mountSource(source, request)
  } catch (error) {
    const left = await undo.undoAll()
    if (left.length === 0) throw error
    throw new SheepfsError('io', `${errorText(error)}; not undone: ${left.join('; ')}`, { cause: error })
  }
}

/** Nobody can serve it any more: it goes with whoever still stands inside. */
async function takeAway({ target, source }: MountedAt, { signal, tell }: MountRequest): Promise<void> {
  await runSystemProgram('umount', ['-i', '-l', target], { signal })
  const isOver = isLoopDevice(source) && (await backingFile(source)) !== ''
  if (isOver) await runSystemProgram('losetup', ['--detach', source], { signal })
  tell(`${target} was dead, and is mounted again`)
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
  else if (args === 'version') process.stdout.write(versionLine('mount.sheepfs'))
  else await mount(args, interrupted.signal)
} catch (error) {
  const isInterrupted = interrupted.signal.aborted
  tellError(`mount.sheepfs: ${isInterrupted ? 'interrupted' : errorText(error)}\n`)
  process.exitCode = isInterrupted ? ExitStatus.USER : exitStatusOf(error)
}
