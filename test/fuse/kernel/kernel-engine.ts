import type { Engine, Mounted, MountOptions } from '../../../src/fuse/engine.ts'
import { mountDevice, type KernelMount } from '../../../src/fuse/kernel/kernel-mount.ts'
import { closeDevice, openDevice, serveDevice } from '../../../src/fuse/kernel/open-device.ts'
import { openersOf, type HandleKeeper, type OpenHandle } from '../../../src/fuse/kernel/open-files.ts'
import { Session } from '../../../src/fuse/kernel/session.ts'
import type { Tree } from '../../../src/tree/node.ts'

/** Mounts and serves in one process, where the programs have a supervisor and a worker for it. */
export const kernelEngine: Engine = {
  name: 'kernel',

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

/** Keeps what is open in `handles`, by fh. */
function keeperOf(handles: Map<number, OpenHandle>): HandleKeeper {
  return {
    opened: (handle) => handles.set(handle.fh, handle),
    closed: ({ fh }) => handles.delete(fh),
  }
}
