import { SheepfsError } from '../errors.ts'
import { INODE_HEAD_SIZE, parseInodeHeader, type InodeHeader } from '../wire/inode.ts'
import { readObject } from '../wire/object-ops.ts'
import { inodeOid, MAX_VID } from '../wire/object-id.ts'
import { Result } from '../wire/sd-proto.ts'
import { getVdiInfo, parseVdiAnswer, type VdiAnswer, type VdiSpec } from '../wire/vdi-ops.ts'
import type { Patience } from './outage.ts'
import { answererText, breach } from './parse-answer.ts'
import type { RequestOptions, Requests } from './requests.ts'
import { expectSuccess, resultError } from './result-error.ts'

/** `VDI "name"`, with `@tag` or `@id` for snapshots, for messages. */
export function vdiText(spec: VdiSpec): string {
  const text = (bytes: Uint8Array): string => JSON.stringify(Buffer.from(bytes).toString('utf8')).slice(1, -1)
  const suffix = spec.tag?.length ? `@${text(spec.tag)}` : spec.snapId ? `@${spec.snapId}` : ''
  return `VDI "${text(spec.name)}${suffix}"`
}

/**
 * Asks for the inode that a name, a tag or a snapshot id means now (docs/sheepdog-protocol.md#2.2, #3.5). Errors:
 * not-found, protocol.
 */
export async function lookupVdi(cluster: Requests, spec: VdiSpec): Promise<VdiAnswer> {
  const response = await cluster.read(getVdiInfo(spec))
  expectSuccess(response, vdiText(spec))
  const answer = parseVdiAnswer(response)
  if (answer.vid === 0 || answer.vid > MAX_VID) throw breach(cluster, `${vdiText(spec)} has the vid ${answer.vid}`)
  return answer
}

/** Whether an inode is one that the name, tag or snapshot id means: its vid may have been made again since it was looked up. */
export function isNamedBy(header: InodeHeader, { name, tag, snapId }: VdiSpec): boolean {
  const isTagged = !tag?.length || Buffer.compare(header.tag, tag) === 0
  return Buffer.compare(header.name, name) === 0 && isTagged && (!snapId || header.snapId === snapId)
}

/** An inode, and for which request it is read. */
export interface InodeRead extends Pick<RequestOptions, 'patience'> {
  readonly vid: number
}

/**
 * Holders of an inode that are asked for it before home is: home asks any of them, and waits for one that is stopped. There
 * may be more, or only one; what is no holder asks one.
 */
const INODE_HOLDERS = 2

/** Reads `into.length` bytes at `offset` of an inode. Errors: stale when it is missing. */
export async function readInode(
  cluster: Requests,
  { vid, patience }: InodeRead,
  offset: number,
  into: Uint8Array,
): Promise<void> {
  const message = readObject(inodeOid(vid), offset, into.length)
  const response = await cluster.read(message, { into, copies: INODE_HOLDERS, patience })
  if (response.result === Result.SUCCESS) return
  if (response.result !== Result.NO_OBJ) throw resultError(response.result, `inode ${vid.toString(16)}`)
  throw new SheepfsError('stale', `the inode ${vid.toString(16)} is missing`)
}

/** Reads what a VDI is. Errors: stale; io, it is another's. */
export async function readInodeHeader(cluster: Requests, vid: number, patience?: Patience): Promise<InodeHeader> {
  const head = new Uint8Array(INODE_HEAD_SIZE)
  await readInode(cluster, { vid, patience }, 0, head)
  const header = parseInodeHeader(head)
  const { vdiId } = header
  if (vdiId === vid) return header
  const what = `the inode ${vid.toString(16)} is damaged: it says that it is ${vdiId.toString(16)}`
  throw new SheepfsError('io', `${answererText(cluster)}: ${what}`)
}
