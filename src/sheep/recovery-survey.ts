import { SheepfsError } from '../errors.ts'
import { parseRecoveryState, statRecovery, type RecoveryPhase } from '../wire/info-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import type { Address } from './address.ts'
import { askInEpoch } from './ask-in-epoch.ts'
import { openBriefly } from './brief-connection.ts'
import type { Topology } from './topology.ts'
import type { World } from './world.ts'

/** Results of a sheep that does not know the question. */
const UNASKABLE = new Set<number>([Result.INVALID_PARMS, Result.VER_MISMATCH])
const ASKED_AT_ONCE = 16

/**
 * How far the sheep of a cluster are: nothing is left to recover; nothing is, of those that could be asked; all know what is
 * left; or some do not know yet, or are in another epoch.
 */
export type RecoveryProgress = 'done' | 'done, some unheard' | 'listed' | 'unknown'

type Answer = RecoveryPhase | 'other epoch' | 'unheard'

/** How they are asked. */
export interface Survey {
  readonly world: World
  readonly protoVer: number
  readonly limitMs: number
}

/** Asks the sheep that store objects; each has `limitMs` to answer. */
export async function surveyRecovery(topology: Topology, survey: Survey): Promise<RecoveryProgress> {
  const stores = topology.addresses.filter((_, place) => topology.nodes[place]?.nrVnodes !== 0)
  const seen = new Set<Answer>()
  for (let first = 0; first < stores.length; first += ASKED_AT_ONCE) {
    const some = stores.slice(first, first + ASKED_AT_ONCE)
    const answers = await Promise.all(some.map((one) => askPhase(one, topology.epoch, survey)))
    for (const answer of answers) seen.add(answer)
    if (seen.has('other epoch') || seen.has('listing')) return 'unknown'
  }
  if (seen.has('fetching')) return seen.has('unheard') ? 'unknown' : 'listed'
  return seen.has('unheard') ? 'done, some unheard' : 'done'
}

async function askPhase(address: Address, epoch: number, { world, protoVer, limitMs }: Survey): Promise<Answer> {
  const connection = await openBriefly(world, address, limitMs).catch(() => undefined)
  try {
    if (!connection) return 'unheard'
    const response = await askInEpoch(connection, statRecovery(protoVer))
    if (UNASKABLE.has(response.result)) return 'none'
    if (response.result !== Result.SUCCESS || response.epoch !== epoch) return 'other epoch'
    return parseRecoveryState(response.payload).phase
  } catch {
    return 'unheard'
  } finally {
    connection?.destroy(new SheepfsError('closed', 'asked'))
  }
}
