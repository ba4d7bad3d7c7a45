import assert from 'node:assert/strict'
import { viewOf } from '../../src/wire/field.ts'
import { INODE_INDEX_END, indexEntryOffset } from '../../src/wire/inode.ts'
import { dataOid, inodeOid, type ObjectId } from '../../src/wire/object-id.ts'
import { createObject, exist, readObject, writeIndex } from '../../src/wire/object-ops.ts'
import { getVdiInfo, newVdi, parseVdiAnswer } from '../../src/wire/vdi-ops.ts'
import type { WireClient } from './wire-client.ts'

export const MiB = 1 << 20
export const OBJECT = 4 * MiB

/** Makes a VDI of 64 MiB; its vid. */
export async function makeVdi(
  client: WireClient,
  name: string,
  options: { storePolicy?: number } = {},
): Promise<number> {
  const answer = await client.call(newVdi({ name: Buffer.from(name), size: 64 * MiB, ...options }))
  assert.equal(answer.result, 0)
  return parseVdiAnswer(answer).vid
}

/** Snapshots the working VDI `vid`, or clones it under another name; the new vid. */
export async function derive(client: WireClient, name: string, baseVid: number, isSnapshot: boolean): Promise<number> {
  const answer = await client.call(
    newVdi({ name: Buffer.from(name), size: 64 * MiB, baseVid, copies: 1, blockSizeShift: 22, isSnapshot }),
  )
  assert.equal(answer.result, 0)
  return parseVdiAnswer(answer).vid
}

/** Writes a whole object and publishes it, as a well-behaved client does. */
export async function fill(client: WireClient, vid: number, index: number, byte: string): Promise<void> {
  const created = await client.call(createObject(dataOid(vid, index), 0, Buffer.alloc(OBJECT, byte)))
  assert.equal(created.result, 0)
  assert.equal((await client.call(writeIndex(vid, index, [vid]))).result, 0)
}

/** Copies an inherited object on write and publishes it. */
export async function copyOnWrite(client: WireClient, vid: number, base: number, index: number): Promise<void> {
  const copied = await client.call(createObject(dataOid(vid, index), 0, Buffer.from('new'), dataOid(base, index)))
  assert.equal(copied.result, 0)
  assert.equal((await client.call(writeIndex(vid, index, [vid]))).result, 0)
}

/** The entries `first`… of an inode's index. */
export async function readIndex(client: WireClient, vid: number, first: number, count: number): Promise<number[]> {
  const { payload } = await client.call(readObject(inodeOid(vid), indexEntryOffset(first), 4 * count))
  return Array.from({ length: count }, (_, i) => viewOf(payload).getUint32(4 * i, true))
}

/** Generation and count of an entry. */
export async function readReference(client: WireClient, vid: number, index: number): Promise<[number, number]> {
  const { payload } = await client.call(readObject(inodeOid(vid), INODE_INDEX_END + 8 * index, 8))
  return [viewOf(payload).getInt32(0, true), viewOf(payload).getInt32(4, true)]
}

/** The first bytes of a data object as text; undefined when it does not exist. */
export async function readText(
  client: WireClient,
  vid: number,
  index: number,
  length: number,
): Promise<string | undefined> {
  const { result, payload } = await client.call(readObject(dataOid(vid, index), 0, length))
  return result === 0 ? Buffer.from(payload).toString('latin1') : undefined
}

/** Waits until an object is gone: removal is asynchronous. */
export async function gone(client: WireClient, vid: number, index: number): Promise<void> {
  while ((await readText(client, vid, index, 1)) !== undefined);
}

/** Waits until an object exists: ledgers are written in the background. */
export async function appeared(client: WireClient, oid: ObjectId): Promise<void> {
  while ((await client.call(exist(oid))).result !== 0);
}

/** The working VDI of a name; 0 when there is none. */
export async function lookup(client: WireClient, name: string): Promise<number> {
  const answer = await client.call(getVdiInfo({ name: Buffer.from(name) }))
  return answer.result === 0 ? parseVdiAnswer(answer).vid : 0
}
