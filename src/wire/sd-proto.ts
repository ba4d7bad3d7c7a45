import { u16, u32, u64, u8 } from './field.ts'

/** Length of every request and response header (sheepdog: include/sheepdog_proto.h). */
export const SD_HEADER_SIZE = 48

/** Default TCP port of a sheep. */
export const SD_PORT = 7000

/** Version sent with client operations (opcode below 0x80): 0, 1 and 2 are accepted since 0.5.2. */
export const SD_PROTO_VER = 2

/**
 * Versions of internal operations (opcode from 0x80), newest first: 1.0, then 0.8 and 0.9, then 0.7
 * (docs/sheepdog-protocol.md#1.5).
 */
export const SD_SHEEP_PROTO_VERS = [0x0a, 0x09, 0x08] as const

/** struct sd_req (docs/sheepdog-protocol.md#1.2). The union at 16 is split in `ReqObj`, `ReqVdi` and `ReqCluster`. */
export const Req = {
  protoVer: u8(0),
  opcode: u8(1),
  flags: u16(2),
  epoch: u32(4),
  id: u32(8), // echoed by sheep: the only key that pairs a response with its request
  dataLength: u32(12), // bytes that follow (flag WRITE) or bytes wanted back
} as const

/** struct sd_req.obj: object I/O. */
export const ReqObj = {
  oid: u64(16),
  oidIndex: u32(16),
  oidHigh: u32(20),
  cowOidIndex: u32(24),
  cowOidHigh: u32(28),
  copies: u8(32), // 0: the VDI's own
  copyPolicy: u8(33),
  ecIndex: u8(34),
  tgtEpoch: u32(36),
  offset: u32(40),
} as const

/** struct sd_req.vdi: VDI operations. */
export const ReqVdi = {
  vdiSize: u64(16),
  baseVdiId: u32(24),
  copies: u8(28),
  copyPolicy: u8(29),
  storePolicy: u8(30),
  blockSizeShift: u8(31),
  snapId: u32(32),
  type: u32(36), // LOCK_VDI, RELEASE_VDI: 0 normal, 1 shared
} as const

/** struct sd_req.cluster. */
export const ReqCluster = {
  ctime: u64(24),
  copies: u8(32),
  copyPolicy: u8(33),
  flags: u16(34),
  tag: u32(36),
  nodesNr: u32(40),
  blockSizeShift: u8(44),
} as const

/** struct sd_rsp (docs/sheepdog-protocol.md#1.3). The union at 20 is split below. */
export const Rsp = {
  protoVer: u8(0),
  opcode: u8(1),
  flags: u16(2),
  epoch: u32(4),
  id: u32(8),
  dataLength: u32(12), // bytes that follow, also when `result` is an error
  result: u32(16),
} as const

export const RspObj = {
  copies: u8(20),
  offset: u64(24), // bytes cut from the head of a zero-trimmed read (0.5.2 to 0.7)
} as const

export const RspVdi = {
  vdiId: u32(24),
  attrId: u32(28),
  copies: u8(32),
  blockSizeShift: u8(33),
} as const

export const RspNode = {
  nrNodes: u32(20),
  storeSize: u64(32),
  storeFree: u64(40),
} as const

export const RspClusterDefault = {
  nrCopies: u8(20),
  copyPolicy: u8(21),
  blockSizeShift: u8(22),
} as const

/**
 * Request flags. WRITE decides the framing, not the opcode; the opposite of the right one desynchronises a sheep
 * (docs/sheepdog-protocol.md#1.9).
 */
export const Flag = {
  WRITE: 0x0001,
  COW: 0x0002,
  CACHE: 0x0004,
  DIRECT: 0x0008,
  PIGGYBACK: 0x0010,
  TGT: 0x0020,
  FWD: 0x0040,
  RECOVERY: 0x0080,
  CREAT: 0x0100,
  EXCL: 0x0200,
  DEL: 0x0400,
} as const

