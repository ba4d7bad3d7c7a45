import { errorText, SheepfsError } from '../errors.ts'
import { releaseVdi } from '../wire/vdi-ops.ts'
import { addressText, type Address } from './address.ts'
import { openBriefly } from './brief-connection.ts'
import type { ClientContext } from './client-context.ts'
import type { Connection } from './connection.ts'
import type { BookedLock } from './lock-book.ts'
import { LockTable } from './lock-table.ts'
import { expectSuccess } from './result-error.ts'
import { settled } from './settle.ts'
import { loadFormat } from './topology-load.ts'

/** A cluster that was left for another one, and what was held there. */
export interface FormerCluster {
  readonly home: Address
  readonly protoVer: number
  readonly ctime: string | undefined
  readonly locks: readonly BookedLock[]
}

/**
 * Gives back what is still locked in a cluster that was left: nobody else will. Not before its sheep is done with what it was
 * sent, or somebody else could lock the VDI and be overwritten. When the sheep does not answer they stay, and that is logged.
 */
export async function giveBackLocks(former: FormerCluster, context: Omit<ClientContext, 'known'>): Promise<void> {
  const { home, protoVer, ctime, locks } = former
  const { world, timing, log } = context
  let connection: Connection | undefined
  try {
    await settled(home, { ...context, known: { protoVer } })
    connection = await openBriefly(world, home, timing.connectTimeoutMs)
    const isThere = (await loadFormat(connection)).ctime === ctime
    if (isThere) await release(connection, protoVer, locks)
  } catch (error) {
    const sheep = addressText(home)
    log.warn({ sheep }, `locks in the cluster that was left may stay, of sheep ${sheep}: ${errorText(error)}`)
  } finally {
    connection?.destroy(new SheepfsError('closed', 'done'))
  }
}

/** Those that nobody else has by now. */
async function release(connection: Connection, protoVer: number, locks: readonly BookedLock[]): Promise<void> {
  const table = new LockTable({
    protoVer: () => protoVer,
    home: () => connection.address,
    read: (message, into) => connection.exchange(message, into),
    ask: (_, message) => connection.exchange(message),
  })
  const states = await table.read()
  for (const { vid, owner } of locks) {
    if (states.get(vid)?.owner !== owner) continue
    expectSuccess(await connection.exchange(releaseVdi(vid)), `lock of inode ${vid.toString(16)}`)
  }
}
