import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ControlClient } from '../../../src/api/client.ts'
import type { Mount } from '../../../src/api/schema/mount.ts'
import { addressText } from '../../../src/sheep/address.ts'
import { end, textOf } from './program.ts'
import type { Sheep } from './sheep.ts'
import { removeMount } from './sheepfs.ts'
import type { Stage } from './stage.ts'

/** The program under test. */
export const SHEEPFSD = join(import.meta.dirname, '../../../src/cli/sheepfsd.js')
/** An account that every system has and that owns nothing. */
export const WORKER_USER = 'daemon'

const INSTANCE = 'test'
const START_LIMIT_MS = 30_000
const STOP_GRACE_MS = 40_000
const PAUSE_MS = 10

/** One [[mount]] of the configuration, by its keys. */
export type MountTable = Readonly<Record<string, string | boolean | number | readonly string[]>> & {
  readonly name: string
  readonly mountpoint: string
}

/** Where a daemon has its files, so that another one can follow it. */
export interface DaemonPlace {
  readonly runtimeDirectory: string
  readonly configFile: string
}

export interface SheepfsdOptions {
  readonly mounts: readonly MountTable[]
  /** The place of a predecessor. */
  readonly place?: DaemonPlace
  readonly stopTimeoutS?: number
  /** The account of the workers, instead of WORKER_USER. */
  readonly workerUser?: string
  /** A folder of programs that come before those of the system. */
  readonly programs?: string
  /** More of the environment. */
  readonly variables?: Readonly<Record<string, string>>
  /** Settings of the instance. */
  readonly head?: string
  /** How many descriptors it may have. */
  readonly descriptors?: number
}

/** A mount with a worker. */
export type ServedMount = Mount & { readonly worker: NonNullable<Mount['worker']> }

/** A running `sheepfsd`. */
export class Sheepfsd {
  readonly child: ChildProcess
  readonly place: DaemonPlace
  readonly client: ControlClient
  /** All it has logged up to now, its workers included. */
  readonly log: () => string

  constructor(child: ChildProcess, place: DaemonPlace) {
    this.child = child
    this.place = place
    this.client = new ControlClient(join(place.runtimeDirectory, INSTANCE, 'control.sock'))
    this.log = textOf(child.stderr)
    textOf(child.stdout)
  }

  /** Resolves when the log has `text` at or after `from`. Errors: it ends, or nothing such comes in time. */
  async logged(text: string, from = 0, limitMs = START_LIMIT_MS): Promise<void> {
    const limit = AbortSignal.timeout(limitMs)
    while (!this.log().includes(text, from)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`sheepfsd ended: ${this.log()}`)
      if (limit.aborted) throw new Error(`not logged within ${limitMs} ms: ${text}: ${this.log()}`)
      await this.#heard(limit)
    }
  }

  /** Resolves when it has logged something, has ended, or `limit` aborts. */
  async #heard(limit: AbortSignal): Promise<void> {
    const heard = new AbortController()
    const signal = AbortSignal.any([limit, heard.signal])
    const events = [once(this.child, 'exit', { signal }), once(this.child.stderr ?? this.child, 'data', { signal })]
    await Promise.race(events).catch(() => undefined)
    heard.abort()
    await Promise.allSettled(events)
  }

  /** The mount, once it is served by a worker of at least this generation. */
  async serving(mount: string, generation = 1, limitMs = START_LIMIT_MS): Promise<ServedMount> {
    const until = performance.now() + limitMs
    for (;;) {
      const found = await this.client.mount(mount)
      const { state, worker } = found
      if (state === 'serving' && worker && worker.generation >= generation) return { ...found, worker }
      if (performance.now() > until) throw new Error(`${mount} is ${state}: ${found.reason ?? ''}: ${this.log()}`)
      await delay(PAUSE_MS)
    }
  }

  /** The pid of a worker as soon as there is one of at least this generation, whether it serves yet or not. */
  async pidOf(mount: string, generation: number): Promise<number> {
    for (;;) {
      const { worker } = await this.client.mount(mount)
      if (worker && worker.generation >= generation) return worker.pid
      await delay(PAUSE_MS)
    }
  }

  /** The pid of the worker that serves a mount. */
  async workerPid(mount: string): Promise<number> {
    return (await this.serving(mount)).worker.pid
  }

  /** Kills the worker that serves a mount. Resolves with the generation of its successor. */
  async killWorker(mount: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    const { worker } = await this.serving(mount)
    process.kill(worker.pid, signal)
    return worker.generation + 1
  }

  /** SIGTERM, and resolves with the exit code when it is gone: null when it was killed after `graceMs`. */
  async stop(graceMs = STOP_GRACE_MS): Promise<number | null> {
    await end(this.child, graceMs)
    return this.child.exitCode
  }
}

