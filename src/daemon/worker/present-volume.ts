import { join } from 'node:path'
import type { Volume } from '../../api/schema/volume.ts'
import type { VolumeFile } from '../../tree/volume-file.ts'
import { Volume as OpenVolume } from '../../volume/volume.ts'

/** An attached volume as the control API shows it; `configured` and `temporary` are for those to say who know. */
export function presentVolume(file: VolumeFile, mountpoint: string): Volume {
  const { volume } = file
  const facts = volume instanceof OpenVolume ? volume : undefined
  return {
    name: file.name,
    path: join(mountpoint, 'volume', file.name),
    vid: (facts?.vid ?? 0).toString(16),
    size: volume.size,
    object_size: volume.objectSize,
    snapshot: facts?.isSnapshot ?? false,
    read_only: volume.isReadOnly,
    locked: facts?.isLocked ?? false,
    open_files: file.openCount,
    stale: facts?.isStale ?? false,
    configured: false,
    temporary: false,
  }
}
