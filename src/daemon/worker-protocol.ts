import type { MountMetrics, VolumeMetrics } from '../api/mount-metrics.ts'
import type { ClusterInfo, Node } from '../api/schema/cluster.ts'
import type { CloneCreate, Resize, Rollback, SnapshotCreate, Vdi, VdiCreate, VdiInfo } from '../api/schema/vdi.ts'
import type { Volume, VolumePut } from '../api/schema/volume.ts'
import type { DetachOptions } from '../api/supervisor.ts'
import type { ErrorCode } from '../errors.ts'
import type { EngineName } from '../fuse/engine.ts'
import type { Negotiated } from '../fuse/kernel/negotiation.ts'
import type { OpenHandle } from '../fuse/kernel/open-files.ts'
import type { LogLevel } from '../log.ts'
import type { Address } from '../sheep/address.ts'
import type { BookedLock } from '../sheep/lock-book.ts'
import type { Waiter, WaiterOptions } from '../sheep/waiter.ts'
import type { AttachmentEvent } from '../tree/attachments.ts'
import type { SavedTimes } from '../tree/file-times.ts'
import type { WorkerAccount } from './config/worker-account.ts'
import type { InodeIdentity } from '../volume/inode-identity.ts'

/** What a worker is to serve. Of one mount, `uid`, `gid`, `networks` and `volumeMode` may be others for the next worker. */
export interface WorkerSpec {
  readonly mount: string
  readonly engine: EngineName
  readonly mountpoint: string
  readonly allowOther: boolean
  readonly writeBack: boolean
  readonly uid: number
  readonly gid: number
  /** Where sheep may be; none: everywhere. */
  readonly networks: readonly string[]
  /** Permission bits of volume files. */
  readonly volumeMode: number
  readonly logLevel: LogLevel
  /** The account the worker changes to; undefined: it stays what it is. */
  readonly account: WorkerAccount | undefined
}

/** A volume as a successor must give it again: under the same node id. */
export interface AttachedVolume {
  readonly name: string
  readonly nodeId: number
  readonly readOnly: boolean
  /** What the kernel was told of last, if anything. */
  readonly size?: number
  /** As it was told of last. */
  readonly times?: SavedTimes | undefined
  /** What it works on: a successor takes no other VDI of that name, be it in another cluster, for it. */
  readonly inode?: InodeIdentity | undefined
  /** A first worker goes on without it when it cannot be attached: it was attached at run time, by a predecessor. */
  readonly isOptional?: boolean
  /** It is detached when nobody has it open any more. */
  readonly isTemporary?: boolean
}

/**
 * What a mount has come to: all a successor needs to go on without the kernel, or anybody who has a file open, noticing.
 * The worker sends it whenever it changes, before anybody can see the change.
 */
export interface MountState {
  readonly negotiated: Negotiated | undefined
  readonly volumes: readonly AttachedVolume[]
  readonly nextNodeId: number
  readonly pageCache: boolean
  readonly objectCache: boolean
  readonly addresses: readonly Address[]
  /** Longest wait of a request through an outage, ms; Infinity: for ever. */
  readonly ioTimeoutMs: number
  /** Sheep that may still execute what this worker, or a dead one before it, has sent them. */
  readonly gateways: readonly Address[]
  /** Locks that the worker may hold, also of VDIs that are about to be attached, were just detached, or are being deleted. */
  readonly locks: readonly BookedLock[]
  /** The cluster that they are locks of; see `ClusterFormat`. */
  readonly clusterCtime?: string | undefined
}

/** The first thing a worker is told. Descriptor 5 is the record of the mount; with the kernel engine, 3 is its device. */
export interface WorkerStart {
  readonly kind: 'start'
  /** To serve the mount; or to close, in place of a dead worker of a mount that is over, what that had locked. */
  readonly purpose: 'serve' | 'close'
  readonly spec: WorkerSpec
  readonly state: MountState
  /** Volumes that the kernel has open. */
  readonly handles: readonly OpenHandle[]
  /** 1 for the first worker of a mount; a later one takes over from a predecessor. */
  readonly generation: number
  /** The mount outlives the supervisor too: its device is with the service manager. */
  readonly isKept: boolean
}

/** What a supervisor asks a worker for besides the state it is told of. */
export interface WorkerReport {
  readonly openFiles: number
  readonly gateway: Address | undefined
}

/** What a worker measures; the supervisor knows the rest of `MountMetrics`. */
export type WorkerMetrics = Pick<
  MountMetrics,
  | 'measuredAtS'
  | 'operations'
  | 'openFiles'
  | 'sheepInFlight'
  | 'reconnects'
  | 'retries'
  | 'resentRequests'
  | 'waitingRequests'
  | 'clusterSpace'
  | 'workerMemory'
>

