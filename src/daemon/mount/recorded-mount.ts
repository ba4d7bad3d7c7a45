import { Type, type TSchema } from 'typebox'
import { Check } from 'typebox/value'
import type { OpenHandle } from '../../fuse/kernel/open-files.ts'
import type { MountState } from '../worker-protocol.ts'
import type { Recorded } from './mount-record.ts'

/** A mount as a record tells of it. */
export interface RecordedMount {
  /** Of the last worker that was started for it. */
  readonly generation: number
  readonly state: MountState
  /** Volumes that the kernel has open. */
  readonly handles: readonly OpenHandle[]
}

const Whole = Type.Integer({ minimum: 0 })
const Address = Type.Object({ host: Type.String({ minLength: 1 }), port: Type.Integer({ minimum: 1, maximum: 65535 }) })

const Negotiated = Type.Object({
  minor: Whole,
  flags: Type.Integer(),
  flags2: Type.Integer(),
  maxWrite: Type.Integer({ minimum: 4096 }),
  maxPages: Whole,
  canResend: Type.Boolean(),
})

const AttachedVolume = Type.Object({
  name: Type.String({ minLength: 1 }),
  nodeId: Whole,
  readOnly: Type.Boolean(),
  size: Type.Optional(Whole),
  times: Type.Optional(Type.Object({ modifiedMs: Type.Number(), changedMs: Type.Number(), isMoving: Type.Boolean() })),
  lockOwner: Type.Optional(Type.String()),
  isOptional: Type.Optional(Type.Boolean()),
  isTemporary: Type.Optional(Type.Boolean()),
})

/** Without these nobody can serve the mount. */
const Needed = Type.Object({
  negotiated: Type.Optional(Negotiated),
  volumes: Type.Array(AttachedVolume),
  nextNodeId: Whole,
  addresses: Type.Array(Address, { minItems: 1 }),
})

const Lock = Type.Object({ vid: Whole, owner: Type.String() })

const Handle = Type.Object({
  fh: Whole,
  node: Whole,
  caching: Type.Union([Type.Literal('direct'), Type.Literal('cached')]),
  request: Type.Number(),
  pid: Whole,
  sinceS: Type.Number(),
})

/**
 * Checks what a record says. One of a later version of this program counts for as much as both versions know. undefined:
 * nobody can serve the mount with it.
 */
export function parseRecord({ generation, state, handles }: Recorded): RecordedMount | undefined {
  if (!Check(Needed, state) || !Check(Whole, generation)) return undefined
  const found = state as Readonly<Record<string, unknown>>
  const valid = (schema: TSchema, key: string): unknown => (Check(schema, found[key]) ? found[key] : undefined)
  return {
    generation,
    state: {
      ...{ negotiated: state.negotiated, volumes: state.volumes, addresses: state.addresses },
      nextNodeId: state.nextNodeId,
      pageCache: valid(Type.Boolean(), 'pageCache') === true,
      objectCache: valid(Type.Boolean(), 'objectCache') === true,
      ioTimeoutMs: (valid(Type.Number({ minimum: 0 }), 'ioTimeoutMs') ?? Infinity) as number,
      gateways: (valid(Type.Array(Address), 'gateways') ?? []) as MountState['gateways'],
      locks: (valid(Type.Array(Lock), 'locks') ?? []) as MountState['locks'],
    },
    handles: handles.filter((handle) => Check(Handle, handle)),
  }
}
