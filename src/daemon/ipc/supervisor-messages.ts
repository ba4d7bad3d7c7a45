import type { CloneCreate, Resize, SnapshotCreate, VdiCreate } from '../../api/schema/vdi.ts'
import type { VolumePut } from '../../api/schema/volume.ts'
import type { DetachOptions } from '../../api/supervisor.ts'
import { SheepfsError } from '../../errors.ts'
import { ENGINES } from '../../fuse/engine.ts'
import { LOG_LEVELS } from '../../log.ts'
import type { WorkerAccount } from '../config/worker-account.ts'
import { MOST_HANDLES } from '../mount/mount-record.ts'
import type { Arguments, CallLimits, MethodName, ToWorker, WorkerCall, WorkerSpec } from '../worker-protocol.ts'
import { address, openHandle, state } from './worker-messages.ts'
import { count, flag, list, message, object, oneOf, optional, patience, text, type Shape } from './shape.ts'

const MANY = 1_000_000
const words = text(Infinity)

const spec = object<WorkerSpec>({
  ...{ mount: words, engine: oneOf(...ENGINES), mountpoint: words, allowOther: flag },
  ...{ writeBack: flag, uid: count, gid: count, volumeMode: count, logLevel: oneOf(...LOG_LEVELS) },
  networks: list(words, MANY),
  account: optional(object<WorkerAccount>({ name: words, uid: count, gid: count })),
})

type ArgumentShapes<A extends readonly unknown[]> = { readonly [I in keyof A]: Shape<A[I]> }

const ARGUMENTS: { readonly [M in MethodName]: ArgumentShapes<Arguments<M>> } = {
  ping: [],
  report: [],
  metrics: [],
  volumeMetrics: [],
  volumes: [],
  attach: [
    words,
    object<VolumePut>({ read_only: optional(flag), temporary: optional(flag), break_lock: optional(flag) }),
  ],
  detach: [words, object<DetachOptions>({ force: flag, temporary: optional(flag) })],
  setCache: [object<Arguments<'setCache'>[0]>({ pageCache: optional(flag), objectCache: optional(flag) })],
  openInOldMode: [],
  setAddresses: [list(address, MANY)],
  setIoTimeout: [patience],
  cluster: [],
  nodes: [],
  vdis: [],
  vdi: [words],
  createVdi: [
    object<VdiCreate>({
      ...{ name: words, size: count, copies: optional(words), object_size_shift: optional(count) },
      hyper: optional(flag),
    }),
  ],
  deleteVdi: [words],
  snapshotVdi: [words, object<SnapshotCreate>({ tag: words })],
  cloneVdi: [words, object<CloneCreate>({ name: words })],
  rollbackVdi: [words],
  resizeVdi: [words, object<Resize>({ size: count })],
  handOver: [],
  unmount: [],
  abort: [],
}

const method: Shape<MethodName> = (value) => {
  if (typeof value === 'string' && Object.hasOwn(ARGUMENTS, value)) return value as MethodName
  throw new SheepfsError('protocol', 'expected a method of a worker')
}

const READERS: { readonly [K in ToWorker['kind']]: Shape<Omit<Extract<ToWorker, { kind: K }>, 'kind'>> } = {
  start: object({
    ...{ purpose: oneOf('serve', 'close'), spec, state, handles: list(openHandle, MOST_HANDLES), generation: count },
    isKept: flag,
  }),
  call: object({
    ...{ id: count, method, args: list((value) => value, 10) }, // read as ARGUMENTS has them
    limits: object<CallLimits>({ limitMs: patience, firstLimitMs: optional(patience) }),
  }),
  cancel: object({ id: count }),
  abandon: object({}),
  last: object({}),
}

/** A message of a supervisor. Errors: protocol, when it is none. */
export function readToWorker(value: unknown): ToWorker {
  return message<ToWorker>(READERS, value)
}

/** What a method is called with. Errors: protocol, when it is something else. */
export function readArguments({ method, args }: WorkerCall): readonly unknown[] {
  const shapes: readonly Shape<unknown>[] = ARGUMENTS[method]
  return shapes.map((shape, at) => shape(args[at]))
}
