import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { findMount } from '../../../src/fuse/mount-table.ts'
import { run, succeed } from './program.ts'
import type { Stage } from './stage.ts'

/** A loop device over a file, by its path. It goes with the stage, or earlier with `detach`. */
export interface Loop {
  readonly device: string
  detach(): Promise<void>
}

/** Takes a loop device with direct I/O: else the kernel would keep the data twice. */
export async function attachLoop(stage: Stage, file: string): Promise<Loop> {
  const device = (await succeed('losetup', ['--find', '--show', '--direct-io=on', file])).trim()
  const detach = await detachWhileSame(device)
  stage.defer(detach)
  return { device, detach }
}

/** Detaches a device, unless it has gone and its number was given to another one: tests run side by side. */
export async function detachWhileSame(device: string): Promise<() => Promise<void>> {
  const serial = (): Promise<string> => readFile(`/sys/block/${basename(device)}/diskseq`, 'utf8')
  const own = await serial()
  return async () => {
    if ((await serial()) === own) await succeed('losetup', ['--detach', device])
  }
}

/** Mounts the file system of a device on a new directory. */
export async function mountDevice(stage: Stage, device: string): Promise<string> {
  const directory = await stage.mountpoint()
  await succeed('mount', [device, directory])
  stage.defer(async () => {
    if ((await findMount(directory)) === undefined) return
    const { status, stderr } = await run('umount', [directory])
    if (status === 0) return
    await run('umount', ['--lazy', directory])
    throw new Error(stderr.trim())
  })
  return directory
}
