import type { Tree } from '../../tree/node.ts'
import type { Engine, Mounted, MountOptions } from '../engine.ts'
import { mountDevice, type KernelMount } from './kernel-mount.ts'
import { closeDevice, openDevice, serveDevice } from './open-device.ts'
import { keeperOf, openersOf, type OpenHandle } from './open-files.ts'
import { Session } from './session.ts'

/** Speaks the kernel's protocol over /dev/fuse, in one process that mounts and serves. */
export const kernelEngine: Engine = {
  name: 'kernel',
  capabilities: { switchCaching: true, writeBack: true, discard: true },

  async mount(tree: Tree, options: MountOptions): Promise<Mounted> {
    const fd = await openDevice()
    const handles = new Map<number, OpenHandle>()
    let mount: KernelMount | undefined
    try {
      mount = await mountDevice(fd, { ...options, openers: () => openersOf(handles) })
      const { log, writeBack } = options
      const device = await serveDevice(fd, log)
      const session = new Session({ tree, device, log, writeBack, generation: 0, handleKeeper: keeperOf(handles) })
      session.start()
      await session.ready
      await mount.raiseReadAhead(log)
      mount.watch(log)
      return mounted(mount, session, fd)
    } catch (error) {
      closeDevice(fd)
      await mount?.detach()
      mount?.close()
      throw error
    }
  },
}

function mounted(mount: KernelMount, session: Session, fd: number): Mounted {
  const ended = session.ended
    .finally(() => {
      closeDevice(fd)
    })
    .finally(() => mount.detach())
    .finally(() => {
      mount.close()
    })
    .then(() => undefined)
  ended.catch(() => undefined) // whoever waits for it sees the failure
  return {
    ended,
    minor: mount.minor,
    async unmount() {
      await mount.unmount()
      await ended
    },
    async abort() {
      await mount.abort()
      await ended
    },
  }
}
