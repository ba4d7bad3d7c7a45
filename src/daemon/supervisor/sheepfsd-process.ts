import { isDeepStrictEqual } from 'node:util'
import { errorText } from '../../errors.ts'
import type { AppOptions } from '../../api/control-app.ts'
import { listenTcp, parseTcpAddress } from '../../api/listen-tcp.ts'
import { listenUnix, type Listening } from '../../api/listen-unix.ts'
import type { InstanceConfig } from '../../api/schema/config.ts'
import type { Status } from '../../api/schema/status.ts'
import { createLogger, type Logger } from '../../log.ts'
import { checkSockets } from '../config/socket-group.ts'
import type { Environment } from '../config/environment.ts'
import { descriptorLimit } from '../system/descriptor-limit.ts'
import { inheritedDescriptors } from '../system/descriptor-store.ts'
import { readServiceUnit } from '../system/service-unit.ts'
import type { Instance } from './instance.ts'
import { InstanceControl } from './instance-control.ts'
import { leaveMounts, startMounts, stopMounts } from './instance-life.ts'
import { type Beginning, beginInstance } from './instance-start.ts'
import { connectServiceManager, type ServiceManager } from './service-manager.ts'
import { clearDeadLoops } from './stale-mount.ts'
import { statusText } from './status-text.ts'

const GROUP_MODE = 0o660
const EVERYBODY_MODE = 0o666
/** Of all descriptors each socket may take so much: the rest is for mounts, workers and files, whatever clients do. */
const SHARE_OF_CLIENTS = 1 / 8

/**
 * The daemon of an instance: opens its sockets, mounts, tells systemd, and serves until SIGTERM or SIGINT. SIGHUP reloads
 * the configuration. Resolves when everything has ended. Errors: of the configuration, the sockets, the mounts.
 */
export async function runSheepfsd(name: string, environment: Environment, version: string): Promise<void> {
  const log = createLogger({ name: 'sheepfsd', level: environment.logLevel })
  const manager = connectServiceManager(log)
  try {
    await run({ name, environment, version, log, manager })
  } catch (error) {
    manager.status(`failed: ${errorText(error).replaceAll('\n', '; ')}`)
    throw error
  }
}

interface RunOptions {
  readonly name: string
  readonly environment: Environment
  readonly version: string
  readonly log: Logger
  readonly manager: ServiceManager
}

async function run({ name, environment, version, log, manager }: RunOptions): Promise<void> {
  const inherited = inheritedDescriptors(process.env, process.pid)
  const early = new AbortController()
  const release = onStopSignals(() => {
    if (inherited.size === 0) process.exit() // nothing has begun
    early.abort()
  })
  const beginning = await beginInstance({ name, environment, log, inherited })
  release()
  const { stopTimeoutMs } = environment
  try {
    await new Daemon({ ...beginning, log, manager, version, stopTimeoutMs, early: early.signal }).run()
  } finally {
    await beginning.lock.release()
  }
}

/** Returns what gives the signals back. */
function onStopSignals(stop: () => void): () => void {
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  return () => {
    process.off('SIGTERM', stop)
    process.off('SIGINT', stop)
  }
}

interface DaemonOptions extends Beginning {
  readonly log: Logger
  readonly manager: ServiceManager
  readonly version: string
  readonly stopTimeoutMs: number
  /** Aborted: it was told to stop before it began. */
  readonly early: AbortSignal
}

/** The life of the process around an instance. */
class Daemon {
  readonly #options: DaemonOptions
  readonly #instance: Instance
  readonly #control: InstanceControl
  readonly #log: Logger
  readonly #manager: ServiceManager
  readonly #sockets: Listening[] = []
  #listening: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #told: Status['state'] = 'starting'
  #watchdog: NodeJS.Timeout | undefined

