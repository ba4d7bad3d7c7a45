import { type KernelMount, mountDevice } from '../../fuse/kernel/kernel-mount.ts'
import { closeDevice, openDevice } from '../../fuse/kernel/open-device.ts'
import type { Logger } from '../../log.ts'
import type { WorkerSpec } from '../worker-protocol.ts'

/** A FUSE device that is mounted, for workers to serve one after the other. */
export class MountedDevice {
  readonly fd: number
  readonly mount: KernelMount

  private constructor(fd: number, mount: KernelMount) {
    this.fd = fd
    this.mount = mount
  }

  /** Errors: those of mounting; nothing is left then. */
  static async open(
    { mountpoint, mount: source, allowOther }: WorkerSpec,
    { openers, log }: { readonly openers: () => readonly number[]; readonly log: Logger },
  ): Promise<MountedDevice> {
    const fd = await openDevice()
    try {
      const mount = await mountDevice(fd, { mountpoint, source, allowOther, openers })
      mount.watch(log)
      return new MountedDevice(fd, mount)
    } catch (error) {
      closeDevice(fd)
      throw error
    }
  }

  /** The mount is over when its worker is gone too. */
  async close(): Promise<void> {
    closeDevice(this.fd)
    await this.mount.detach()
    this.mount.close()
  }
}
