import { parseArgs } from 'node:util'
import { ENGINES, type EngineName } from '../src/fuse/engine.ts'
import { parseAddress, type Address } from '../src/sheep/address.ts'

/** What `--help` prints. */
export const USAGE = `Usage: npm run bench -- [OPTION]...
Measures, interleaved and in one run: a bare client of the protocol, sheepfs with page cache off and on, other files.
  --sheep HOST:PORT    a running cluster, where VDIs are made and removed; without it an embedded lamb
  --size SIZE          bytes of each volume that are used, as 256M (the default)
  --runs N             runs of which the median counts, 5 by default
  --engine ENGINE      kernel (the default) or fuse-native
  --other LABEL=FILE   measure this file as well, whose data is lost: a volume mounted by another sheepfs; repeatable
  --only TEXT          only the workloads whose name contains TEXT
  --json FILE          write all measurements there`

/** The command line of the bench. */
export interface BenchOptions {
  readonly help: boolean
  readonly sheep: Address | undefined
  /** Whole MiB. */
  readonly size: number
  readonly runs: number
  readonly engine: EngineName
  readonly others: readonly { readonly label: string; readonly file: string }[]
  readonly only: string
  readonly json: string | undefined
}

const text = { type: 'string' } as const

/** Reads process.argv. Throws an error that names the wrong option and says what would be right. */
export function parseBenchOptions(): BenchOptions {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', default: false },
      sheep: text,
      size: { ...text, default: '256M' },
      runs: { ...text, default: '5' },
      engine: { ...text, default: 'kernel' },
      other: { ...text, multiple: true, default: [] },
      only: { ...text, default: '' },
      json: text,
    },
  })
  const { help, sheep, size, runs, engine, other, only, json } = values
  return {
    help,
    sheep: sheep === undefined ? undefined : parseAddress(sheep),
    size: parseSize(size),
    runs: parseRuns(runs),
    engine: parseEngine(engine),
    others: other.map(parseOther),
    only,
    json,
  }
}

function parseSize(size: string): number {
  const [, number, unit = ''] = /^(\d+)([KMG]?)$/.exec(size) ?? []
  const bytes = Number(number) * 1024 ** ['', 'K', 'M', 'G'].indexOf(unit)
  if (number === undefined || bytes < 2 ** 26 || bytes % 2 ** 20 !== 0) {
    throw new Error(`--size ${size}: expected whole MiB, at least 64M, as 256M or 1G`)
  }
  return bytes
}

function parseRuns(runs: string): number {
  if (!/^[1-9]\d*$/.test(runs)) throw new Error(`--runs ${runs}: expected a number from 1`)
  return Number(runs)
}

function parseEngine(engine: string): EngineName {
  const name = ENGINES.find((known) => known === engine)
  if (name === undefined) throw new Error(`--engine ${engine}: expected ${ENGINES.join(' or ')}`)
  return name
}

function parseOther(other: string): { label: string; file: string } {
  const [, label, file] = /^([^=]+)=(.+)$/.exec(other) ?? []
  if (label === undefined || file === undefined) throw new Error(`--other ${other}: expected LABEL=FILE`)
  return { label, file }
}
