import { mkdir } from 'node:fs/promises'
import { errorText, isSheepfsError, SheepfsError } from '../../errors.ts'
import { buildControlApp, buildObserverApp } from '../../api/control-app.ts'
import { listenUnix, type Listening } from '../../api/listen-unix.ts'
import type { InstanceConfig } from '../../api/schema/config.ts'
import type { Status } from '../../api/schema/status.ts'
import { createLogger, type Logger } from '../../log.ts'
import { readConfig } from '../config/config.ts'
import { checkSocketGroup } from '../config/socket-group.ts'
import { findWorkerAccount, type WorkerAccount } from '../config/worker-account.ts'
import { instanceFiles, type Environment, type InstanceFiles } from '../config/environment.ts'
import { Instance } from './instance.ts'
import { InstanceControl } from './instance-control.ts'
import { startMounts, stopMounts } from './instance-life.ts'
import { readSavedState, SavedStateFile } from '../config/saved-state.ts'
import { connectServiceManager, type ServiceManager } from './service-manager.ts'
import { statusText } from './status-text.ts'

const CONTROL_MODE = 0o660
const OBSERVER_MODE = 0o666

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
  const release = onStopSignals(() => {
    process.exit() // nothing has begun
  })
  for (const unknown of environment.unknown) log.warn(`the environment variable ${unknown} means nothing`)
  const files = instanceFiles(name, environment)
  const config = await readConfig({ file: files.config, instance: name }).catch((error: unknown) => {
    // as one that is wrong: trying again does not mend it
    throw isSheepfsError(error, 'not-found') ? new SheepfsError('invalid', error.message, { cause: error }) : error
  })
  await mkdir(files.directory, { recursive: true, mode: 0o755 })
  const instance = new Instance({
    name,
    config,
    saved: await readSavedState(files.state, log),
    stateFile: new SavedStateFile(files.state, log),
    workerAccount: await accountOf(environment, log),
    logLevel: environment.logLevel,
    log,
  })
  release()
  await new Daemon({ instance, files, log, manager, version, stopTimeoutMs: environment.stopTimeoutMs }).run()
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

/** Whom workers become: only root can become somebody else. */
async function accountOf({ workerUser }: Environment, log: Logger): Promise<WorkerAccount | undefined> {
  if (process.geteuid?.() !== 0) return undefined
  const account = await findWorkerAccount(workerUser)
  if (account.uid === 0) log.warn('SHEEPFS_WORKER_USER is root: who takes a worker over has this host')
  return account
}

interface DaemonOptions {
  readonly instance: Instance
  readonly files: InstanceFiles
  readonly log: Logger
  readonly manager: ServiceManager
  readonly version: string
  readonly stopTimeoutMs: number
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
      log: options.log,
    })
    this.#log = options.log
    this.#manager = options.manager
  }

  async run(): Promise<void> {
    const stopped = new Promise<void>((resolve, reject) => {
      onStopSignals(() => {
        this.#stopping ??= this.#stop().then(resolve, reject)
      })
    })
    stopped.catch(() => undefined)
    process.on('SIGHUP', () => {
      this.#control.reload({ isDryRun: false }).catch((error: unknown) => {
        this.#log.error(errorText(error))
      })
    })
    this.#instance.onChange(() => {
      this.#tell()
    })
    try {
      this.#listening = this.#listen(this.#instance.config)
      await this.#listening
      await startMounts(this.#instance, this.#log)
    } catch (error) {
      if (!this.#stopping) {
        await this.#stop().catch(() => undefined)
        throw error
      }
      this.#log.debug({ err: error }, 'stopped while it started')
    }
    if (!this.#stopping) this.#begin()
    await stopped
  }

  async #listen(config: InstanceConfig): Promise<void> {
    const { files, log, version } = this.#options
    const options = { supervisor: this.#control, log, version }
    const group = config.socket_group
    await checkSocketGroup(group, this.#instance.workerAccount)
    const control = { path: files.controlSocket, mode: CONTROL_MODE, group }
    this.#sockets.push(await listenUnix(await buildControlApp(options), control))
    if (!config.observer_socket) return
    const observer = { path: files.observerSocket, mode: OBSERVER_MODE }
    this.#sockets.push(await listenUnix(await buildObserverApp(options), observer))
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
      await stopMounts(this.#instance, this.#log, this.#options.stopTimeoutMs)
    } finally {
      await this.#listening?.catch(() => undefined) // it may have been told to stop meanwhile
      for (const socket of this.#sockets) await socket.close()
      await this.#instance.saved()
    }
    this.#log.info('stopped')
  }
}
