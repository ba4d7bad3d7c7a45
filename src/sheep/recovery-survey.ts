import { SheepfsError } from '../errors.ts'
import { parseRecoveryPhase, statRecovery } from '../wire/info-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { type Address } from './address.ts'
import { openBriefly } from './brief-connection.ts'
import { type Topology } from './topology.ts'

/** Results of a sheep that does not know the question: it cannot be asked. */
const UNASKABLE = new Set<number>([Result.INVALID_PARMS, Result.VER_MISMATCH])

/**
 * How far all sheep of a cluster are: nothing is left to recover; all know what is left; or some may not know yet, of which
 * one that does not answer, or is in another epoch, counts as one.
 */
export type RecoveryProgress = 'done' | 'listed' | 'unknown'

/** Asks the sheep that store objects, one after another. `limitMs` for each. */
export async function surveyRecovery(topology: Topology, protoVer: number, limitMs: number): Promise<RecoveryProgress> {
  let progress: RecoveryProgress = 'done'
  for (const [place, address] of topology.addresses.entries()) {
    if (topology.nodes[place]?.nrVnodes === 0) continue
    const phase = await askPhase(address, { protoVer, limitMs, epoch: topology.epoch })
    if (phase === undefined || phase === 'listing') return 'unknown'
    if (phase === 'fetching') progress = 'listed'
  }
  return progress
}

/** The sheep's own phase; undefined when it does not tell. */
async function askPhase(address: Address, ask: { protoVer: number; limitMs: number; epoch: number }) {
  const connection = await openBriefly(address, ask.limitMs).catch(() => undefined)
  try {
    const response = await connection?.exchange(statRecovery(ask.protoVer))
    if (response && UNASKABLE.has(response.result)) return 'none'
    if (response?.result !== Result.SUCCESS || response.epoch !== ask.epoch) return undefined
    return parseRecoveryPhase(response.payload)
  } catch {
    return undefined
  } finally {
    connection?.destroy(new SheepfsError('closed', 'asked'))
  }
}
