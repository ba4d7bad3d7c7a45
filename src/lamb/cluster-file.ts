import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { SheepfsError } from '../errors.ts'

/** How a cluster was formatted. */
export interface ClusterSettings {
  readonly copies: number
  readonly copyPolicy: number
  readonly blockSizeShift: number
  /** ClusterFlag bits. */
  readonly flags: number
  /** Creation time. */
  readonly ctime: Timestamp
  /** The store driver's name, as `dog cluster format` gave it. */
  readonly storeName: string
}

/** A time as sheepdog writes it: seconds in the high half of a u64, nanoseconds in the low. */
export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

/** The time. The clock tells no more than milliseconds of it; below, it is random, so that no two VDIs have the same. */
export function timestamp(clock: Clock): Timestamp {
  const ms = clock.date()
  const microseconds = Math.floor((Math.floor(ms % 1000) + clock.random()) * 1000)
  return { seconds: Math.floor(ms / 1000), nanoseconds: microseconds * 1000 }
}

/** What is kept of the cluster beside its objects. */
export interface ClusterRecord {
  /** Undefined until it is formatted. */
  readonly settings: ClusterSettings | undefined
  /** 0 before format, as in the headers of all answers. */
  readonly epoch: number
  open(): void
  format(settings: ClusterSettings): void
}

/** The settings in `DIR/cluster.json`. One epoch, for ever. */
export class ClusterFile implements ClusterRecord {
  readonly #path: string
  #settings: ClusterSettings | undefined

  constructor(directory: string) {
    this.#path = join(directory, 'cluster.json')
  }

  get settings(): ClusterSettings | undefined {
    return this.#settings
  }

  get epoch(): number {
    return this.#settings ? 1 : 0
  }

  open(): void {
    if (!existsSync(this.#path)) return
    try {
      this.#settings = JSON.parse(readFileSync(this.#path, 'utf8')) as ClusterSettings
    } catch (error) {
      throw new SheepfsError('invalid', `${this.#path} is not the JSON that lamb wrote`, { cause: error })
    }
  }

  format(settings: ClusterSettings): void {
    writeFileSync(`${this.#path}.new`, `${JSON.stringify(settings, undefined, 2)}\n`)
    renameSync(`${this.#path}.new`, this.#path)
    this.#settings = settings
  }
}
