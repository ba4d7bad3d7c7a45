import { openersOf, type OpenHandle } from '../../fuse/kernel/open-files.ts'
import type { Logger } from '../../log.ts'
import { endMount, mountOfWorker } from './end-mount.ts'
import { MountedDevice } from './mounted-device.ts'
import { clearStaleMount, takeAway } from './stale-mount.ts'
import type { WorkerClient } from './worker-client.ts'
import type { WorkerSpec } from '../worker-protocol.ts'

/**
 * The mount that workers serve one after the other. With the kernel engine it is a device that outlives them; other
 * engines mount by themselves, and what they mounted dies with the worker.
 */
export class KeptMount {
  /** Volumes that the kernel has open, by fh. */
  readonly handles = new Map<number, OpenHandle>()
  readonly #log: Logger
  #device: MountedDevice | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  /** Its device, for a worker to inherit; undefined where the worker mounts. */
  get deviceFd(): number | undefined {
    return this.#device?.fd
  }

  /** Minor number of its st_dev; undefined where the worker mounts, and while nothing is mounted. */
  get minor(): number | undefined {
    return this.#device?.mount.minor
  }

  /** Mounts, in place of what a dead predecessor of this daemon has left. Errors: those of mounting. */
  async make(spec: WorkerSpec): Promise<void> {
    await clearStaleMount(spec, this.#log)
    if (spec.engine === 'kernel') this.#device = await this.#open(spec)
  }

  /** What the kernel takes only once a worker has answered INIT. */
  async tune(): Promise<void> {
    await this.#device?.mount.raiseReadAhead(this.#log)
  }

  /**
   * Makes it ready for another worker: as it is where the kernel can send requests again, otherwise it is made anew. True
   * when the successor serves another mount than its predecessor. Errors: those of mounting.
   */
  async passOn(spec: WorkerSpec, { canResend }: { canResend: boolean }): Promise<boolean> {
    if (spec.engine !== 'kernel') {
      await this.sweep(spec)
      return true
    }
    if (this.#device && canResend) return false
    if (this.#device) {
      this.#log.warn('this kernel cannot send requests again (Linux 6.9 can): the mount is made anew, open files fail')
      await this.#device.mount.abort()
      await this.drop()
    }
    this.#device = await this.#open(spec)
    return true
  }

  #open(spec: WorkerSpec): Promise<MountedDevice> {
    return MountedDevice.open(spec, { openers: () => openersOf(this.handles), log: this.#log })
  }

  /** Whether it is still in the mount table; not of what a worker mounted. */
  async isMounted(): Promise<boolean> {
    return (await this.#device?.mount.isMounted()) ?? false
  }

  /** Unmounts what `worker` serves. Errors: busy without `force`. */
  async end(worker: WorkerClient | undefined, { force }: { force: boolean }): Promise<void> {
    const mount = this.#device?.mount ?? (worker && mountOfWorker(worker))
    if (mount) await endMount(mount, { force, log: this.#log })
  }

  /** Makes everything in flight fail, and all that follows; not in what a worker mounted. Errors: not-permitted. */
  async abort(): Promise<void> {
    await this.#device?.mount.abort()
  }

  /** Takes away what an engine that mounts by itself has left behind when its worker died. */
  async sweep(spec: WorkerSpec): Promise<void> {
    if (spec.engine === 'kernel') return
    await takeAway(spec).catch((error: unknown) => {
      this.#log.warn({ err: error }, 'the mount of the dead worker cannot be taken away')
    })
  }

  /** Lets go of the device of a mount that is over. */
  async drop(): Promise<void> {
    const device = this.#device
    this.#device = undefined
    this.handles.clear()
    await device?.close()
  }
}
