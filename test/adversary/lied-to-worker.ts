import { readFileSync, writeFileSync } from 'node:fs'
import { ClusterService } from '../../src/daemon/worker/cluster-service.ts'
import { realWorld } from '../../src/daemon/real-world.ts'
import { errorText, isSheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import type { Address } from '../../src/sheep/address.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { DEFAULT_TIMING, type Timing } from '../../src/sheep/timing.ts'
import { factsOf } from '../../src/tree/cluster-facts.ts'
import { makeClusterInfo, makeNodeInfo, makeVdiList } from '../../src/tree/cluster-texts.ts'
import { openVolume } from '../../src/volume/open-volume.ts'

/*
 * A process that does with a cluster what a worker does, and tells how that went: it is asked by the address of a sheep. Its
 * times are shorter than a worker's.
 */

/** How one of the things it does has ended. */
export interface StepEnd {
  readonly step: string
  /** Undefined: it was done. */
  readonly error?: { readonly code: string; readonly message: string }
  /** What was read. */
  readonly data?: string
}

export interface Report {
  readonly steps: readonly StepEnd[]
  /** Most memory, bytes, since it was asked. */
  readonly peak: number
  /** Most time of the processor between two looks at the clock, ms. */
  readonly longestTurnMs: number
}

const TIMING: Timing = {
  ...DEFAULT_TIMING,
  ...{ connectTimeoutMs: 5000, headStartMs: 200, deadlineMs: 2000, shortestDeadlineMs: 2000, silenceMs: 1000 },
  ...{
    signOfLifeMs: 2000,
    firstPauseMs: 10,
    lastPauseMs: 50,
    settleSilentMs: 100,
    settleBusyMs: 200,
    settlePollMs: 10,
  },
  ...{ missingLimitMs: 100, recoveryOverlapMs: 50, lockGraceMs: 50 },
}
const IO_TIMEOUT_MS = 500
/** Whoever waits longer for a sheep that lies is not told of it here. */
const STEP_LIMIT_MS = 5000
export const ARRAY = 'array'
export const HYPER = 'hyper'
export const READ_SIZE = 65_536

type Step = readonly [name: string, run: () => Promise<string | undefined>]

function stepsOf(cluster: Cluster): Step[] {
  const service = new ClusterService(cluster)
  const facts = factsOf(cluster)
  const log = silentLogger()
  const readVolume = async (name: string): Promise<string> => {
    const volume = await openVolume(cluster, { name: Buffer.from(name) }, { log })
    const into = Buffer.alloc(READ_SIZE)
    await volume.read(0, into)
    await volume.write(2 * READ_SIZE, into.subarray(0, 4096))
    await volume.refresh()
    await volume.close()
    return into.toString('latin1')
  }
  const quiet = (work: () => Promise<unknown>) => async () => {
    await work()
    return undefined
  }
  return [
    ['nodes', quiet(() => service.nodes())],
    ['info', quiet(() => service.info())],
    ['vdis', quiet(() => service.vdis())],
    ['texts', quiet(() => Promise.all([makeClusterInfo(facts), makeNodeInfo(facts), makeVdiList(facts)]))],
    ['array volume', () => readVolume(ARRAY)],
    ['hyper volume', () => readVolume(HYPER)],
  ]
}

async function endOf([step, run]: Step): Promise<StepEnd> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<StepEnd>((resolve) => {
    timer = setTimeout(() => {
      resolve({ step, error: { code: 'waits', message: 'it goes on' } })
    }, STEP_LIMIT_MS)
  })
  try {
    return await Promise.race([run().then((data) => ({ step, ...(data !== undefined && { data }) })), limit])
  } catch (error) {
    const isOurs = isSheepfsError(error)
    const message = isOurs ? error.message : error instanceof Error ? (error.stack ?? '') : errorText(error)
    return { step, error: { code: isOurs ? error.code : 'flaw', message } }
  } finally {
    clearTimeout(timer)
  }
}

async function visit(address: Address): Promise<Report> {
  global.gc?.()
  writeFileSync('/proc/self/clear_refs', '5') // the peak is of what comes now
  const turns = watchTurns()
  const log = silentLogger()
  const cluster = new Cluster({
    world: realWorld,
    addresses: [address],
    log,
    timing: TIMING,
    ioTimeoutMs: IO_TIMEOUT_MS,
  })
  const steps = [await endOf(['open', () => cluster.open().then(() => undefined)])]
  if (!steps[0]?.error) for (const step of stepsOf(cluster)) steps.push(await endOf(step))
  cluster.close()
  return { steps, peak: peakMemory(), longestTurnMs: turns.stop() }
}

/** By time of the processor: a loaded machine makes no turn longer. */
function watchTurns(): { stop(): number } {
  let longest = 0
  let last = process.cpuUsage()
  const look = (): void => {
    const { user, system } = process.cpuUsage(last)
    longest = Math.max(longest, (user + system) / 1000)
    last = process.cpuUsage()
  }
  const timer = setInterval(look, 1)
  return {
    stop: () => {
      clearInterval(timer)
      return longest
    },
  }
}

function peakMemory(): number {
  const [, kib = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return 1024 * Number(kib)
}

if (process.send) {
  process.on('message', (address) => {
    void visit(address as Address).then((report) => process.send?.(report))
  })
}
