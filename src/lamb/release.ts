import { Opcode } from '../wire/sd-proto.ts'
import { ServerOpcode } from './server-opcode.ts'

/** A line of sheep releases, as far as clients see a difference. */
export interface Release {
  /** Version that internal operations must carry. */
  readonly internalVersion: number
  /** Bytes missing at the start of each node record. */
  readonly nodeRecordCut: number
  /** Zero blocks are cut from reads of protocol version 2. */
  readonly isTrimming: boolean
  /** Answers of object operations tell the copies. */
  readonly tellsCopies: boolean
  /** Operations of newer releases. */
  readonly unknownOpcodes: ReadonlySet<number>
}

const { GET_CLUSTER_DEFAULT, OIDS_EXIST, READ_DEL_VDIS } = Opcode

/** What the lamb can pass for. */
export const releases = {
  '0.7': {
    internalVersion: 0x08,
    nodeRecordCut: 24,
    isTrimming: true,
    tellsCopies: true,
    unknownOpcodes: new Set([GET_CLUSTER_DEFAULT, OIDS_EXIST, ServerOpcode.INODE_COHERENCE, READ_DEL_VDIS]),
  },
  '0.9': {
    internalVersion: 0x09,
    nodeRecordCut: 0,
    isTrimming: false,
    tellsCopies: false,
    unknownOpcodes: new Set([GET_CLUSTER_DEFAULT]),
  },
  '1.0': {
    internalVersion: 0x0a,
    nodeRecordCut: 0,
    isTrimming: false,
    tellsCopies: false,
    unknownOpcodes: new Set<number>(),
  },
} as const satisfies Record<string, Release>

/** A key of `releases`. */
export type ReleaseName = keyof typeof releases
