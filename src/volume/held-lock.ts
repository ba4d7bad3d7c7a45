import type { Logger } from '../log.ts'
import type { Cluster } from '../sheep/cluster.ts'
import { vdiText } from '../sheep/vdi-lookup.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'
import { acquireVdiLock, releaseVdiLock, type VdiLock } from './vdi-lock.ts'

/**
 * The lock of a volume that may be written to. A lock belongs to an inode, not to a name: while the volume goes over to
 * another inode it holds two.
 */
export class HeldLock {
  readonly #cluster: Cluster
  readonly #log: Logger
  readonly #onChange: () => void
  #present: VdiLock
  /** Taken, and going over to its inode has not come to an end. */
  #next: VdiLock | undefined

  constructor(present: VdiLock, options: { cluster: Cluster; log: Logger; onChange?: (() => void) | undefined }) {
    this.#present = present
    this.#cluster = options.cluster
    this.#log = options.log
    this.#onChange = options.onChange ?? (() => undefined)
  }

  /** The sheep that holds it, as the cluster names it; undefined where the cluster keeps no locks. */
  get owner(): string | undefined {
    return this.#present.owner
  }

  /** Takes the lock of the inode that the name means now, and resolves with its vid. Errors: locked, not-found. */
  async acquireNext({ name }: VdiSpec): Promise<number> {
    const former = this.#next
    const ownOwners = former?.owner === undefined ? [] : [former.owner]
    this.#next = await acquireVdiLock(this.#cluster, { name }, { ownOwners })
    if (former && former.vid !== this.#next.vid) await releaseVdiLock(this.#cluster, former)
    return this.#next.vid
  }

  /** Gives that one back: its inode is another already. */
  async releaseNext(): Promise<void> {
    const next = this.#next
    if (next) await releaseVdiLock(this.#cluster, next)
    this.#next = undefined
  }

  /** The volume works on that inode from now on. */
  async goOver({ name }: VdiSpec): Promise<void> {
    const former = this.#present
    this.#present = this.#next ?? former
    this.#next = undefined
    this.#onChange()
    await releaseVdiLock(this.#cluster, former).catch((error: unknown) => {
      this.#log.warn({ err: error }, `${vdiText({ name })}: the lock of the snapshot could not be released`)
    })
  }

  /** Gives back all that is held. */
  async release(): Promise<void> {
    try {
      await this.releaseNext()
    } finally {
      await releaseVdiLock(this.#cluster, this.#present)
    }
  }
}
