import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { describe, test, type TestContext } from 'node:test'
import { ClusterFlag } from '../../src/wire/info-ops.ts'
import { releaseVdi } from '../../src/wire/vdi-ops.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { lambCluster, writeText } from '../volume/manage/lamb-cluster.ts'
import { CLUSTER_LIES } from './cluster-lies.ts'
import type { Lie } from './lie.ts'
import { ARRAY, HYPER, type Report } from './lied-to-worker.ts'
import { RewritingProxy } from './rewriting-proxy.ts'
import { STREAM_LIES } from './stream-lies.ts'
import { VDI_LIES } from './vdi-lies.ts'

const MOST_MEMORY = 250e6
const MUCH_MEMORY = 120e6
const CONTENT = 'what was written before'

/** A process that is asked to use a cluster, as a worker does. */
class LiedTo {
  readonly #child: ChildProcess
  readonly #ended: Promise<never>

  constructor(context: TestContext) {
    const program = new URL('lied-to-worker.js', import.meta.url)
    this.#child = fork(program, [], { execArgv: ['--expose-gc'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#ended = once(this.#child, 'exit').then(([code, signal]: unknown[]) => {
      throw new Error(`the process ended: ${String(code ?? signal)}`)
    })
    this.#ended.catch(() => undefined) // with the test
    context.after(() => this.#child.kill('SIGKILL'))
  }

  async visit(proxy: RewritingProxy): Promise<Report> {
    this.#child.send(proxy.address)
    const told = new Promise<Report>((resolve) =>
      this.#child.once('message', (report) => {
        resolve(report as Report)
      }),
    )
    return Promise.race([told, this.#ended])
  }
}

function failures({ steps }: Report): string[] {
  return steps.flatMap(({ step, error }) => (error ? [`${step}: ${error.code}: ${error.message}`] : []))
}

/** What the table of lies has come to. */
interface Worst {
  longest: { ms: number; lie: string }
  largest: { bytes: number; lie: string }
}

/** `isDataTrue`: none of the lies is about data. */
async function suffer(
  context: TestContext,
  lies: readonly Lie[],
  { isDataTrue }: { isDataTrue: boolean },
): Promise<void> {
  const { cluster } = await lambCluster(context, { format: { flags: ClusterFlag.LOCKING } })
  const vids = [
    (await createVdi(cluster, { name: ARRAY, size: 2 ** 30 })).vdiId,
    (await createVdi(cluster, { name: HYPER, size: 2 ** 40, isHyper: true })).vdiId,
  ]
  for (const name of [ARRAY, HYPER]) await writeText(cluster, name, 0, CONTENT)
  const target = cluster.homePeer
  assert.ok(target)
  const proxy = await RewritingProxy.start(context, target)
  const worst: Worst = { longest: { ms: 0, lie: '' }, largest: { bytes: 0, lie: '' } }
  let worker = new LiedTo(context)
  assert.deepEqual(failures(await worker.visit(proxy)), [])
  for (const lie of lies) {
    const report = await lieTo(worker, proxy, lie)
    for (const vid of vids) await cluster.change(releaseVdi(vid)) // what the lie kept from being given back
    const isWaiting = report.steps.some(({ error }) => error?.code === 'waits')
    if (isWaiting || report.peak > MUCH_MEMORY) worker = new LiedTo(context) // what is left of it counts for no other
    check(report, lie, proxy)
    if (isDataTrue) checkData(report, lie.name)
    if (report.longestTurnMs > worst.longest.ms) worst.longest = { ms: report.longestTurnMs, lie: lie.name }
    if (report.peak > worst.largest.bytes) worst.largest = { bytes: report.peak, lie: lie.name }
  }
  context.diagnostic(`${lies.length} lies: ${JSON.stringify(worst)}`)
  const after = await worker.visit(proxy)
  assert.deepEqual(failures(after), [])
  if (isDataTrue) checkData(after, 'after all')
}

async function lieTo(worker: LiedTo, proxy: RewritingProxy, { spoil }: Lie): Promise<Report> {
  let count = 0
  proxy.lie = (answer) => spoil(answer, ++count)
  const report = await worker.visit(proxy)
  proxy.lie = undefined
  proxy.cutAll()
  return report
}

function check(report: Report, { name, told }: Lie, proxy: RewritingProxy): void {
  const failed = failures(report).join('\n')
  assert.ok(report.peak < MOST_MEMORY, `${name}: ${report.peak} bytes of memory`)
  assert.doesNotMatch(failed, /: flaw: /, name)
  if (told) assert.match(failed, told, name)
  const breaches = report.steps.flatMap(({ error }) => (error?.code === 'protocol' ? [error.message] : []))
  const who = new RegExp(`sheep 127\\.\\d+\\.\\d+\\.\\d+:${proxy.address.port}: `)
  for (const message of breaches) assert.match(message, who, name)
}

function checkData({ steps }: Report, name: string): void {
  for (const { data } of steps) if (data !== undefined) assert.equal(data.slice(0, CONTENT.length), CONTENT, name)
}

const LIMIT = { timeout: 300_000 }

describe('a worker whose sheep lies', { concurrency: 3 }, () => {
  test('in the stream fails in order, within bounds', LIMIT, (context) =>
    suffer(context, STREAM_LIES, { isDataTrue: true }),
  )
  test('about the cluster fails in order, within bounds', LIMIT, (context) =>
    suffer(context, CLUSTER_LIES, { isDataTrue: true }),
  )
  test('about VDIs fails in order, within bounds', LIMIT, (context) => suffer(context, VDI_LIES, { isDataTrue: false }))
})
