import { isSheepfsError } from '../../errors.ts'
import { takeLoopDevice, type LoopDevice } from '../../daemon/device/loop-device.ts'
import { findPartition, WHOLE_VOLUME } from '../../daemon/device/partition-table.ts'
import { overVolume } from '../../daemon/device/volume-file.ts'
import { volumeFlags } from './mount-flags.ts'
import { kernelNow, mountFailure } from './mount-failure.ts'
import type { MountRequest } from './mount-request.ts'
import { findMountAt, sourceOptions } from '../../daemon/system/remembered-mounts.ts'
import { runSystemProgram } from '../../daemon/system/system-program.ts'

/** A loop device over what is asked for of the volume at `path`. Errors: not-found (partition), busy; io, also for no volume. */
export async function takeVolume(
  path: string,
  { options, signal, tell }: MountRequest,
  isReadOnly = options.isReadOnly,
): Promise<LoopDevice> {
  const { partition, sectorSize } = options
  const loop = await overVolume(path, signal, {
    make: async () => {
      const range =
        partition === undefined ? WHOLE_VOLUME : await findPartition(path, partition, { signal, sectorSize })
      return takeLoopDevice(path, { isReadOnly, range, sectorSize, signal })
    },
    deviceOf: (made) => made.path,
    takeBack: (made) => made.release(),
  })
  tell(`${loop.path} is over ${path}`)
  return loop
}

/**
 * Mounts the file system on a loop device, which goes with its last mount, whoever unmounts it. Errors: io (what mount(8)
 * complains of).
 * @param recorded further options for mount(8) to remember
 */
export async function mountLoop(
  loop: LoopDevice,
  request: MountRequest,
  recorded: readonly string[] = [],
): Promise<void> {
  const { directory, args, signal, undo, tell } = request
  undo.add(() => loop.release())
  undo.add(() => unmountLoop(loop.path, directory)) // a mount(8) that was interrupted may have mounted
  const sinceS = kernelNow()
  try {
    await runSystemProgram('mount', [...mountFlags(request, recorded), loop.path, directory], { signal })
  } catch (error) {
    if (!isSheepfsError(error, 'io')) throw error
    throw await mountFailure(error, { loop, source: args.source, sinceS })
  }
  tell(`${loop.path} is mounted at ${directory}`)
  await loop.release()
}

async function unmountLoop(device: string, directory: string): Promise<void> {
  if ((await findMountAt(directory))?.source === device) await runSystemProgram('umount', ['-i', directory])
}

function mountFlags({ args, options }: MountRequest, recorded: readonly string[]): string[] {
  const { fstype, isReadOnly } = options
  const all = [...volumeFlags(options), ...(isReadOnly ? ['ro'] : []), ...sourceOptions(args.source), ...recorded]
  return [
    ...(fstype === undefined ? [] : ['-t', fstype]),
    ...(args.isSloppy ? ['-s'] : []),
    ...(args.isUnrecorded ? ['-n'] : []),
    '-o',
    all.join(','),
  ]
}
