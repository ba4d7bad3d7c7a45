import { join } from 'node:path'
import type { VolumeMetrics } from '../../api/mount-metrics.ts'
import type { Volume } from '../../api/schema/volume.ts'
import type { OperationCounts } from '../../operation-counts.ts'
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

/** What is measured of an attached volume. */
export function measuredVolume(file: VolumeFile, operations: readonly OperationCounts[]): VolumeMetrics {
  const { name, volume, handles } = file
  const facts = volume instanceof OpenVolume ? volume : undefined
  return {
    volume: name,
    measuredAtS: performance.now() / 1000,
    operations,
    openDirect: handles.direct.count,
    openCached: handles.cached.count,
    size: volume.size,
    isLocked: facts?.isLocked ?? false,
    isStale: facts?.isStale ?? false,
  }
}
