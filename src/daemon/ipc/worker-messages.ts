import type { VolumeMetrics } from '../../api/mount-metrics.ts'
import type { ClusterInfo, Node } from '../../api/schema/cluster.ts'
import type { Rollback, Vdi, VdiInfo } from '../../api/schema/vdi.ts'
import type { Volume } from '../../api/schema/volume.ts'
import { SheepfsError, type ErrorCode } from '../../errors.ts'
import type { OpenHandle } from '../../fuse/kernel/open-files.ts'
import { VOLUME_OPERATIONS, type OperationCounts } from '../../operation-counts.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { isErrorCode } from '../wire-error.ts'
import type {
  FromWorker,
  MethodName,
  MountState,
  MovedTimes,
  WireError,
  WorkerMethods,
  WorkerMetrics,
  WorkerReport,
} from '../worker-protocol.ts'
import {
  count,
  distinct,
  duration,
  flag,
  integer,
  line,
  list,
  message,
  nothing,
  object,
  oneOf,
  optional,
} from './shape.ts'
import { patience, pattern, text, time, type Shape } from './shape.ts'
import type { InodeIdentity } from '../../volume/inode-identity.ts'

/** More of anything than a mount can come to. */
const MANY = 1_000_000
const LONGEST_TEXT = 4096
/** A longer list is answered in parts: one may not be longer. */
export const PART_LENGTH = 512

type Of<K extends FromWorker['kind']> = Extract<FromWorker, { kind: K }>

/** The name of a volume as files have it, which leads nowhere else. */
const volumeName: Shape<string> = (value) => {
  const name = text(LONGEST_TEXT)(value)
  if (parseVolumeName(name).text !== name) throw new SheepfsError('protocol', 'expected the name of a volume')
  return name
}

const host = pattern('a host', /^[A-Za-z0-9_.:%-]{1,255}$/)
const hostAndPort = pattern('host:port', /^[[\]A-Za-z0-9_.:%-]{1,300}$/)
const ctime = pattern('a creation time', /^[0-9a-f]{16}$/)
const inode = object<InodeIdentity>({ vid: count, createdAt: ctime })
const vid = pattern('a vid', /^[0-9a-f]{1,8}$/)
const dateText = pattern('a time', /^[+-]?[0-9]{4,6}-[0-9:.TZ-]{1,24}$/)
const port: Shape<number> = (value) => {
  const number = count(value)
  if (number < 1 || number > 65_535) throw new SheepfsError('protocol', 'expected a port')
  return number
}
export const address = object<MountState['addresses'][number]>({ host, port })
const times = object<MovedTimes['times']>({ modifiedMs: time, changedMs: time, isMoving: flag })

const code: Shape<ErrorCode> = (value) => {
  if (!isErrorCode(value)) throw new SheepfsError('protocol', 'expected the code of an error')
  return value
}
const error = object<WireError>({ code, message: line })

export type ShapesOf<T> = { readonly [K in keyof T]-?: Shape<T[K]> }

/** What a mount has come to, as a worker tells it, and as it records it. */
export const STATE_SHAPES: ShapesOf<MountState> = {
  negotiated: optional(
    object<NonNullable<MountState['negotiated']>>({
      ...{ minor: count, flags: integer, flags2: integer, maxWrite: count, maxPages: count, canResend: flag },
    }),
  ),
  volumes: list(
    object<MountState['volumes'][number]>({
      ...{ name: volumeName, nodeId: count, readOnly: flag, size: optional(count), times: optional(times) },
      ...{ inode: optional(inode), isOptional: optional(flag), isTemporary: optional(flag) },
    }),
    MANY,
  ),
  nextNodeId: count,
  pageCache: flag,
  objectCache: flag,
  addresses: list(address, MANY),
  ioTimeoutMs: patience,
  gateways: list(address, MANY),
  locks: list(object<MountState['locks'][number]>({ vid: count, owner: hostAndPort }), MANY),
  clusterCtime: optional(ctime),
}
export const state = object<MountState>(STATE_SHAPES)

export const openHandle: Shape<OpenHandle> = object<OpenHandle>({
  ...{ fh: count, node: count, caching: oneOf('direct', 'cached'), request: duration, pid: count, sinceS: duration },
})

const READERS: { readonly [K in FromWorker['kind']]: Shape<Omit<Of<K>, 'kind'>> } = {
  serving: object({}),
  state: object({ state }),
  opened: object({ handle: openHandle }),
  closed: object({ fh: count }),
  waiting: object<Omit<Of<'waiting'>, 'kind'>>({ sinceMs: optional(time), reason: line }),
  progress: object({
    progress: object<Of<'progress'>['progress']>({
      ...{ operation: oneOf('delete'), vdi: text(LONGEST_TEXT), done: count, total: count },
    }),
  }),
  attachment: object({
    event: object<Of<'attachment'>['event']>({
      ...{ kind: oneOf('attached', 'detached'), volume: volumeName },
      reason: optional(line), // left out where it is undefined
    }),
  }),
  grown: object({ volume: volumeName, size: count }),
  times: object({
    volumes: list(object<MovedTimes>({ name: volumeName, nodeId: count, times, untoldMs: optional(time) }), MANY),
  }),
  answer: object<Omit<Of<'answer'>, 'kind'>>({ id: count, value: (value) => value }), // read as ANSWERS has it
  part: object<Omit<Of<'part'>, 'kind'>>({ id: count, items: list((value) => value, PART_LENGTH) }),
  refusal: object({ id: count, error }),
  ended: object<Omit<Of<'ended'>, 'kind'>>({ error: optional(error) }),
}

