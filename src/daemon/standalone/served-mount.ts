import type { MountConfig } from '../../api/schema/config.ts'
import { errorText, SheepfsError } from '../../errors.ts'
import type { EngineName } from '../../fuse/engine.ts'
import { deferred } from '../../fuse/kernel/deferred.ts'
import type { Logger, LogLevel } from '../../log.ts'
import { addressText, type Address } from '../../sheep/address.ts'
import type { WorkerAccount } from '../config/worker-account.ts'
import { ownAccount } from '../control-owner.ts'
import { ManagedMount } from '../supervisor/managed-mount.ts'

/** What a mount shall be. */
export interface MountSpec {
  readonly addresses: readonly Address[]
  /** As `checkMountpoint` gives it. */
  readonly mountpoint: string
  readonly engine: EngineName
  readonly pageCache: boolean
  readonly objectCache: boolean
  readonly allowOther: boolean
  /** Attached from the start, as `VDI`, `VDI@TAG` or `VDI@ID`. */
  readonly volumes: readonly string[]
  /** Take the locks of `volumes` from whoever has them. */
  readonly breakLock: boolean
  /** Shown by mount(8). */
  readonly source: string
  /** Whom the worker becomes; undefined: it stays what this process is. */
  readonly account: WorkerAccount | undefined
  readonly logLevel: LogLevel
  readonly log: Logger
}

/** A cluster's tree, mounted and supervised by this process, and served by a worker of it. */
export class ServedMount {
  readonly mountpoint: string
  readonly #spec: MountSpec
  readonly #mount: ManagedMount
  readonly #ended = deferred<undefined>()
  #isGivenUp = false

  constructor(spec: MountSpec) {
    this.#spec = spec
    this.mountpoint = spec.mountpoint
    this.#mount = new ManagedMount({
      instance: '',
      config: toConfig(spec),
      engine: spec.engine,
      isConfigured: true,
      volumes: [],
      keeping: undefined,
      workerAccount: spec.account,
      logLevel: spec.logLevel,
      log: spec.log,
      emit: () => undefined,
      onChange: () => {
        this.#look()
      },
    })
    this.#ended.promise.catch(() => undefined) // whoever waits for it sees the failure
  }

  /** Resolves when the mount serves requests; otherwise nothing is left. Errors: of the mount, the cluster and VDIs. */
  async start(): Promise<void> {
    const { volumes, breakLock, log } = this.#spec
    const caller = { waits: false, gone: new AbortController().signal }
    try {
      await this.#mount.keeper.start()
      await Promise.all(
        volumes.map((name) => this.#mount.ask(caller, 'attach', name, breakLock ? { break_lock: true } : {})),
      )
    } catch (error) {
      await this.abort().catch((cause: unknown) => {
        log.error({ err: cause }, 'a volume could not be closed')
      })
      throw error
    }
  }

  /**
   * Resolves when the mount has ended, by `unmount`, `abort` or umount(8), and its volumes are closed. Errors: no worker can
   * serve it any more; it has ended then.
   */
  ended(): Promise<undefined> {
    return this.#ended.promise
  }

  /** Unmounts, also what does not serve yet. Errors: busy, naming who holds it; the mount goes on then. */
  async unmount(): Promise<void> {
    await this.#mount.kernelKnowsSizes() // whoever tells it has a file open
    await this.#mount.keeper.stop({ force: false })
  }

  /** Ends the mount now; what is in flight fails. */
  abort(): Promise<void> {
    return this.#mount.keeper.stop({ force: true })
  }

  #look(): void {
    const { state, minor, isStarted, reason } = this.#mount.keeper
    if (state === 'ended' && !this.#isGivenUp) this.#ended.resolve(undefined)
    // a mount that is there is served again and again; what was lost with its worker is not to be mounted again
    if (state === 'failed' && isStarted && minor === undefined && !this.#isGivenUp) this.#giveUp(reason)
  }

  #giveUp(reason = 'it cannot be served'): void {
    this.#isGivenUp = true
    const error = new SheepfsError('io', `the mount at "${this.mountpoint}" has ended: ${reason}`)
    this.abort().then(
      () => {
        this.#ended.reject(error)
      },
      (cause: unknown) => {
        this.#spec.log.error(errorText(cause))
        this.#ended.reject(error)
      },
    )
  }
}

function toConfig(spec: MountSpec): MountConfig {
  const { uid, gid } = ownAccount()
  return {
    name: spec.source,
    mountpoint: spec.mountpoint,
    sheep: spec.addresses.map(addressText),
    engine: spec.engine,
    page_cache: spec.pageCache,
    object_cache: spec.objectCache,
    write_back: true,
    networks: [],
    volumes: [],
    devices: [],
    allow_other: spec.allowOther,
    uid,
    gid,
    mode: '0600',
    io_timeout: 'forever',
  }
}
