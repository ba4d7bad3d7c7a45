import type { OpenHandle } from '../../fuse/kernel/open-files.ts'
import { count, object, type Shape } from '../ipc/shape.ts'
import { openHandle, STATE_SHAPES } from '../ipc/worker-messages.ts'
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

const { negotiated, volumes, nextNodeId, addresses, ...others } = STATE_SHAPES

/** Without these nobody can serve the mount; the others may be of a version that had them not, or otherwise. */
const readState = object<MountState>({
  ...{ negotiated, volumes, nextNodeId, addresses },
  pageCache: orElse(others.pageCache, false),
  objectCache: orElse(others.objectCache, false),
  ioTimeoutMs: orElse(others.ioTimeoutMs, Infinity),
  gateways: orElse(others.gateways, []),
  locks: orElse(others.locks, []),
  clusterCtime: orElse(others.clusterCtime, undefined),
})

const readHandle = orElse<OpenHandle | undefined>(openHandle, undefined)

/**
 * Reads what a record says, as strictly as what a worker says: whoever served the mount has written it. One of a later
 * version of this program counts for as much as both versions know. undefined: nobody can serve the mount with it.
 */
export function parseRecord({ generation, state, handles }: Recorded): RecordedMount | undefined {
  try {
    const read = { generation: count(generation), state: readState(state) }
    if (read.state.addresses.length === 0) return undefined
    return { ...read, handles: handles.flatMap((handle) => readHandle(handle) ?? []) }
  } catch {
    return undefined
  }
}

function orElse<T>(shape: Shape<T>, otherwise: T): Shape<T> {
  return (value) => {
    try {
      return shape(value)
    } catch {
      return otherwise
    }
  }
}
