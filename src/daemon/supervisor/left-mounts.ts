import { closeSync, fstatSync, readFileSync } from 'node:fs'
import { ConnectionControl } from '../../fuse/abort-connection.ts'
import { MOUNT_TYPE, type MountEntry, readMountTable } from '../../fuse/mount-table.ts'
import type { Logger } from '../../log.ts'
import { readRecord } from '../mount/mount-record.ts'
import { parseRecord, type RecordedMount } from '../mount/recorded-mount.ts'
import type { DescriptorStore } from '../system/descriptor-store.ts'

/** A mount that a predecessor of this daemon has left, for the next worker to serve. */
export interface LeftMount extends RecordedMount {
  readonly name: string
  /** What it is kept under in the store. */
  readonly key: string
  readonly deviceFd: number
  readonly recordFd: number
  readonly entry: MountEntry
  readonly connection: ConnectionControl
}

/** What the descriptors of a mount are kept under: its name, and the minor number of its st_dev. */
export function storeKey(mount: string, minor: number): string {
  return `${mount}.${minor}`
}

/**
 * Matches what a predecessor has left in the store with the mount table, and with what its workers have recorded. What fits
 * nothing is closed and dropped, and the log says what it was.
 */
export async function claimLeftMounts(
  inherited: ReadonlyMap<string, readonly number[]>,
  { store, log }: { readonly store: DescriptorStore; readonly log: Logger },
): Promise<ReadonlyMap<string, LeftMount>> {
  const table = inherited.size === 0 ? [] : await readMountTable()
  const left = new Map<string, LeftMount>()
  for (const [key, fds] of inherited) {
    const found = claim(key, fds, table)
    const isFirst = typeof found === 'object' && !left.has(found.name)
    if (isFirst) {
      left.set(found.name, { ...found, connection: await ConnectionControl.open(found.entry.minor) })
      continue
    }
    log.warn({ descriptor: key }, `not served on: ${typeof found === 'string' ? found : 'there are two of this name'}`)
    for (const fd of fds) closeSync(fd)
    store.drop(key)
  }
  return left
}

/** The mount that descriptors belong to, or why there is none. */
function claim(
  key: string,
  fds: readonly number[],
  table: readonly MountEntry[],
): Omit<LeftMount, 'connection'> | string {
  const [, name, minor] = /^(.+)\.(\d+)$/.exec(key) ?? []
  if (name === undefined) return 'this is no name of a mount'
  const deviceFd = fds.find((fd) => fstatSync(fd).isCharacterDevice())
  const recordFd = fds.find((fd) => fstatSync(fd).isFile())
  if (deviceFd === undefined || recordFd === undefined) return 'this is no device with its record'
  const isOurs = (entry: MountEntry): boolean =>
    entry.minor === Number(minor) && entry.type === MOUNT_TYPE && entry.source === name
  const entry = table.find(isOurs)
  if (entry === undefined) return 'it is not mounted any more'
  if (connectionOf(deviceFd, entry.minor) !== entry.minor) return 'another one is mounted in its place'
  const recorded = readRecord(recordFd)
  const mount = recorded && parseRecord(recorded)
  if (!mount) return 'its record cannot be read'
  if (!mount.state.negotiated) return 'it never served'
  if (!mount.state.negotiated.canResend) return 'this kernel cannot send requests again (Linux 6.9 can)'
  return { ...mount, name, key, deviceFd, recordFd, entry }
}

/** The connection of a device where the kernel tells (Linux 6.16 and later); elsewhere what it should be. */
function connectionOf(fd: number, otherwise: number): number {
  const [, minor] = /^fuse_connection:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')) ?? []
  return minor === undefined ? otherwise : Number(minor)
}
