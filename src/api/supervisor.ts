import type { MountInput } from './schema/config.ts'
import type { ClusterInfo, Node } from './schema/cluster.ts'
import type { Device, DevicePut } from './schema/device.ts'
import type { Event } from './schema/event.ts'
import type { Cache, CachePatch, Mount, MountPatch, Sheep, SheepPut } from './schema/mount.ts'
import type { Reload } from './schema/reload.ts'
import type { Status } from './schema/status.ts'
import type { CloneCreate, Resize, Rollback, SnapshotCreate, Vdi, VdiCreate, VdiInfo } from './schema/vdi.ts'
import type { Volume, VolumePut } from './schema/volume.ts'
import type { MountMetrics } from './mount-metrics.ts'

/** What clients look at: an instance, its mounts and their clusters. Errors: as of a Supervisor. */
export interface Looks {
  status(): Promise<Status>
  metrics(): Promise<readonly MountMetrics[]>
  /** Calls `listener` for every event, from now until the returned function is called. */
  subscribe(listener: (event: Event) => void): () => void
  mounts(): Promise<Mount[]>
  mount(name: string): Promise<Mount>
  volumes(mount: string, caller: Caller): Promise<Volume[]>
  /** Errors: not-found. */
  volume(mount: string, volume: string, caller: Caller): Promise<Volume>
  /** Volumes that are mapped to block devices. */
  devices(mount: string): Promise<Device[]>
  /** Errors: not-found. */
  device(mount: string, volume: string): Promise<Device>
  cache(mount: string, caller: Caller): Promise<Cache>
  sheep(mount: string): Promise<Sheep>
  cluster(mount: string, caller: Caller): Promise<ClusterInfo>
  nodes(mount: string, caller: Caller): Promise<Node[]>
  /** By name, then snapshots by age. */
  vdis(mount: string, caller: Caller): Promise<Vdi[]>
  /** Errors: not-found. */
  vdi(mount: string, vdi: string, caller: Caller): Promise<VdiInfo>
}

/**
 * What the control API drives: an instance and its mounts. Names of mounts are those of the configuration; volumes and VDIs
 * are named in the grammar of `tree/volume-name.ts`. Everything throws not-found for a mount that is not there, invalid for
 * a bad name, closed while the instance stops; what has a caller throws unreachable and timeout too, and does nothing more
 * for one who has gone or has waited long enough.
 */
export interface Supervisor extends Looks, VdiManagement {
  /**
   * Reads the configuration again and applies what differs; resolves when that is done, or with `isDryRun` with what would be.
   * Errors: what is wrong with it, or cannot be done; everything is as it was then.
   */
  reload(options: { readonly isDryRun: boolean }): Promise<Reload>
  /** Resolves when it serves. Errors: exists (name or mountpoint), not-found (mountpoint), not-permitted, not-supported. */
  addMount(input: MountInput, caller: Caller): Promise<Mount>
  /** Flushes and unmounts. busy: files are open; with `force` they fail from then on. */
  removeMount(mount: string, options: Force): Promise<void>
  patchMount(mount: string, patch: MountPatch, caller: Caller): Promise<Mount>
  /** Resolves when another worker serves under the running mount. Errors: not-supported (engine, kernel). */
  restartMount(mount: string, caller: Caller): Promise<Mount>

  /** `isNew` is false when it was attached already. Errors: not-found, locked, busy (attached in another mode). */
  attach(mount: string, volume: string, options: VolumePut, caller: Caller): Promise<{ volume: Volume; isNew: boolean }>
  /**
   * Errors: not-found when it is not attached, or with `temporary` for good; busy: it is open, or with `temporary` about to be;
   * with `force` its files fail from then on.
   */
  detach(mount: string, volume: string, options: DetachOptions, caller: Caller): Promise<void>

  /**
   * Attaches a volume and maps it to a block device; `isNew` is false when it was mapped already. Errors: those of `attach`;
   * busy (mapped in another way, or mounted through another device).
   */
  map(mount: string, volume: string, options: DevicePut, caller: Caller): Promise<{ device: Device; isNew: boolean }>
  /** Errors: not-found when it is not mapped; busy, saying who uses it. */
  unmap(mount: string, volume: string, caller: Caller): Promise<void>

  /** Errors: not-supported, by the engine or the cluster. */
  patchCache(mount: string, patch: CachePatch, caller: Caller): Promise<Cache>
  /** Errors: unreachable when none of them answers; the old ones stay then. */
  putSheep(mount: string, put: SheepPut, caller: Caller): Promise<Sheep>
}

/** Who asks, and how long he waits for a cluster that does not answer. */
export interface Caller {
  /** As long as it takes; else half a minute. */
  readonly waits: boolean
  /** Aborts when he has gone. */
  readonly gone: AbortSignal
}

export interface Force {
  readonly force: boolean
}

export interface DetachOptions extends Force {
  /** Only what is attached temporarily. */
  readonly temporary?: boolean
}

/** Changes of the VDIs in the cluster of a mount. */
export interface VdiManagement {
  /** Errors: exists; invalid and too-large (see `volume/manage/create-vdi.ts`). */
  createVdi(mount: string, body: VdiCreate, caller: Caller): Promise<Vdi>
  /** Deletes a VDI or snapshot; tells its progress in events. Errors: not-found; busy while it is attached; locked. */
  deleteVdi(mount: string, vdi: string, caller: Caller): Promise<void>
  /** Makes a snapshot of a working VDI. Errors: not-found, exists (the tag), not-supported (hyper volumes). */
  snapshotVdi(mount: string, vdi: string, body: SnapshotCreate, caller: Caller): Promise<Vdi>
  /** Makes a VDI of a snapshot. Errors: not-found, exists, invalid (a working VDI). */
  cloneVdi(mount: string, vdi: string, body: CloneCreate, caller: Caller): Promise<Vdi>
  /**
   * Goes back to a snapshot; what the VDI had is kept as another. Errors: not-found; invalid (no snapshot); busy while the
   * working VDI is attached; locked; not-supported (hyper volumes).
   */
  rollbackVdi(mount: string, snapshot: string, caller: Caller): Promise<Rollback>
  /** Grows a VDI. Errors: not-found, not-permitted (shrink), too-large, read-only (a snapshot). */
  resizeVdi(mount: string, vdi: string, body: Resize, caller: Caller): Promise<Vdi>
}
