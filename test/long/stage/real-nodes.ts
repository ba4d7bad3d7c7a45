import { setTimeout as pause } from 'node:timers/promises'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { SheepfsError } from '../../../src/errors.ts'
import { silentLogger } from '../../../src/log.ts'
import { parseAddress, type Address } from '../../../src/sheep/address.ts'
import { Cluster } from '../../../src/sheep/cluster.ts'
import type { ClusterOptions } from '../../../src/sheep/cluster-options.ts'
import { surveyRecovery } from '../../../src/sheep/recovery-survey.ts'
import { loadFormat, loadTopology } from '../../../src/sheep/topology-load.ts'
import type { Topology } from '../../../src/sheep/topology.ts'
import type { ObjectId } from '../../../src/wire/object-id.ts'
import { succeed } from '../../e2e/stage/program.ts'
import { openConnection } from '../../e2e/stage/sheep.ts'
import type { Stage } from '../../e2e/stage/stage.ts'

const { SHEEPFS_TEST_SHEEP: sheepText = '', SHEEPFS_TEST_NODE: program = '' } = process.env
const ANSWER_MS = 5_000
const PAUSE_MS = 500
const WHOLE_LIMIT_MS = 300_000

/**
 * `kill`: SIGKILL; `stop` and `continue`: SIGSTOP and SIGCONT; `cut` and `join`: what we send to it is dropped, without a word, and is
 * not any more.
 */
export type NodeVerb = 'kill' | 'start' | 'stop' | 'continue' | 'cut' | 'join'

/** Why a test that kills nodes cannot run; false when it can. */
export const lacksNodes = sheepText === '' || program === '' ? 'needs SHEEPFS_TEST_SHEEP and SHEEPFS_TEST_NODE' : false

/** The nodes of a real cluster, numbered as SHEEPFS_TEST_NODE numbers them. SHEEPFS_TEST_SHEEP is the first. */
export class RealNodes {
  readonly addresses: readonly Address[]

  private constructor(addresses: readonly Address[]) {
    this.addresses = addresses
  }

  /** All that are there now. */
  static async find(): Promise<RealNodes> {
    const { addresses } = (await ask(parseAddress(sheepText))).topology
    return new RealNodes([...addresses].sort((a, b) => a.port - b.port || a.host.localeCompare(b.host)))
  }

  get count(): number {
    return this.addresses.length
  }

  at(number: number): Address {
    const address = this.addresses[number]
    if (!address) throw new RangeError(`no node ${number}`)
    return address
  }

  async tell(verb: NodeVerb, number: number): Promise<void> {
    await succeed(program, [verb, String(number)])
  }

  /** Whether a node holds an object of so many copies, as the nodes are now. */
  async holds(number: number, copies: number): Promise<(oid: ObjectId) => boolean> {
    const { topology } = await ask(this.at(0))
    const { host, port } = this.at(number)
    return (oid) => topology.holders(oid, copies).some((at) => at.host === host && at.port === port)
  }

  /** Whether all nodes are there and have nothing left to recover. */
  async areWhole(): Promise<boolean> {
    try {
      const { topology, protoVer } = await ask(this.at(0))
      const survey = { world: realWorld, protoVer, limitMs: ANSWER_MS }
      return topology.nodes.length === this.count && (await surveyRecovery(topology, survey)) === 'done'
    } catch {
      return false
    }
  }

  /** Resolves when they are. Errors: they are not for five minutes. */
  async whole(): Promise<void> {
    const until = performance.now() + WHOLE_LIMIT_MS
    while (!(await this.areWhole())) {
      if (performance.now() > until) throw new Error('the nodes have not recovered')
      await pause(PAUSE_MS)
    }
  }

  /** A client that outlives what befalls the nodes, closed with the stage. */
  async client(
    stage: Stage,
    { addresses = this.addresses, log = silentLogger() }: Partial<Pick<ClusterOptions, 'addresses' | 'log'>> = {},
  ): Promise<Cluster> {
    const cluster = new Cluster({ world: realWorld, addresses, log })
    stage.defer(() => {
      cluster.close()
    })
    await cluster.open()
    return cluster
  }
}

async function ask(address: Address): Promise<{ topology: Topology; protoVer: number }> {
  const connection = await openConnection(address)
  try {
    const { protoVer } = await loadFormat(connection)
    const topology = await loadTopology(connection, realWorld.clock, { protoVer, isInDiskMode: false })
    return { topology, protoVer }
  } finally {
    connection.destroy(new SheepfsError('closed', 'asked'))
  }
}
