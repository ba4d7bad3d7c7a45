import { setTimeout as delay } from 'node:timers/promises'
import { SheepfsError } from '../../errors.ts'
import type { Tree } from '../../tree/node.ts'
import type { Mounted, MountOptions } from '../engine.ts'
import { ConnectionControl } from '../abort-connection.ts'
import { endElsewhere, type CopiedMount } from '../end-elsewhere.ts'
import { findMount, readMountTable } from '../mount-table.ts'
import { MountWatch } from '../mount-watch.ts'
import { detachPath, isRoot, unmountPath } from '../unmount.ts'
import type { NativeBinding } from './binding.ts'
import { createHandlerTable } from './dispatch.ts'
import { startLibfuse, type Libfuse } from './libfuse.ts'
import { libfuseOptions } from './mount-options.ts'
import { Operations } from './operations.ts'
import { checkNativeTexts } from './preflight.ts'

/** How long a mount that somebody else has taken out of the tree may need to end, when nothing of it is in use. */
const ENDING_LIMIT_MS = 1_000

/**
 * Mounts through libfuse and resolves when it answers requests. `options.mountpoint` must be without symbolic links.
 * Errors: not-permitted, name-too-long.
 */
export async function mountNative(binding: NativeBinding, tree: Tree, options: MountOptions): Promise<Mounted> {
  const { mountpoint, log } = options
  const libfuseText = libfuseOptions(options, { root: isRoot() })
  checkNativeTexts({ mountpoint, options: libfuseText })
  const operations = new Operations(tree, options.caching)
  const libfuse = await new Promise<Libfuse>((resolve, reject) => {
    const onInit = (): void => {
      resolve(started)
    }
    const table = createHandlerTable({ binding, operations, log, onInit })
    const started = startLibfuse(binding, { mountpoint, options: libfuseText, table, log })
    const early = new SheepfsError('io', `the mount at "${mountpoint}" ended before it served`)
    started.ended.then(() => {
      reject(early)
    }, reject)
  })
  const minor = (await findMount(mountpoint))?.minor
  if (minor === undefined) throw new SheepfsError('io', `the mount at "${mountpoint}" was unmounted at once`)
  const stopWatching = tree.watch((change) => {
    if (change.kind === 'content') operations.contentChanged(change.node)
  })
  const connection = await ConnectionControl.open(minor)
  const ended = libfuse.ended
    .finally(stopWatching)
    .finally(() => {
      watch.close()
      connection.close()
    })
    .then(() => operations.close())
  const openers = (): readonly number[] => new Array<number>(operations.openCount).fill(0) // libfuse does not tell
  const mount = new NativeMount(options, { ended, copied: { mountpoint, connection, openers } })
  const watch = new MountWatch(mount, log)
  return mount
}

/** A mount that libfuse serves. */
class NativeMount implements Mounted {
  readonly ended: Promise<void>
  readonly #options: MountOptions
  readonly #copied: CopiedMount
  #unmounting: Promise<void> | undefined

  constructor(options: MountOptions, serving: { readonly ended: Promise<void>; readonly copied: CopiedMount }) {
    this.ended = serving.ended
    this.#options = options
    this.#copied = serving.copied
  }

  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount().finally(() => (this.#unmounting = undefined))
    return this.#unmounting
  }

  /** Callers fail at once; `ended` follows when the tree has settled what libfuse had handed to it. */
  async abort(): Promise<void> {
    const { mountpoint, log } = this.#options
    if (!(await this.#copied.connection.abort())) {
      log.warn({ mountpoint }, 'cannot abort without fusectl: open files go on until they are closed')
    }
    if ((await this.#place()) === 'top') await detachPath(mountpoint)
  }

  async isMounted(): Promise<boolean> {
    return (await this.#place()) !== 'gone'
  }

  /** As `KernelMount` has it. */
  async endHidden(): Promise<void> {
    if (!(await this.isMounted())) await endElsewhere(this.#copied)
  }

  async #unmount(): Promise<void> {
    const { mountpoint } = this.#options
    switch (await this.#place()) {
      case 'top':
        await unmountPath(mountpoint).catch(this.#unlessGone)
        await endElsewhere(this.#copied)
        return this.ended
      case 'covered':
        throw new SheepfsError('busy', `cannot unmount "${mountpoint}": something else is mounted over it`)
      case 'gone': {
        if (await endElsewhere(this.#copied)) return this.ended
        const limit = delay(ENDING_LIMIT_MS, 'still in use' as const, { ref: false })
        if ((await Promise.race([this.ended, limit])) === undefined) return
        const message = `"${mountpoint}" was unmounted lazily by somebody else and is still in use`
        throw new SheepfsError('busy', message)
      }
    }
  }

  /** Somebody else may unmount at the same moment. */
  readonly #unlessGone = async (error: unknown): Promise<void> => {
    if ((await this.#place()) !== 'gone') throw error
  }

  async #place(): Promise<'top' | 'covered' | 'gone'> {
    const here = (await readMountTable()).filter((entry) => entry.mountpoint === this.#options.mountpoint)
    const { minor } = this.#copied.connection
    if (here.at(-1)?.minor === minor) return 'top'
    return here.some((entry) => entry.minor === minor) ? 'covered' : 'gone'
  }
}
