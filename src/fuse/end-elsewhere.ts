import { setTimeout as delay } from 'node:timers/promises'
import { SheepfsError } from '../errors.ts'
import type { ConnectionControl } from './abort-connection.ts'
import { described, describeHolders } from './mount-holders.ts'
import { readMountTable } from './mount-table.ts'

/** How long a file that was closed may count as open: the kernel tells of that after close(2). */
const CLOSING_LIMIT_MS = 1000
const LOOK_EVERY_MS = 20

/** A mount of which there may be copies in other mount name spaces, as of a container that was given the directory above. */
export interface CopiedMount {
  readonly mountpoint: string
  readonly connection: ConnectionControl
  /** Who opened what is open, a thread for each file; 0 where that is not known. */
  readonly openers: () => readonly number[]
}

/**
 * Of a mount that was unmounted here: ends it too where it lives on, which nobody here could do afterwards, unless something
 * is open in it. False when it cannot be told whether it lives on. Errors: busy, naming who has it open.
 */
export async function endElsewhere({ mountpoint, connection, openers }: CopiedMount): Promise<boolean> {
  const until = performance.now() + CLOSING_LIMIT_MS
  while (connection.isPresent === true) {
    if (openers().length === 0 && connection.waiting === 0) {
      await connection.abort()
      return true
    }
    if (performance.now() > until) {
      const by = await describeHolders(mountpoint, openers())
      const who = by === '' ? '' : ` by ${by}`
      throw new SheepfsError(
        'busy',
        `"${mountpoint}" is unmounted here, but in use where it was copied or detached${who}`,
      )
    }
    await delay(LOOK_EVERY_MS)
  }
  return connection.isPresent === false
}

/**
 * Before it is unmounted here: looks for files that are open through a copy. To unmount it would only hide it. Errors: busy,
 * naming who has them open.
 */
export async function checkUnusedElsewhere({ mountpoint, connection, openers }: CopiedMount): Promise<void> {
  const until = performance.now() + CLOSING_LIMIT_MS
  for (;;) {
    const elsewhere = await openersElsewhere(connection.minor, openers())
    if (elsewhere.length === 0) return
    if (performance.now() > until) {
      const by = (await described(elsewhere)).join(', ')
      throw new SheepfsError('busy', `cannot unmount "${mountpoint}": in use in another mount name space by ${by}`)
    }
    await delay(LOOK_EVERY_MS)
  }
}

/** Those who see the mount, and none of its places here. */
async function openersElsewhere(minor: number, openers: readonly number[]): Promise<readonly number[]> {
  if (openers.length === 0) return []
  const here = new Set(await placesFor('self', minor))
  const elsewhere: number[] = []
  for (const pid of new Set(openers)) {
    const places = pid === 0 ? [] : await placesFor(pid, minor)
    if (places.length > 0 && !places.some((id) => here.has(id))) elsewhere.push(pid)
  }
  return elsewhere
}

/** Ids of the mounts of a connection in the name space of a process. An id is of one mount in all name spaces. */
async function placesFor(pid: number | 'self', minor: number): Promise<readonly number[]> {
  const table = await readMountTable(pid).catch(() => []) // it has ended
  return table.filter((entry) => entry.type.startsWith('fuse') && entry.minor === minor).map(({ id }) => id)
}