  constructor(options: DaemonOptions) {
    this.#options = options
    this.#instance = options.instance
    this.#control = new InstanceControl(options.instance, {
      version: options.version,
      configFile: options.files.config,
      lacks: options.lacks,
      log: options.log,
    })
    this.#log = options.log
    this.#manager = options.manager
  }

  async run(): Promise<void> {
    const stopped = new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#stopping ??= this.#stop().then(resolve, reject)
      }
      onStopSignals(stop)
      if (this.#options.early.aborted) setImmediate(stop)
    })
    stopped.catch(() => undefined)
    process.on('SIGHUP', () => {
      this.#reload()
    })
    this.#instance.onChange(() => {
      this.#tell()
    })
    try {
      await this.#start()
    } catch (error) {
      if (!this.#stopping) {
        await this.#stop().catch(() => undefined)
        throw error
      }
      this.#log.debug({ err: error }, 'stopped while it started')
    }
    if (!this.#stopping) this.#begin()
    if (!isDeepStrictEqual(this.#instance.config, this.#options.wanted)) this.#reload()
    await stopped
  }

  #reload(): void {
    this.#control.reload({ isDryRun: false }).catch((error: unknown) => {
      this.#log.error(errorText(error))
    })
  }

  /** Who has the sockets is the daemon of the instance: nothing is mounted without them. What is mounted already waits for nothing. */
  async #start(): Promise<void> {
    const served = this.#instance.hasLeft ? startMounts(this.#instance, this.#log) : undefined
    served?.catch(() => undefined) // is heard of below
    this.#listening = this.#listen(this.#instance.config)
    await this.#listening
    await clearDeadLoops(this.#instance.name, (tree) => this.#instance.serves(tree), this.#log)
    await (served ?? startMounts(this.#instance, this.#log))
  }

  async #listen(config: InstanceConfig): Promise<void> {
    // loaded while workers start: whoever uses what is mounted already waits for them, and not for the API
    const { buildControlApp, buildObserverApp } = await import('../../api/control-app.ts')
    const { files, log, version } = this.#options
    const connections = Math.floor((await descriptorLimit()) * SHARE_OF_CLIENTS)
    const options = { supervisor: this.#control, log, version, connections }
    const { socket_group: group, observer_group: observers } = config
    await checkSockets({ ...config, metrics_listen: undefined }, this.#instance.workerAccount, undefined)
    const control = { path: files.controlSocket, mode: GROUP_MODE, group }
    this.#sockets.push(await listenUnix(await buildControlApp(options), control))
    if (config.observer_socket) {
      const mode = observers === undefined ? EVERYBODY_MODE : GROUP_MODE
      const observer = { path: files.observerSocket, mode, group: observers }
      this.#sockets.push(await listenUnix(await buildObserverApp(options), observer))
    }
    if (config.metrics_listen !== undefined) await this.#listenForMetrics(config.metrics_listen, options)
  }

  /** What is mounted already is served on, whoever has taken the address. */
  async #listenForMetrics(text: string, options: AppOptions): Promise<void> {
    const address = parseTcpAddress(text)
    if (address === undefined) return // the configuration was checked
    try {
      const { buildMetricsApp } = await import('../../api/metrics-app.ts')
      this.#sockets.push(await listenTcp(await buildMetricsApp(options), address))
      this.#instance.listensOn = text
    } catch (error) {
      if (!this.#instance.hasLeft) throw error
      this.#log.error(`${errorText(error)}; a restart of the daemon tries again`)
    }
  }

  #begin(): void {
    this.#instance.state = 'running'
    this.#manager.ready()
    this.#manager.status(statusText(this.#instance))
    this.#log.info({ mounts: this.#instance.managed.length }, 'ready')
    const intervalMs = this.#manager.watchdogIntervalMs
    if (intervalMs === undefined) return
    this.#watchdog = setInterval(() => {
      if (this.#instance.managed.every(({ keeper }) => keeper.isAlive)) this.#manager.watchdog()
    }, intervalMs)
  }

  /** Tells systemd what has changed. */
  #tell(): void {
    const { state } = this.#instance
    if (state === 'reloading' && this.#told !== 'reloading') this.#manager.reloading()
    if (state === 'running' && this.#told === 'reloading') this.#manager.ready()
    this.#told = state
    this.#manager.status(statusText(this.#instance))
  }

  async #stop(): Promise<void> {
    this.#log.info('stopping')
    this.#manager.stopping()
    clearInterval(this.#watchdog)
    this.#instance.state = 'stopping'
    try {
      const end = (await this.#isRestart()) ? leaveMounts : stopMounts
      await end(this.#instance, this.#log, this.#options.stopTimeoutMs)
    } finally {
      await this.#listening?.catch(() => undefined) // it may have been told to stop meanwhile
      for (const socket of this.#sockets) await socket.close()
      await this.#instance.saved()
    }
    this.#log.info('stopped')
  }
  /** A successor comes at once, and can serve on. */
  async #isRestart(): Promise<boolean> {
    if (this.#instance.keeping.store.lack !== undefined) return false
    return (await readServiceUnit()).job === 'restart'
  }
}