/** SD_OP_*: the operations a client may send. */
export const Opcode = {
  CREATE_AND_WRITE_OBJ: 0x01,
  READ_OBJ: 0x02,
  WRITE_OBJ: 0x03,
  REMOVE_OBJ: 0x04,
  DISCARD_OBJ: 0x05,
  NEW_VDI: 0x11,
  LOCK_VDI: 0x12,
  RELEASE_VDI: 0x13,
  GET_VDI_INFO: 0x14,
  READ_VDIS: 0x15,
  FLUSH_VDI: 0x16,
  DEL_VDI: 0x17,
  GET_CLUSTER_DEFAULT: 0x18,
  GET_NODE_LIST: 0x82,
  STAT_SHEEP: 0x86,
  STAT_CLUSTER: 0x87,
  GET_VDI_ATTR: 0x89,
  STAT_RECOVERY: 0x97,
  FLUSH_DEL_CACHE: 0x98,
  GET_VDI_COPIES: 0xab,
  DELETE_CACHE: 0xb0,
  MD_INFO: 0xb1,
  STAT: 0xb8,
  EXIST: 0xbd,
  CLUSTER_INFO: 0xbe,
  OIDS_EXIST: 0xc6,
  READ_DEL_VDIS: 0xc9,
} as const

/** First opcode that is checked against the internal protocol version. */
export const FIRST_INTERNAL_OPCODE = 0x80

/** SD_RES_*: result codes. What they mean to a user stands in `sheep/result-error.ts`. */
export const Result = {
  SUCCESS: 0x00,
  UNKNOWN: 0x01,
  NO_OBJ: 0x02,
  EIO: 0x03,
  VDI_EXIST: 0x04,
  INVALID_PARMS: 0x05,
  SYSTEM_ERROR: 0x06,
  VDI_LOCKED: 0x07,
  NO_VDI: 0x08,
  NO_BASE_VDI: 0x09,
  VDI_READ: 0x0a,
  VDI_WRITE: 0x0b,
  BASE_VDI_READ: 0x0c,
  BASE_VDI_WRITE: 0x0d,
  NO_TAG: 0x0e,
  STARTUP: 0x0f,
  VDI_NOT_LOCKED: 0x10,
  SHUTDOWN: 0x11,
  NO_MEM: 0x12,
  FULL_VDI: 0x13,
  VER_MISMATCH: 0x14,
  NO_SPACE: 0x15,
  WAIT_FOR_FORMAT: 0x16,
  WAIT_FOR_JOIN: 0x17,
  JOIN_FAILED: 0x18,
  HALT: 0x19,
  READONLY: 0x1a,
  INCOMPLETE: 0x1b,
  COLLECTING_CINFO_09: 0x1c,
  INODE_INVALIDATED: 0x1d,
  OLD_NODE_VER: 0x81,
  NEW_NODE_VER: 0x82,
  NOT_FORMATTED: 0x83,
  INVALID_CTIME: 0x84,
  INVALID_EPOCH: 0x85,
  NETWORK_ERROR: 0x86,
  NO_CACHE: 0x87,
  BUFFER_SMALL: 0x88,
  FORCE_RECOVER: 0x89,
  NO_STORE: 0x8a,
  NO_SUPPORT: 0x8b,
  NODE_IN_RECOVERY: 0x8c,
  KILLED: 0x8d,
  OID_EXIST: 0x8e,
  AGAIN: 0x8f,
  STALE_OBJ: 0x90,
  CLUSTER_ERROR: 0x91,
  VDI_NOT_EMPTY: 0x92,
  NOT_FOUND: 0x93,
  VDI_INCOMPLETE: 0x94,
  COLLECTING_CINFO: 0x95,
  GATEWAY_MODE: 0x97,
  INVALID_VNODES_STRATEGY: 0x98,
  NO_CHECKPOINT_ENTRY: 0x99,
} as const

export type ResultName = keyof typeof Result

const resultNames = new Map<number, ResultName>(
  Object.entries(Result).map(([name, code]) => [code, name as ResultName]),
)

/** The SD_RES_ name of a result code; undefined for a code no sheep sends, which is a sign of a desynchronised gateway. */
export function resultName(result: number): ResultName | undefined {
  return resultNames.get(result)
}
