import { createHash } from 'node:crypto'
import { access, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { instanceFiles, readEnvironment } from '../../daemon/config/environment.ts'
import type { VolumeToDetach } from './mount-table.ts'

/*
 * A daemon that comes back attaches what was attached, so "it was attached before" does not say by whom. The volumes that
 * mount.sheepfs attached are noted in the instance's runtime directory, which lasts as long as the attachments do.
 */

/** Notes that mount.sheepfs has attached the volume. */
export async function noteAttached(volume: VolumeToDetach): Promise<void> {
  const path = notePath(volume)
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 })
  await writeFile(path, '', { mode: 0o600 })
}

/** True when mount.sheepfs has attached the volume. */
export async function isNoted(volume: VolumeToDetach): Promise<boolean> {
  return access(notePath(volume)).then(
    () => true,
    () => false,
  )
}

export async function forgetAttached(volume: VolumeToDetach): Promise<void> {
  await rm(notePath(volume), { force: true })
}

/** Names of volumes are too long for a file name when they are encoded. */
function notePath({ instance, mount, volume }: VolumeToDetach): string {
  const { directory } = instanceFiles(instance, readEnvironment(process.env))
  return join(directory, 'by-mount', createHash('sha256').update(`${mount}/${volume}`).digest('hex'))
}