/** What a worker does for its supervisor. Errors arrive as they are thrown. What asks the cluster has a waiter, and ends with him. */
export interface WorkerMethods {
  /** Answers at once, whatever the cluster does: who does not answer is stuck. */
  ping(): Promise<void>
  report(): Promise<WorkerReport>
  metrics(): Promise<WorkerMetrics>
  /** Apart from those of the mount, because they may be many. */
  volumeMetrics(): Promise<VolumeMetrics[]>
  volumes(): Promise<Volume[]>
  attach(volume: string, options: VolumePut, waiter: Waiter): Promise<{ volume: Volume; isNew: boolean }>
  detach(volume: string, options: DetachOptions, waiter: Waiter): Promise<void>
  setCache(patch: { readonly pageCache?: boolean; readonly objectCache?: boolean }): Promise<void>
  /** Resolves with how many open files keep the mode they were opened in. */
  openInOldMode(): Promise<number>
  setAddresses(addresses: readonly Address[], waiter: Waiter): Promise<void>
  setIoTimeout(timeoutMs: number): Promise<void>
  cluster(waiter: Waiter): Promise<ClusterInfo>
  nodes(waiter: Waiter): Promise<Node[]>
  vdis(waiter: Waiter): Promise<Vdi[]>
  vdi(vdi: string, waiter: Waiter): Promise<VdiInfo>
  createVdi(body: VdiCreate, waiter: Waiter): Promise<Vdi>
  deleteVdi(vdi: string, waiter: Waiter): Promise<void>
  snapshotVdi(vdi: string, body: SnapshotCreate, waiter: Waiter): Promise<Vdi>
  cloneVdi(vdi: string, body: CloneCreate, waiter: Waiter): Promise<Vdi>
  rollbackVdi(snapshot: string, waiter: Waiter): Promise<Rollback>
  resizeVdi(vdi: string, body: Resize, waiter: Waiter): Promise<Vdi>
  /** Takes no more requests and answers those in flight, for a successor. */
  handOver(): Promise<void>
  /** Engines that mount by themselves; the others are unmounted by the supervisor. */
  unmount(): Promise<void>
  abort(): Promise<void>
}

export type MethodName = keyof WorkerMethods

/** What a method is called with, from another process. */
export type Arguments<M extends MethodName> =
  Parameters<WorkerMethods[M]> extends [...infer A, Waiter] ? A : Parameters<WorkerMethods[M]>

export interface WorkerCall {
  readonly kind: 'call'
  readonly id: number
  readonly method: MethodName
  readonly args: readonly unknown[]
  readonly limits: CallLimits
}

/** How long whoever is behind a call waits for a cluster that does not answer, ms; Infinity: for ever. */
export type CallLimits = Pick<WaiterOptions, 'limitMs' | 'firstLimitMs'>

/** Whoever is behind a call has gone. */
export interface WorkerCancel {
  readonly kind: 'cancel'
  readonly id: number
}

/** The mount is not wanted any more, before it serves. */
export interface WorkerAbandon {
  readonly kind: 'abandon'
}

/** Nobody serves the mount on any more when its supervisor ends. */
export interface WorkerLast {
  readonly kind: 'last'
}

export type ToWorker = WorkerStart | WorkerCall | WorkerCancel | WorkerAbandon | WorkerLast

/** An error on its way between the processes. */
export interface WireError {
  readonly code: ErrorCode
  readonly message: string
}

/** How far a long operation has come. */
export interface Progress {
  readonly operation: 'delete'
  readonly vdi: string
  readonly done: number
  readonly total: number
}

/** The times of a volume that is being changed. */
export interface MovedTimes {
  readonly name: string
  readonly nodeId: number
  readonly times: SavedTimes
  /** A kernel that keeps the times by itself does not know: its mtime, ms since 1970. */
  readonly untoldMs?: number
}

export type FromWorker =
  /** The mount serves requests. */
  | { readonly kind: 'serving' }
  | { readonly kind: 'state'; readonly state: MountState }
  /** Of volumes, each before the kernel knows; apart from the state, so that opening a file costs little. */
  | { readonly kind: 'opened'; readonly handle: OpenHandle }
  | { readonly kind: 'closed'; readonly fh: number }
  /** Requests wait for the cluster; sinceMs undefined: none any more. */
  | { readonly kind: 'waiting'; readonly sinceMs: number | undefined; readonly reason: string }
  | { readonly kind: 'progress'; readonly progress: Progress }
  /** Whoever asked for it. */
  | { readonly kind: 'attachment'; readonly event: AttachmentEvent }
  /** A volume has grown, and not through the kernel. */
  | { readonly kind: 'grown'; readonly volume: string; readonly size: number }
  /** Of what moves, before it does; apart from the state, because it is often. */
  | { readonly kind: 'times'; readonly volumes: readonly MovedTimes[] }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  /** Of a long list, in order, before the answer that has its end. */
  | { readonly kind: 'part'; readonly id: number; readonly items: readonly unknown[] }
  | { readonly kind: 'refusal'; readonly id: number; readonly error: WireError }
  /** The worker ends by itself: the mount is gone, or could not be served. */
  | { readonly kind: 'ended'; readonly error: WireError | undefined }
