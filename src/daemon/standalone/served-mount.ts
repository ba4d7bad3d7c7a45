import { type Engine, type Mounted, requireCapability } from '../../fuse/engine.ts'
import { checkMountpoint } from '../../fuse/mountpoint.ts'
import type { Logger } from '../../log.ts'
import type { Address } from '../../sheep/address.ts'
import { Cluster } from '../../sheep/cluster.ts'
import { ClusterTree } from '../../tree/cluster-tree.ts'
import type { TreeChange } from '../../tree/node.ts'
import type { VolumeFile } from '../../tree/volume-file.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { openVolume } from '../../volume/open-volume.ts'
import { factsOf } from '../../tree/cluster-facts.ts'
import { ownAccount } from '../control-owner.ts'
import { KernelAttributes } from '../kernel-attributes.ts'
import { realWorld } from '../real-world.ts'

/** What a mount shall be. */
export interface MountSpec {
  readonly addresses: readonly Address[]
  readonly mountpoint: string
  readonly engine: Engine
  readonly pageCache: boolean
  readonly objectCache: boolean
  readonly allowOther: boolean
  /** Attached from the start, as `VDI`, `VDI@TAG` or `VDI@ID`. */
  readonly volumes: readonly string[]
  /** Take the locks of `volumes` from whoever has them. */
  readonly breakLock: boolean
  /** Shown by mount(8). */
  readonly source: string
  readonly log: Logger
}

/** Once the service is told to stop, the cluster is waited for only as long as this. */
const STOP_IO_TIMEOUT_MS = 10_000

/** A cluster's tree, mounted and served by this process. */
export class ServedMount {
  readonly mountpoint: string
  readonly #cluster: Cluster
  readonly #tree: ClusterTree
  readonly #mounted: Mounted
  readonly #kernel: KernelAttributes

  private constructor(spec: MountSpec, cluster: Cluster, tree: ClusterTree, mounted: Mounted) {
    this.mountpoint = spec.mountpoint
    this.#cluster = cluster
    this.#tree = tree
    this.#mounted = mounted
    const told = { mountpoint: spec.mountpoint, minor: mounted.minor }
    this.#kernel = new KernelAttributes(() => told, spec.log)
    if (spec.engine.capabilities.writeBack && spec.pageCache) {
      tree.watch((change) => {
        this.#tellKernel(change)
      })
    }
  }

  /** What a kernel that owns sizes and times does not know. */
  #tellKernel(change: TreeChange): void {
    const find = (node: number): VolumeFile | undefined => this.#tree.attachments.node(node)
    if (change.kind === 'attributes') {
      const file = find(change.node)
      if (file?.isDetached === false) this.#kernel.setSize(file.name, change.size)
    }
    if (change.kind !== 'times') return
    for (const { node, untoldMs } of change.nodes) {
      const file = find(node)
      if (file?.isDetached === false && untoldMs !== undefined) this.#kernel.setModified(file.name, untoldMs)
    }
  }

  /** Resolves when the mount serves requests; otherwise nothing is left. Errors: of the cluster, VDIs and the engine. */
  static async start(spec: MountSpec): Promise<ServedMount> {
    const mountpoint = await checkMountpoint(spec.mountpoint)
    const cluster = new Cluster({
      world: realWorld,
      addresses: spec.addresses,
      objectCache: spec.objectCache,
      log: spec.log,
    })
    const tree = newTree(cluster, spec)
    try {
      await cluster.open()
      await Promise.all(
        spec.volumes.map((name) => tree.attachments.attach(parseVolumeName(name), { breakLock: spec.breakLock })),
      )
      const mounted = await spec.engine.mount(tree, {
        mountpoint,
        source: spec.source,
        allowOther: spec.allowOther,
        caching: spec.pageCache ? 'cached' : 'direct',
        writeBack: spec.pageCache,
        log: spec.log,
      })
      tree.start()
      return new ServedMount({ ...spec, mountpoint }, cluster, tree, mounted)
    } catch (error) {
      await tree.close().catch((cause: unknown) => {
        spec.log.error({ err: cause }, 'a volume could not be closed')
      })
      cluster.close()
      throw error
    }
  }

  /** Resolves when the mount has ended, by `stop` or by umount(8), and its volumes are closed. */
  async ended(): Promise<void> {
    try {
      await this.#mounted.ended
    } finally {
      this.#kernel.stop()
      this.#cluster.ioTimeoutMs = Math.min(this.#cluster.ioTimeoutMs, STOP_IO_TIMEOUT_MS)
      await this.#tree.close().finally(() => {
        this.#cluster.close()
      })
    }
  }

  /** Unmounts. Errors: busy, naming who holds it; the mount goes on then. */
  async unmount(): Promise<void> {
    await this.#kernel.whenTold() // whoever tells it has a file open
    await this.#mounted.unmount()
  }

  /** Ends the mount now; what is in flight fails. */
  abort(): Promise<void> {
    return this.#mounted.abort()
  }
}

function newTree(cluster: Cluster, spec: MountSpec): ClusterTree {
  return new ClusterTree({
    clock: cluster.clock,
    facts: factsOf(cluster),
    openVolume: (vdi, how) => openVolume(cluster, vdi, { ...how, log: spec.log }),
    owner: ownAccount(),
    cache: {
      pageCache: spec.pageCache,
      beforePageCache: () => {
        requireCapability(spec.engine, 'switchCaching')
      },
    },
    log: spec.log,
  })
}
