import { errorText, isSheepfsError, SheepfsError } from '../../errors.ts'
import { type KernelMount, mountDevice } from '../../fuse/kernel/kernel-mount.ts'
import { closeDevice, openDevice } from '../../fuse/kernel/open-device.ts'
import type { Logger } from '../../log.ts'
import type { MountDevice } from '../mount/mount-performer.ts'
import type { MountWorkers } from './mount-workers.ts'
import { pause } from './pause.ts'
import { clearStaleMount, takeAway } from './stale-mount.ts'

/** How long an end by force waits for an orderly one. */
const FORCE_LIMIT_MS = 3000

/** A FUSE device that is mounted. */
interface Mounted {
  readonly fd: number
  readonly mount: KernelMount
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
  #mounted: Mounted | undefined

  constructor(workers: MountWorkers, log: Logger) {
    this.#workers = workers
    this.#log = log
  }

  /** Its device, for a worker to inherit; undefined where the worker mounts. */
  get deviceFd(): number | undefined {
    return this.#mounted?.fd
  }

  /** Minor number of its st_dev; undefined where the worker mounts, and while nothing is mounted. */
  get minor(): number | undefined {
    return this.#mounted?.mount.minor
  }

  /** In place of what a dead predecessor of this daemon has left. */
  async make(): Promise<boolean> {
    const { spec } = this.#workers
    await clearStaleMount(spec, this.#log)
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
    await this.#mounted?.mount.abort().catch((error: unknown) => {
      this.#log.error(`what waits in the mount may wait for ever: ${errorText(error)}`)
    })
  }

  async drop(): Promise<void> {
    const mounted = this.#mounted
    this.#mounted = undefined
    this.#workers.handles.clear()
    await this.#sweep()
    if (!mounted) return
    closeDevice(mounted.fd)
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
      this.#mounted = { fd, mount }
    } catch (error) {
      closeDevice(fd)
      throw error
    }
  }

  /** What cannot be unmounted in order is aborted. */
  async #unmountByForce(mount: Endable | undefined): Promise<void> {
    const late = new SheepfsError('timeout', `not unmounted within ${FORCE_LIMIT_MS / 1000} s`)
    try {
      await Promise.race([mount?.unmount(), pause(FORCE_LIMIT_MS).then(() => Promise.reject(late))])
    } catch (error) {
      if (!isSheepfsError(error)) throw error
      this.#log.warn(`ended by force: ${error.message}`)
      await mount?.abort()
    }
  }

  /** Takes away what an engine that mounts by itself has left behind when its worker died. */
  async #sweep(): Promise<void> {
    const { spec } = this.#workers
    if (spec.engine === 'kernel') return
    await takeAway(spec).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the mount of the dead worker cannot be taken away')
    })
  }
}
