import { Cluster } from '../../sheep/cluster.ts'
import { addressText, parseAddress } from '../../sheep/address.ts'
import { readClusterStatus } from '../../sheep/cluster-info.ts'
import { errorText, isSheepfsError } from '../../errors.ts'
import { silentLogger } from '../../log.ts'
import { DEFAULT_TIMING } from '../../sheep/timing.ts'
import { parseVolumeName, vdiSpecs } from '../../tree/volume-name.ts'
import { requireVdi } from '../../volume/manage/find-vdi.ts'
import { realWorld } from '../real-world.ts'
import { clusterJson } from '../vdi-json.ts'
import { ok, problem, warning, type Finding } from './finding.ts'

const CONNECT_LIMIT_MS = 3000
const ANSWER_LIMIT_MS = 5000

/** The sheep that a mount uses, of which one is enough, and the volumes that it wants from them. */
export interface ClusterUse {
  readonly sheep: readonly string[]
  readonly volumes: readonly string[]
}

interface Answer {
  readonly finding: Finding
  /** Its cluster can be used. */
  readonly isRunning: boolean
}

/** Asks every sheep, all at once, whether it answers and how its cluster is, and then for the volumes of each mount. */
export async function checkClusters(uses: readonly ClusterUse[]): Promise<Finding[]> {
  const addresses = [...new Set(uses.flatMap(({ sheep }) => sheep))]
  const answers = new Map(
    await Promise.all(addresses.map(async (address) => [address, await askSheep(address)] as const)),
  )
  const isRunning = (address: string): boolean => answers.get(address)?.isRunning === true
  const findings = addresses.map((address) => {
    const finding = answers.get(address)?.finding
    const isReplaced = uses.every(({ sheep }) => !sheep.includes(address) || sheep.some(isRunning))
    return finding?.status === 'problem' && isReplaced ? [{ ...finding, status: 'warning' as const }] : (finding ?? [])
  })
  const volumes = await Promise.all(uses.map(({ sheep, volumes }) => checkVolumes(sheep.find(isRunning), volumes)))
  return [...findings.flat(), ...volumes.flat()]
}

async function askSheep(text: string): Promise<Answer> {
  const check = `sheep ${addressText(parseAddress(text))}`
  try {
    return await withCluster(text, async (cluster) => {
      const { state, state_text: stateText } = clusterJson(await readClusterStatus(cluster))
      if (state === 'running') return { isRunning: true, finding: ok(check, 'answers, its cluster is running') }
      const mend = 'dog node list shows which nodes are missing'
      return { isRunning: false, finding: warning(check, `answers, its cluster is ${stateText}`, mend) }
    })
  } catch (error) {
    const finding = isSheepfsError(error, 'not-formatted')
      ? problem(check, 'answers, its cluster was never formatted', 'dog cluster format --copies N')
      : problem(
          check,
          errorText(error),
          'start sheep there, or correct the address in the configuration; look for a firewall between',
        )
    return { isRunning: false, finding }
  }
}

/** A start fails when a volume is not there. Without a sheep that answers there is nothing to be known. */
async function checkVolumes(address: string | undefined, volumes: readonly string[]): Promise<Finding[]> {
  if (address === undefined || volumes.length === 0) return []
  const asked = withCluster(address, (cluster) => Promise.all(volumes.map((volume) => checkVolume(cluster, volume))))
  return (await asked.catch(() => [])).flat() // lost meanwhile
}

async function checkVolume(cluster: Cluster, volume: string): Promise<Finding[]> {
  try {
    await requireVdi(cluster, vdiSpecs(parseVolumeName(volume)))
    return []
  } catch (error) {
    if (!isSheepfsError(error, 'not-found')) return []
    const mend = `sheepfsctl vdi create ${volume} SIZE, or take it out of the configuration`
    return [problem(`volume ${volume}`, errorText(error), mend)]
  }
}

async function withCluster<T>(address: string, ask: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = new Cluster({
    world: realWorld,
    addresses: [parseAddress(address)],
    log: silentLogger(),
    ioTimeoutMs: ANSWER_LIMIT_MS,
    timing: { ...DEFAULT_TIMING, connectTimeoutMs: CONNECT_LIMIT_MS, deadlineMs: ANSWER_LIMIT_MS },
  })
  try {
    await cluster.open()
    return await ask(cluster)
  } finally {
    cluster.close()
  }
}
