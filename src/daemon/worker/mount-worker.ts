import type { ClusterInfo, Node } from '../../api/schema/cluster.ts'
import type { CloneCreate, Resize, SnapshotCreate, Vdi, VdiCreate } from '../../api/schema/vdi.ts'
import type { DetachOptions } from '../../api/supervisor.ts'
import type { Volume, VolumePut } from '../../api/schema/volume.ts'
import { SheepfsError } from '../../errors.ts'
import type { Mounted } from '../../fuse/engine.ts'
import type { Address } from '../../sheep/address.ts'
import type { VolumeFile } from '../../tree/volume-file.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { ClusterService } from './cluster-service.ts'
import { MountCore, type WorkerSurroundings } from './mount-core.ts'
import { presentVolume } from './present-volume.ts'
import type { WorkerMethods, WorkerMetrics, WorkerReport, WorkerStart } from '../worker-protocol.ts'

/** What a supervisor can ask of a worker, done on the mount it serves. */
export class MountWorker implements WorkerMethods {
  readonly #core: MountCore
  readonly #surroundings: WorkerSurroundings
  readonly #service: ClusterService

  private constructor(core: MountCore, surroundings: WorkerSurroundings) {
    this.#core = core
    this.#surroundings = surroundings
    const { attachments } = core.tree
    this.#service = new ClusterService(core.cluster, (volume) => attachments.find(volume) !== undefined)
  }

  /** Resolves when the mount serves requests. Errors: of the cluster, the volumes and the engine. */
  static async start(start: WorkerStart, surroundings: WorkerSurroundings): Promise<MountWorker> {
    return new MountWorker(await MountCore.open(start, surroundings), surroundings)
  }

  /** Resolves when the mount has ended or was handed over. */
  ended(): Promise<void> {
    return this.#core.ended()
  }

  /** As `MountCore` has it. */
  abandon(): Promise<void> {
    return this.#core.abandon()
  }

  ping(): Promise<void> {
    return Promise.resolve()
  }

  report(): Promise<WorkerReport> {
    const openFiles = this.#core.tree.attachments.list().reduce((sum, file) => sum + file.openCount, 0)
    return Promise.resolve({ openFiles, gateway: this.#core.cluster.homeAddress })
  }

  async metrics(): Promise<WorkerMetrics> {
    const { cluster, meter } = this.#core
    const { openFiles } = await this.report()
    return {
      operations: meter.counts(),
      openFiles,
      sheepInFlight: cluster.inFlight,
      reconnects: cluster.reconnects,
      retries: cluster.retries,
      resentRequests: meter.resent,
      waitingRequests: cluster.state.kind === 'waiting' ? cluster.state.requests : 0,
      workerMemory: process.memoryUsage.rss(),
    }
  }

  volumes(): Promise<Volume[]> {
    return Promise.resolve(this.#core.tree.attachments.list().map((file) => this.#present(file)))
  }

  async attach(name: string, options: VolumePut): Promise<{ volume: Volume; isNew: boolean }> {
    const canonical = parseVolumeName(name).text
    const isNew = this.#core.tree.attachments.find(canonical) === undefined
    const file = await this.#core.attach(canonical, {
      readOnly: options.read_only === true,
      breakLock: options.break_lock === true,
      isTemporary: options.temporary === true,
    })
    if (options.read_only !== undefined && options.read_only !== file.volume.isReadOnly) {
      const mode = file.volume.isReadOnly ? 'for reading only' : 'for writing'
      throw new SheepfsError('busy', `volume "${canonical}" is attached ${mode}: detach it first`)
    }
    if (options.temporary !== true) this.#core.tree.attachments.keep(file)
    return { volume: this.#present(file), isNew }
  }

  detach(name: string, { force, temporary }: DetachOptions): Promise<void> {
    return this.#core.tree.attachments.detach(parseVolumeName(name), { force, isTemporary: temporary === true })
  }

  setCache(patch: { readonly pageCache?: boolean; readonly objectCache?: boolean }): Promise<void> {
    const { caches } = this.#core.tree
    if (patch.pageCache !== undefined) caches.setPageCache(patch.pageCache)
    if (patch.objectCache !== undefined) caches.setObjectCache(patch.objectCache)
    this.#core.publish()
    return Promise.resolve()
  }

  openInOldMode(): Promise<number> {
    const { attachments, caches } = this.#core.tree
    const old = caches.pageCache ? 'direct' : 'cached'
    return Promise.resolve(attachments.list().reduce((sum, file) => sum + file.handles[old].count, 0))
  }

  setAddresses(addresses: readonly Address[]): Promise<void> {
    return this.#core.cluster.setAddresses(addresses)
  }

  setIoTimeout(timeoutMs: number): Promise<void> {
    this.#core.cluster.ioTimeoutMs = timeoutMs
    return Promise.resolve()
  }

  cluster(): Promise<ClusterInfo> {
    return this.#service.info()
  }

  nodes(): Promise<Node[]> {
    return this.#service.nodes()
  }

  vdis(): Promise<Vdi[]> {
    return this.#service.vdis()
  }

  createVdi(body: VdiCreate): Promise<Vdi> {
    return this.#service.createVdi(body)
  }

  deleteVdi(vdi: string): Promise<void> {
    return this.#service.deleteVdi(vdi, (done, total) => {
      this.#surroundings.send({ kind: 'progress', progress: { operation: 'delete', vdi, done, total } })
    })
  }

  snapshotVdi(vdi: string, body: SnapshotCreate): Promise<Vdi> {
    return this.#service.snapshotVdi(vdi, body)
  }

  cloneVdi(vdi: string, body: CloneCreate): Promise<Vdi> {
    return this.#service.cloneVdi(vdi, body)
  }

  /** An attached volume has the new size when this resolves, and the supervisor has been told. */
  async resizeVdi(vdi: string, body: Resize): Promise<Vdi> {
    const resized = await this.#service.resizeVdi(vdi, body)
    await this.#core.tree.attachments.find(parseVolumeName(vdi).text)?.refresh()
    return resized
  }

  handOver(): Promise<void> {
    return this.#core.handOver()
  }

  unmount(): Promise<void> {
    return this.#mounted().unmount()
  }

  abort(): Promise<void> {
    return this.#mounted().abort()
  }

  #present(file: VolumeFile): Volume {
    const { start, tree } = this.#core
    return { ...presentVolume(file, start.spec.mountpoint), temporary: tree.attachments.isTemporary(file) }
  }

  #mounted(): Mounted {
    const { service } = this.#core
    if (service?.kind === 'mounted') return service.mounted
    throw new SheepfsError('not-supported', 'a mount of the kernel engine is unmounted by the supervisor')
  }
}
