#!/usr/bin/env node
import { writeFile } from 'node:fs/promises'
import { errorText } from '../src/errors.ts'
import { startLamb, useSheep } from '../test/e2e/stage/sheep.ts'
import { Stage } from '../test/e2e/stage/stage.ts'
import { bareTarget } from './bare-client.ts'
import { parseBenchOptions, USAGE, type BenchOptions } from './options.ts'
import { reportJson, reportText, type Measurements } from './report.ts'
import type { Outcome, Target } from './target.ts'
import { fileTarget, sheepfsTarget } from './volume-file.ts'
import { workloads, type Workload } from './workload.ts'

async function openTargets(stage: Stage, options: BenchOptions): Promise<Target[]> {
  const { size, engine } = options
  const sheep = await (options.sheep ? useSheep(stage, options.sheep) : startLamb(stage))
  const targets = [
    await bareTarget(stage, 'bare client', sheep, size),
    await sheepfsTarget(stage, 'cache off', { sheep, size, engine }),
    await sheepfsTarget(stage, 'cache on', { sheep, size, engine, args: ['-k'] }),
  ]
  for (const { label, file } of options.others) targets.push(await fileTarget(label, file, size))
  return targets
}

/** Every target after the other in every run: what else the machine does hits all alike. `stop` ends it early. */
async function measure(
  targets: readonly Target[],
  loads: readonly Workload[],
  { runs, stop }: { runs: number; stop: AbortSignal },
): Promise<Measurements> {
  const measurements = new Map(loads.map((load) => [load, new Map(targets.map((target) => [target, [] as Outcome[]]))]))
  for (let run = 1; run <= runs; run++) {
    for (const [load, byTarget] of measurements) {
      for (const [target, outcomes] of byTarget) {
        const outcome = await target.measure(load).catch((error: unknown) => {
          if (!stop.aborted) throw error // else it is fio that was interrupted as well
        })
        if (stop.aborted || !outcome) return measurements
        outcomes.push(outcome)
      }
      const line = Array.from(byTarget, ([{ label }, all]) => `${label} ${all.at(-1)?.speed.toFixed(0) ?? ''}`)
      console.error(`run ${run} of ${runs}, ${load.name}, ${load.unit}: ${line.join(', ')}`)
    }
  }
  return measurements
}

async function reportMemory(targets: readonly Target[]): Promise<Record<string, number>> {
  const peaks: Record<string, number> = {}
  for (const target of targets) {
    const peak = await target.peakMemory()
    if (peak === undefined) continue
    peaks[target.label] = peak
    console.log(`peak memory of sheepfs, ${target.label}: ${Math.round(peak / 2 ** 20)} MiB`)
  }
  return peaks
}

async function bench(stage: Stage, options: BenchOptions, stop: AbortSignal): Promise<void> {
  const loads = workloads(options.size).filter(({ name }) => name.includes(options.only))
  if (loads.length === 0) throw new Error(`--only ${options.only}: no workload has that in its name`)
  const targets = await openTargets(stage, options)
  const measurements = await measure(targets, loads, { runs: options.runs, stop })
  console.log(`\n${reportText(measurements)}\n`)
  const peakMemory = await reportMemory(targets)
  if (options.json === undefined) return
  const record = { options, results: reportJson(measurements), peakMemory }
  await writeFile(options.json, `${JSON.stringify(record, null, 2)}\n`)
}

const stage = new Stage({ ignoresTerminal: true })
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stop.abort()
  })
}
try {
  const options = parseBenchOptions()
  if (options.help) console.log(USAGE)
  else await bench(stage, options, stop.signal)
} catch (error) {
  console.error(`bench: ${errorText(error)}`)
  process.exitCode = 1
} finally {
  await stage.close()
}
