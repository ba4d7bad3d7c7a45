import { closeSync, openSync, rmSync } from 'node:fs'
import { errorText, isSheepfsError, SheepfsError } from '../../errors.ts'
import { KernelMount, mountDevice } from '../../fuse/kernel/kernel-mount.ts'
import { closeDevice, openDevice } from '../../fuse/kernel/open-device.ts'
import type { Logger } from '../../log.ts'
import type { MountDevice } from '../mount/mount-performer.ts'
import { MountRecord } from '../mount/mount-record.ts'
import { recordPath } from '../mount/record-files.ts'
import { findLoopsOn, takeDown } from '../system/dead-mount.ts'
import type { DescriptorStore } from '../system/descriptor-store.ts'
import { type LeftMount, storeKey } from './left-mounts.ts'
import type { MountWorkers } from './mount-workers.ts'
import { pause } from './pause.ts'
import { clearStaleMount, takeAway } from './stale-mount.ts'
import type { WorkerFds } from './worker-client.ts'

/** How long an end by force waits for an orderly one. */
const FORCE_LIMIT_MS = 3000

/** A FUSE device that is mounted, and what it is kept under in the store. */
interface Mounted {
  readonly fd: number
  readonly mount: KernelMount
  readonly key: string
  readonly isKept: boolean
}

/** Where mounts are kept for a successor of this process. */
export interface Keeping {
  readonly store: DescriptorStore
  /** Where there is room for records of mounts, in memory. */
  readonly directory: string
}

export interface KeptMountOptions {
  readonly log: Logger
  /** undefined: nowhere, nor does anything prove that this process is the only one that has mounts of that name. */
  readonly keeping: Keeping | undefined
  /** Mounted by a predecessor of this process. */
  readonly left: LeftMount | undefined
}

/** What can be unmounted: by this process, or by the worker that mounted. */
interface Endable {
  unmount(): Promise<void>
  abort(): Promise<void>
}

/**
 * The mount that workers serve one after the other. With the kernel engine it is a device that outlives them; other
 * engines mount by themselves, and what they mounted dies with the worker.
 */
export class KeptMount implements MountDevice {
  readonly #workers: MountWorkers
  readonly #log: Logger
  readonly #keeping: Keeping | undefined
  #recordFd: number | undefined
  /** The record is one; otherwise what is written there is lost. */
  #isRecorded = false
  /** What is mounted there is ours: a worker has served it. */
  #hasServed = false
  #mounted: Mounted | undefined

  constructor(workers: MountWorkers, options: KeptMountOptions) {
    this.#workers = workers
    this.#log = options.log
    this.#keeping = options.keeping
    if (options.left) this.#adopt(options.left)
  }

  /** It outlives this process. */
  get isKept(): boolean {
    return this.#mounted?.isKept === true
  }

