import { Cluster } from '../../sheep/cluster.ts'
import { addressText, parseAddress } from '../../sheep/address.ts'
import { readClusterStatus } from '../../sheep/cluster-info.ts'
import { errorText, isSheepfsError } from '../../errors.ts'
import { silentLogger } from '../../log.ts'
import { DEFAULT_TIMING } from '../../sheep/timing.ts'
import { realWorld } from '../real-world.ts'
import { clusterJson } from '../vdi-json.ts'
import { ok, problem, warning, type Finding } from './finding.ts'

const CONNECT_LIMIT_MS = 3000
const ANSWER_LIMIT_MS = 5000

/** Asks every sheep, all at once, whether it answers and how its cluster is. */
export function checkSheep(addresses: readonly string[]): Promise<Finding[]> {
  return Promise.all([...new Set(addresses)].map(checkOneSheep))
}

async function checkOneSheep(text: string): Promise<Finding> {
  const address = parseAddress(text)
  const check = `sheep ${addressText(address)}`
  const cluster = new Cluster({
    world: realWorld,
    addresses: [address],
    log: silentLogger(),
    ioTimeoutMs: ANSWER_LIMIT_MS,
    timing: { ...DEFAULT_TIMING, connectTimeoutMs: CONNECT_LIMIT_MS, deadlineMs: ANSWER_LIMIT_MS },
  })
  try {
    await cluster.open()
    const { state, state_text: stateText } = clusterJson(await readClusterStatus(cluster))
    if (state === 'running') return ok(check, 'answers, its cluster is running')
    return warning(check, `answers, its cluster is ${stateText}`, 'dog node list shows which nodes are missing')
  } catch (error) {
    if (isSheepfsError(error, 'not-formatted')) {
      return problem(check, 'answers, its cluster was never formatted', 'dog cluster format --copies N')
    }
    const mend = 'start sheep there, or correct the address in the configuration; look for a firewall between'
    return problem(check, errorText(error), mend)
  } finally {
    cluster.close()
  }
}
