import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { groupIdOf } from '../../api/group-id.ts'
import { checkTcp, parseTcpAddress } from '../../api/listen-tcp.ts'
import type { InstanceConfig } from '../../api/schema/config.ts'
import { SheepfsError } from '../../errors.ts'
import type { WorkerAccount } from './worker-account.ts'

/**
 * Refuses a group of the control socket that workers are in: who may use it can do to mounts what root can, and workers are
 * not to be trusted with that. Errors: invalid (it does not exist, or is theirs).
 * @param group as configured; undefined: the group of this process
 * @param account whom workers become; undefined: they are what this process is
 */
export async function checkSocketGroup(group: string | undefined, account: WorkerAccount | undefined): Promise<void> {
  const id = group === undefined ? process.getegid?.() : await groupIdOf(group, 'socket_group')
  if (account === undefined || account.uid === 0) return // no socket keeps root out
  if (id === undefined || !(await groupsOf(account)).includes(id)) return
  const what = group === undefined ? 'socket_group is not set, and the group of the daemon' : `socket_group "${group}"`
  const expected = 'expected one of its own, such as "sheepfs-admin"'
  throw new SheepfsError('invalid', `${what} is the group of the workers, which run as "${account.name}": ${expected}`)
}

/**
 * What a start and a reload refuse of the sockets. Observers may be whoever is trusted with less than root. Errors: invalid, as
 * `checkSocketGroup`, and a group of observers that does not exist; those of `checkMetricsListen`.
 */
export async function checkSockets(
  config: InstanceConfig,
  account: WorkerAccount | undefined,
  listensOn: string | undefined,
): Promise<void> {
  await checkSocketGroup(config.socket_group, account)
  if (config.observer_group !== undefined) await groupIdOf(config.observer_group, 'observer_group')
  await checkMetricsListen(config.metrics_listen, listensOn)
}

/** `listensOn`: where the daemon of the instance listens already. Errors: as `checkTcp`. */
export async function checkMetricsListen(wanted: string | undefined, listensOn: string | undefined): Promise<void> {
  const address = wanted === undefined || wanted === listensOn ? undefined : parseTcpAddress(wanted)
  if (address !== undefined) await checkTcp(address)
}

/** A worker has its account's first group only; the one with its name is refused too, as files of it may be. */
async function groupsOf({ name, gid }: WorkerAccount): Promise<number[]> {
  const { stdout } = await promisify(execFile)('getent', ['group', '--', name]).catch(() => ({ stdout: '' }))
  return stdout === '' ? [gid] : [gid, Number(stdout.split(':')[2])]
}
