import { constants, readFileSync } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { release } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lack } from '../../api/schema/status.ts'
import { MOUNT_TYPE, readMountTable } from '../../fuse/mount-table.ts'
import { allowsOther, hasFusermount } from '../../fuse/native/preflight.ts'
import { findWorkerAccount } from '../config/worker-account.ts'
import { libcOnDemand } from '../system/libc.ts'
import { readServiceUnit } from '../system/service-unit.ts'
import { storeLack } from '../system/descriptor-store.ts'
import { isDeadTree } from '../system/dead-mount.ts'
import type { AccessFacts } from './check-access.ts'
import type { KernelFacts } from './check-kernel.ts'
import type { MountFacts } from './check-mounts.ts'

/** Requests that are there now and still after this long are waiting. */
const LOOK_AGAIN_MS = 1000

export function gatherKernelFacts(): KernelFacts {
  return {
    release: release(),
    fuseSetting: (name) => {
      try {
        return Number(readFileSync(`/proc/sys/fs/fuse/${name}`, 'utf8'))
      } catch {
        return undefined // a kernel that has no such setting
      }
    },
  }
}

export async function gatherAccessFacts(workerUser: string, wantsAllowOther: boolean): Promise<AccessFacts> {
  const exists = await findWorkerAccount(workerUser).then(
    () => true,
    () => false,
  )
  return {
    isRoot: process.geteuid?.() === 0,
    device: await deviceState(),
    hasFusermount: await hasFusermount(),
    allowsOther: await allowsOther(),
    wantsAllowOther,
    workerUser: { name: workerUser, exists },
  }
}

/** What the unit of an instance would lack, as far as that can be told before it is started. */
export async function gatherLacks(instance = 'NAME'): Promise<Lack[]> {
  const { storeRoom } = await readServiceUnit(`sheepfs@${instance}.service`)
  const hasManager = await may('/run/systemd/system', constants.F_OK)
  return [storeLack({ hasManager, room: storeRoom, getLibc: libcOnDemand() })].filter((lack) => lack !== undefined)
}

/** `owned`: mountpoints that running daemons say are theirs. Touches only mounts that are nobody's. */
export async function gatherMountFacts(owned: readonly string[]): Promise<MountFacts[]> {
  const entries = (await readMountTable()).filter(({ type }) => type === MOUNT_TYPE)
  const before = await Promise.all(entries.map(({ minor }) => waitingOf(minor)))
  if (before.some((count) => count !== undefined && count > 0)) await sleep(LOOK_AGAIN_MS)
  return Promise.all(
    entries.map(async ({ minor, mountpoint }, i) => {
      const first = before[i]
      const second = await waitingOf(minor)
      const isOwned = owned.includes(mountpoint)
      return {
        mountpoint,
        connection: minor,
        waiting: first === undefined || second === undefined ? undefined : ([first, second] as const),
        isOwned,
        isDead: !isOwned && (await isDeadTree(mountpoint)),
      }
    }),
  )
}

async function deviceState(): Promise<AccessFacts['device']> {
  if (await may('/dev/fuse', constants.R_OK | constants.W_OK)) return 'usable'
  return (await may('/dev/fuse', constants.F_OK)) ? 'forbidden' : 'missing'
}

function may(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}

async function waitingOf(connection: number): Promise<number | undefined> {
  try {
    return Number(await readFile(`/sys/fs/fuse/connections/${connection}/waiting`, 'utf8'))
  } catch {
    return undefined // fusectl is not mounted, or not for this user
  }
}
