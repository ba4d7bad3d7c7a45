import type { TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import type { ClusterOptions } from '../../src/sheep/cluster-options.ts'
import type { Timing } from '../../src/sheep/timing.ts'
import { ModelCluster } from './model-cluster.ts'
import { ScriptedSheep } from './scripted-sheep.ts'
import { SheepRules } from './sheep-rules.ts'

/** Waits as short as they can be where everything runs in one process. */
export const FAST: Timing = {
  connectTimeoutMs: 1000,
  headStartMs: 50,
  deadlineMs: 400,
  shortestDeadlineMs: 400,
  holderPatienceMs: 40,
  signOfLifeMs: 200,
  silenceMs: 50,
  firstBackoffMs: 5,
  lastBackoffMs: 40,
  firstPauseMs: 2,
  lastPauseMs: 20,
  settlePollMs: 3,
  settleSilentMs: 300,
  settleBusyMs: 2000,
  recoveryPollMs: 5,
  diskPollMs: 10,
  recoveryUnheardMs: 100,
  recoveryOverlapMs: 30,
  zoneCalmMs: 60,
  missingLimitMs: 300,
  missingPauseMs: 5,
  removalLimitMs: 2000,
  removalPauseMs: 2,
  idlePollMs: 5,
  lockPollMs: 100,
  lockGraceMs: 600,
  cachePauseMs: 1,
}

/** A model cluster with its sheep, and clients of it, all ended with the test. */
export interface StagedCluster {
  readonly model: ModelCluster
  readonly rules: SheepRules
  readonly sheep: readonly ScriptedSheep[]
  /** An open client. */
  readonly open: (options?: Partial<ClusterOptions>) => Promise<Cluster>
  readonly close: () => Promise<void>
}

/** Starts `count` sheep of a new model cluster. */
export async function startCluster(count: number): Promise<StagedCluster> {
  const model = new ModelCluster()
  const rules = new SheepRules(model)
  const sheep = Array.from({ length: count }, () => new ScriptedSheep(model, rules))
  const clients: Cluster[] = []
  await Promise.all(sheep.map((one) => one.start()))
  model.nodes = sheep.map(({ address }, zone) => ({ port: address.port, zone })).sort((a, b) => a.port - b.port)
  return {
    model,
    rules,
    sheep,
    open: async (options = {}) => {
      const addresses = sheep.map((one) => one.address)
      const cluster = new Cluster({ world: realWorld, addresses, log: silentLogger(), timing: FAST, ...options })
      clients.push(cluster)
      await cluster.open()
      return cluster
    },
    close: async () => {
      for (const client of clients) client.close()
      await Promise.all(sheep.map((one) => one.stop()))
    },
  }
}

/** As `startCluster`, ended after the test. */
export async function clusterFor(context: TestContext, count = 1): Promise<StagedCluster> {
  const cluster = await startCluster(count)
  context.after(() => cluster.close())
  return cluster
}