/** Starts `sheepfsd` and resolves when all its mounts serve. */
export async function startSheepfsd(stage: Stage, options: SheepfsdOptions): Promise<Sheepfsd> {
  const place = options.place ?? (await newPlace(stage))
  // the group of the workers may not use the control socket
  const group = options.workerUser === 'root' ? `socket_group = "${WORKER_USER}"\n` : ''
  await writeConfig(place, options.mounts, group + (options.head ?? ''))
  const daemon = launchSheepfsd(stage, place, options)
  await daemon.logged('"msg":"ready"')
  return daemon
}

/** Starts it on a configuration that is there already, and does not wait. */
export function launchSheepfsd(stage: Stage, place: DaemonPlace, options: SheepfsdOptions): Sheepfsd {
  const variables = {
    ...options.variables,
    SHEEPFS_CONFIG: place.configFile,
    SHEEPFS_RUNTIME_DIR: place.runtimeDirectory,
    SHEEPFS_WORKER_USER: options.workerUser ?? WORKER_USER,
    SHEEPFS_STOP_TIMEOUT: String(options.stopTimeoutS ?? 20),
    ...(options.programs === undefined ? {} : { PATH: `${options.programs}:${process.env['PATH'] ?? ''}` }),
  }
  const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  const limit = options.descriptors === undefined ? [] : ['prlimit', `--nofile=${options.descriptors}`]
  const command = [...settings, ...limit, process.execPath, SHEEPFSD, INSTANCE]
  const daemon = new Sheepfsd(stage.start('env', command), place)
  stage.defer(async () => {
    await daemon.stop()
    const left: string[] = []
    for (const { mountpoint } of options.mounts) if (await removeMount(mountpoint)) left.push(mountpoint)
    if (left.length > 0) throw new Error(`sheepfsd left ${left.join(', ')} mounted: ${daemon.log()}`)
  })
  return daemon
}

/** Writes the configuration. Strings, lists and flags look the same in JSON and in TOML. */
export async function writeConfig(place: DaemonPlace, mounts: readonly MountTable[], head = ''): Promise<void> {
  const tables = mounts.map((mount) =>
    ['[[mount]]', ...Object.entries(mount).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)].join('\n'),
  )
  await writeFile(place.configFile, `${head}${tables.join('\n\n')}\n`)
}

/** A mount of a sheep at a new mountpoint, with some volumes attached. */
export async function tableOf(
  stage: Stage,
  name: string,
  sheep: Pick<Sheep, 'address'>,
  volumes: readonly string[],
): Promise<MountTable & { readonly volumes: readonly string[] }> {
  return { name, mountpoint: await stage.mountpoint(), sheep: [addressText(sheep.address)], volumes }
}

/** For a daemon without a predecessor. */
export async function newPlace(stage: Stage): Promise<DaemonPlace> {
  const runtimeDirectory = await stage.folder()
  return { runtimeDirectory, configFile: join(runtimeDirectory, 'test.toml') }
}