/** A message of a worker. Errors: protocol, when it is none. */
export function readFromWorker(value: unknown): FromWorker {
  return message<FromWorker>(READERS, value)
}

const volume = object<Volume>({
  ...{ name: volumeName, path: text(LONGEST_TEXT), vid, size: count, object_size: count, snapshot: flag },
  ...{ read_only: flag, locked: flag, open_files: count, stale: flag, configured: flag, temporary: flag },
})

const copies = pattern('copies', /^[0-9]{1,3}(:[0-9]{1,3})?$/)

function orNull<T>(of: Shape<T>): Shape<T | null> {
  return (value) => (value === null ? null : of(value))
}

const vdiFields = {
  ...{ volume: orNull(volumeName), name: text(LONGEST_TEXT), tag: text(LONGEST_TEXT), snapshot_id: count },
  ...{ snapshot: flag, clone: flag, vid, size: duration, used: duration, shared: duration, object_size: count, copies },
  ...{ hyper: flag, created_at: dateText },
}
const vdi = object<Vdi>(vdiFields)
const vdiInfo = object<VdiInfo>({
  ...vdiFields,
  ...{ parent: orNull(volumeName), locked: flag, locked_through: orNull(hostAndPort) },
})

const cluster = object<ClusterInfo>({
  state: oneOf('running', 'unformatted', 'joining', 'stopping', 'error'),
  ...{ state_text: line, created_at: orNull(dateText), epoch: count, copies, store: text(LONGEST_TEXT) },
  ...{ locking: flag, strict: flag, auto_recovery: flag },
  epochs: list(
    object<ClusterInfo['epochs'][number]>({ epoch: count, began_at: dateText, nodes: list(hostAndPort, MANY) }),
    MANY,
  ),
})

const node = object<Node>({
  ...{ address: hostAndPort, zone: integer, vnodes: count, disks: count },
  space: orNull(object<NonNullable<Node['space']>>({ total: duration, free: duration })),
})

const report = object<WorkerReport>({ openFiles: count, gateway: optional(address) })

/** Each operation once: series that come twice spoil all metrics of the instance. */
function operations(name: Shape<string>, most: number): Shape<OperationCounts[]> {
  const operation = object<OperationCounts>({
    ...{ operation: name, count, errors: count, bytes: count, inFlight: count, waiting: count },
    ...{ latencySumS: duration, latencyCounts: list(count, 100) },
  })
  return distinct(list(operation, most), (counts) => counts.operation)
}

const metrics = object<WorkerMetrics>({
  ...{ measuredAtS: duration, operations: operations(pattern('an operation', /^[a-z0-9_]{1,40}$/), 100) },
  ...{ openFiles: count, sheepInFlight: count, reconnects: count, retries: count },
  ...{ resentRequests: count, waitingRequests: count, workerMemory: count },
  clusterSpace: optional(object<NonNullable<WorkerMetrics['clusterSpace']>>({ total: duration, free: duration })),
})

const volumeMetrics = object<VolumeMetrics>({
  ...{ volume: volumeName, measuredAtS: duration },
  operations: operations(oneOf(...VOLUME_OPERATIONS), VOLUME_OPERATIONS.length),
  ...{ openDirect: count, openCached: count, size: count, isLocked: flag, isStale: flag },
})

type Answer<M extends MethodName> = Awaited<ReturnType<WorkerMethods[M]>>

/** What the methods of a worker answer. Errors: protocol, when it is something else. */
export const ANSWERS: { readonly [M in MethodName]: Shape<Answer<M>> } = {
  ping: nothing,
  report,
  metrics,
  volumeMetrics: list(volumeMetrics, MANY),
  volumes: list(volume, MANY),
  attach: object<Answer<'attach'>>({ volume, isNew: flag }),
  detach: nothing,
  setCache: nothing,
  openInOldMode: count,
  setAddresses: nothing,
  setIoTimeout: nothing,
  cluster,
  nodes: list(node, MANY),
  vdis: list(vdi, MANY),
  vdi: vdiInfo,
  createVdi: vdi,
  deleteVdi: nothing,
  snapshotVdi: vdi,
  cloneVdi: vdi,
  rollbackVdi: object<Rollback>({ vdi, kept: orNull(vdi) }),
  resizeVdi: vdi,
  handOver: nothing,
  unmount: nothing,
  abort: nothing,
}