  /** For a worker to inherit: its device, unless the worker mounts, and its record. */
  get fds(): WorkerFds {
    this.#recordFd ??= this.#openRecord()
    return { device: this.#mounted?.fd, record: this.#recordFd }
  }

  /** Minor number of its st_dev; undefined where the worker mounts, and while nothing is mounted. */
  get minor(): number | undefined {
    return this.#mounted?.mount.minor
  }

  /** In place of what a dead predecessor of this daemon has left. */
  async make(): Promise<boolean> {
    const { spec } = this.#workers
    if (this.#keeping) await clearStaleMount(spec, this.#log)
    if (spec.engine !== 'kernel') return false
    await this.#mount()
    return true
  }

  async renew(canSucceed: boolean): Promise<void> {
    if (this.#workers.spec.engine !== 'kernel') {
      await this.#sweep()
      this.#workers.forgetMount()
      return
    }
    if (this.#mounted && canSucceed) return
    if (this.#mounted) {
      this.#log.warn('this kernel cannot send requests again (Linux 6.9 can): the mount is made anew, open files fail')
      await this.abort()
      await this.drop()
    }
    await this.#mount()
    this.#workers.forgetMount()
  }

  /** What the kernel takes only once a worker has answered INIT. */
  async tune(): Promise<void> {
    this.#hasServed = true
    await this.#mounted?.mount.raiseReadAhead(this.#log)
  }

  /** False also for what a worker mounted: that has gone with it. */
  async isMounted(): Promise<boolean> {
    return (await this.#mounted?.mount.isMounted()) ?? false
  }

  async unmount(force: boolean): Promise<void> {
    const { worker } = this.#workers
    const ofWorker = worker && { unmount: () => worker.call('unmount'), abort: () => worker.call('abort') }
    const mount: Endable | undefined = this.#mounted?.mount ?? ofWorker
    if (force) await this.#unmountByForce(mount)
    else await mount?.unmount()
  }

  /** Not of what a worker mounted, which ends with it. */
  async abort(): Promise<void> {
    if (!this.#mounted) return
    await this.#end(this.#mounted.mount).catch((error: unknown) => {
      this.#log.error(`what waits in the mount may wait for ever: ${errorText(error)}`)
    })
  }

  async drop(): Promise<void> {
    const mounted = this.#mounted
    this.#mounted = undefined
    this.#workers.handles.clear()
    await this.#sweep()
    this.#closeRecord()
    if (!mounted) return
    this.#keeping?.store.drop(mounted.key)
    closeDevice(mounted.fd)
    const isDead = await mounted.mount.isMounted() // somebody else has aborted it
    const loops = isDead ? await findLoopsOn(mounted.mount).catch(() => []) : []
    for (const loop of loops) await takeDown(loop, this.#log)
    await mounted.mount.detach().catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the mount has ended, and cannot be taken out of sight')
    })
    mounted.mount.close()
  }

  /** Errors: those of mounting; nothing is left then. */
  async #mount(): Promise<void> {
    const { mountpoint, mount: source, allowOther } = this.#workers.spec
    const fd = await openDevice()
    try {
      const openers = (): readonly number[] => this.#workers.openers()
      const mount = await mountDevice(fd, { mountpoint, source, allowOther, openers })
      mount.watch(this.#log)
      const key = storeKey(source, mount.minor)
      this.#mounted = { fd, mount, key, isKept: this.#keep(key, fd) }
    } catch (error) {
      closeDevice(fd)
      throw error
    }
  }

  #adopt({ name, key, deviceFd: fd, recordFd, entry, connection }: LeftMount): void {
    const mount = new KernelMount(entry, connection, () => this.#workers.openers())
    this.#recordFd = recordFd
    this.#isRecorded = true
    this.#mounted = { fd, mount, key, isKept: true }
    mount.watch(this.#log)
    this.#log.info({ mountpoint: entry.mountpoint }, `mount ${name} is taken over as it is`)
  }

  /** From here on it outlives this process, where anything does. */
  #keep(key: string, fd: number): boolean {
    const store = this.#keeping?.store
    const { record } = this.fds
    if (!store || store.lack !== undefined || record === undefined || !this.#isRecorded) return false
    new MountRecord(record).begin(this.#workers.beginning())
    store.keep(key, [fd, record])
    return true
  }

  /** Only root, and who was given it, can read or change it. */
  #openRecord(): number {
    if (!this.#keeping) return openSync('/dev/null', 'r+')
    const path = recordPath(this.#keeping.directory, this.#workers.spec.mount)
    try {
      rmSync(path, { force: true })
      const fd = openSync(path, 'wx+', 0o600)
      this.#isRecorded = true
      return fd
    } catch (error) {
      this.#log.error({ err: error }, `${path} cannot be made: the mount ends with this process`)
      return openSync('/dev/null', 'r+')
    }
  }

  #closeRecord(): void {
    if (this.#keeping && this.#isRecorded) {
      const path = recordPath(this.#keeping.directory, this.#workers.spec.mount)
      rmSync(path, { force: true }) // one that an earlier version made has no name
    }
    if (this.#recordFd !== undefined) closeSync(this.#recordFd)
    this.#recordFd = undefined
    this.#isRecorded = false
  }

  /** What cannot be unmounted in order is aborted. */
  async #unmountByForce(mount: Endable | undefined): Promise<void> {
    const late = new SheepfsError('timeout', `not unmounted within ${FORCE_LIMIT_MS / 1000} s`)
    try {
      await Promise.race([mount?.unmount(), pause(FORCE_LIMIT_MS).then(() => Promise.reject(late))])
    } catch (error) {
      if (!isSheepfsError(error)) throw error
      this.#log.warn(`ended by force: ${error.message}`)
      if (mount) await this.#end(mount)
    }
  }

  /** Aborts it, and takes down what is on its volumes, which is dead from then on. */
  async #end(mount: Endable): Promise<void> {
    const loops = this.#mounted ? await findLoopsOn(this.#mounted.mount).catch(() => []) : []
    await mount.abort()
    for (const loop of loops) await takeDown(loop, this.#log)
  }

  /** Takes away what an engine that mounts by itself has left behind when its worker died. */
  async #sweep(): Promise<void> {
    const { spec } = this.#workers
    if (spec.engine === 'kernel' || !(this.#keeping || this.#hasServed)) return
    await takeAway(spec, this.#log).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the mount of the dead worker cannot be taken away')
    })
  }
}
