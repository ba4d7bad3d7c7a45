import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { courseOf } from './course.ts'
import { runSeed, type SeedRun } from './seed-run.ts'
import { cutText, parseCut, shrink } from './shrink.ts'
import { Trace } from './trace.ts'

const USAGE = `Usage: npm run simulate -- [OPTION]...
Plays what may befall a cluster and its client, in virtual time, and looks whether anything acknowledged gets lost.
  --seed N          the first schedule; without it, a random one
  --schedules N     so many from there on
  --minutes M       as many as fit
  --processes N     at once; as many as there are processors by default
  --parts P:S,...   only these actors of one schedule, with so many steps each, as a failure prints them
  --stop            end with the first new fault
  --trace           print everything that happens in one schedule`

/** Schedules that a process is given at once. */
const CHUNK = 25

const { values: options } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    seed: { type: 'string' },
    schedules: { type: 'string' },
    minutes: { type: 'string' },
    processes: { type: 'string', default: String(availableParallelism()) },
    parts: { type: 'string' },
    trace: { type: 'boolean', default: false },
    stop: { type: 'boolean', default: false },
    worker: { type: 'boolean', default: false },
  },
})

/** Most errors of a run are told to nobody, and a stack costs more than all the rest of one. */
if (!options.trace) Error.stackTraceLimit = 0

if (options.help) console.log(USAGE)
else if (options.worker) work()
else {
  const seed = options.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(options.seed)
  const isOne = options.schedules === undefined && options.minutes === undefined
  process.exitCode = (await (isOne ? playOne(seed) : playMany(seed))) ? 0 : 1
}

/** True when nothing was found. */
async function playOne(seed: number): Promise<boolean> {
  const trace = new Trace({ isWritten: options.trace })
  if (options.trace) {
    courseOf(seed).parts.forEach(({ actor, steps }, i) => {
      console.log(`part ${i}: ${actor.name}, ${steps} steps`)
    })
  }
  const run = await runSeed(seed, { trace, cut: options.parts === undefined ? undefined : parseCut(options.parts) })
  for (const line of trace.lines ?? []) console.log(line)
  if (run.found) console.log(`found: ${run.found.text}\nknown: ${run.found.fault ?? 'no'}`)
  console.log(`seed ${seed} schedules 1 trace ${run.trace}`)
  return run.found === undefined
}

/** True when nothing new was found. */
async function playMany(first: number): Promise<boolean> {
  const runs: SeedRun[] = []
  const until = performance.now() + 60_000 * Number(options.minutes ?? 0)
  const most = options.schedules === undefined ? Infinity : Number(options.schedules)
  let given = 0
  const next = (): { from: number; count: number } | undefined => {
    const isOver = options.minutes === undefined ? given >= most : performance.now() >= until
    if (isOver || (options.stop && runs.some(isNew))) return undefined
    const chunk = { from: first + given, count: Math.min(CHUNK, most - given) }
    given += chunk.count
    return chunk
  }
  await Promise.all(Array.from({ length: Number(options.processes) }, () => employ(next, (run) => runs.push(run))))
  runs.sort((a, b) => a.seed - b.seed)
  const isClean = await tell(runs)
  const total = new Trace()
  for (const { trace } of runs) total.bytes(Buffer.from(trace, 'hex'))
  console.log(`seed ${first} schedules ${runs.length} trace ${total.hex}`)
  return isClean
}

/** One process after another chunk, until there is none. */
async function employ(
  next: () => { from: number; count: number } | undefined,
  done: (run: SeedRun) => void,
): Promise<void> {
  const child: ChildProcess = fork(import.meta.filename, ['--worker'])
  const give = (): void => {
    const chunk = next()
    if (chunk) child.send(chunk)
    else child.disconnect()
  }
  child.on('message', (message: SeedRun | 'idle') => {
    if (message === 'idle') give()
    else done(message)
  })
  give()
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`a process of the simulation ended with ${code}`)
}

function work(): void {
  process.on('message', ({ from, count }: { from: number; count: number }) => {
    void (async () => {
      for (let seed = from; seed < from + count; seed++) process.send?.(await runSeed(seed))
      process.send?.('idle')
    })()
  })
}

function isNew({ found }: SeedRun): boolean {
  return found !== undefined && found.fault === undefined
}

/** True when all that was found is known. */
async function tell(runs: readonly SeedRun[]): Promise<boolean> {
  const known = new Map<string, number[]>()
  const news = new Map<string, SeedRun>()
  for (const run of runs) {
    if (!run.found) continue
    const { fault, kind } = run.found
    if (fault !== undefined) known.set(fault, [...(known.get(fault) ?? []), run.seed])
    else if (!news.has(kind)) news.set(kind, run)
  }
  for (const [fault, seeds] of known) console.log(`known, ${seeds.length} times (${seeds[0]}): ${fault}`)
  for (const { seed, found } of news.values()) {
    if (!found) continue
    console.log(`new: ${found.text}`)
    console.log(`  npm run simulate -- --seed ${seed} --parts ${cutText(await shrink(seed, found))}`)
  }
  return news.size === 0
}
