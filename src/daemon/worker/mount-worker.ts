import type { VolumeMetrics } from '../../api/mount-metrics.ts'
import type { ClusterInfo, Node } from '../../api/schema/cluster.ts'
import type { CloneCreate, Resize, Rollback, SnapshotCreate, Vdi, VdiCreate, VdiInfo } from '../../api/schema/vdi.ts'
import type { DetachOptions } from '../../api/supervisor.ts'
import type { Volume, VolumePut } from '../../api/schema/volume.ts'
import { SheepfsError } from '../../errors.ts'
import type { Mounted } from '../../fuse/engine.ts'
import type { Address } from '../../sheep/address.ts'
import type { Waiter } from '../../sheep/waiter.ts'
import type { VolumeFile } from '../../tree/volume-file.ts'
import { parseVolumeName, volumeName } from '../../tree/volume-name.ts'
import type { OnProgress } from '../../volume/manage/delete-vdi.ts'
import { ClusterService } from './cluster-service.ts'
import { MountCore, type WorkerSurroundings } from './mount-core.ts'
import { measuredVolume, presentVolume } from './present-volume.ts'
import { Turns } from './turns.ts'
import type { WorkerMethods, WorkerMetrics, WorkerReport, WorkerStart } from '../worker-protocol.ts'

/** The space of a cluster changes slowly. */
const SPACE_VALID_MS = 15_000

/** What a supervisor can ask of a worker, done on the mount it serves. */
export class MountWorker implements WorkerMethods {
  readonly #core: MountCore
  readonly #surroundings: WorkerSurroundings
  readonly #turns = new Turns()
  #clusterSpace: WorkerMetrics['clusterSpace']
  #spaceAskedAt = -Infinity

  private constructor(core: MountCore, surroundings: WorkerSurroundings) {
    this.#core = core
    this.#surroundings = surroundings
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
    this.#askForSpace()
    return {
      measuredAtS: performance.now() / 1000,
      operations: meter.mountCounts(),
      openFiles,
      sheepInFlight: cluster.inFlight,
      reconnects: cluster.reconnects,
      retries: cluster.retries,
      resentRequests: meter.resent,
      waitingRequests: cluster.state.kind === 'waiting' ? cluster.state.requests : 0,
      workerMemory: process.memoryUsage.rss(),
      clusterSpace: this.#clusterSpace,
    }
  }

  /** Nobody waits for the cluster: the next who asks is told. */
  #askForSpace(): void {
    if (performance.now() - this.#spaceAskedAt < SPACE_VALID_MS) return
    this.#spaceAskedAt = performance.now()
    void this.#core.tree.space().then(
      (space) => {
        this.#clusterSpace = space
      },
      () => undefined, // what was known last still holds
    )
  }

  volumeMetrics(): Promise<VolumeMetrics[]> {
    const { tree, meter } = this.#core
    const volumes = meter.volumeCounts()
    return Promise.resolve(tree.attachments.list().map((file) => measuredVolume(file, volumes.get(file.id) ?? [])))
  }

  volumes(): Promise<Volume[]> {
    return Promise.resolve(this.#core.tree.attachments.list().map((file) => this.#present(file)))
  }

  async attach(name: string, options: VolumePut, waiter: Waiter): Promise<{ volume: Volume; isNew: boolean }> {
    const volume = parseVolumeName(name)
    const how = {
      readOnly: options.read_only === true,
      breakLock: options.break_lock === true,
      isTemporary: options.temporary === true,
    }
    const { file, isNew } = await this.#core.tree.attachments.attach(volume, how, waiter)
    if (options.read_only !== undefined && options.read_only !== file.volume.isReadOnly) {
      const mode = file.volume.isReadOnly ? 'for reading only' : 'for writing'
      throw new SheepfsError('busy', `volume "${volume.text}" is attached ${mode}: detach it first`)
    }
    if (options.temporary !== true) this.#core.tree.attachments.keep(file)
    return { volume: this.#present(file), isNew }
  }

  detach(name: string, { force, temporary }: DetachOptions, waiter: Waiter): Promise<void> {
    const how = { force, isTemporary: temporary === true }
    return this.#core.tree.attachments.detach(parseVolumeName(name), how, waiter)
  }

  async setCache(patch: { readonly pageCache?: boolean; readonly objectCache?: boolean }): Promise<void> {
    const { caches } = this.#core.tree
    if (patch.pageCache !== undefined) caches.setPageCache(patch.pageCache)
    if (patch.objectCache !== undefined) await caches.setObjectCache(patch.objectCache)
    this.#core.publish()
  }

  openInOldMode(): Promise<number> {
    const { attachments, caches } = this.#core.tree
    const old = caches.pageCache ? 'direct' : 'cached'
    return Promise.resolve(attachments.list().reduce((sum, file) => sum + file.handles[old].count, 0))
  }

  setAddresses(addresses: readonly Address[], waiter: Waiter): Promise<void> {
    return this.#core.cluster.setAddresses(addresses, waiter)
  }

  setIoTimeout(timeoutMs: number): Promise<void> {
    this.#core.setIoTimeout(timeoutMs)
    return Promise.resolve()
  }

  cluster(waiter: Waiter): Promise<ClusterInfo> {
    return this.#ask(waiter, (service) => service.info())
  }

  nodes(waiter: Waiter): Promise<Node[]> {
    return this.#ask(waiter, (service) => service.nodes())
  }

  vdis(waiter: Waiter): Promise<Vdi[]> {
    return this.#ask(waiter, (service) => service.vdis())
  }

  vdi(vdi: string, waiter: Waiter): Promise<VdiInfo> {
    return this.#ask(waiter, (service) => service.vdi(vdi))
  }

  createVdi(body: VdiCreate, waiter: Waiter): Promise<Vdi> {
    return this.#change(body.name, waiter, (service) => service.createVdi(body))
  }

  deleteVdi(vdi: string, waiter: Waiter): Promise<void> {
    const { attachments } = this.#core.tree
    const onProgress: OnProgress = (done, total) => {
      this.#surroundings.send({ kind: 'progress', progress: { operation: 'delete', vdi, done, total } })
    }
    return this.#change(vdi, waiter, (service) =>
      attachments.whileDetached(parseVolumeName(vdi), waiter, () => service.deleteVdi(vdi, onProgress)),
    )
  }

  snapshotVdi(vdi: string, body: SnapshotCreate, waiter: Waiter): Promise<Vdi> {
    return this.#change(vdi, waiter, (service) => service.snapshotVdi(vdi, body))
  }

  cloneVdi(vdi: string, body: CloneCreate, waiter: Waiter): Promise<Vdi> {
    return this.#change(body.name, waiter, (service) => service.cloneVdi(vdi, body))
  }

  rollbackVdi(snapshot: string, waiter: Waiter): Promise<Rollback> {
    const working = volumeName(parseVolumeName(snapshot).vdi)
    return this.#change(snapshot, waiter, (service) =>
      this.#core.tree.attachments.whileDetached(working, waiter, () => service.rollbackVdi(snapshot)),
    )
  }

  /** An attached volume has the new size when this resolves, and the supervisor has been told. */
  async resizeVdi(vdi: string, body: Resize, waiter: Waiter): Promise<Vdi> {
    const resized = await this.#change(vdi, waiter, (service) => service.resizeVdi(vdi, body))
    const file = this.#core.tree.attachments.find(parseVolumeName(vdi).text)
    if (file) await waiter.until(file.refresh())
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

  /** Asks the cluster for somebody who waits; what is left to do when he waits no more is done without him. */
  async #ask<T>(waiter: Waiter, work: (service: ClusterService) => Promise<T>): Promise<T> {
    const errand = this.#core.cluster.errand(waiter)
    try {
      return await waiter.until(work(new ClusterService(errand)))
    } catch (error) {
      throw errand.explain(error, '"sheepfsctl vdi list"')
    } finally {
      errand.end()
    }
  }

  /** Changes a VDI, one change after the other: two snapshots at a time could take each other's tag. */
  #change<T>(vdi: string, waiter: Waiter, work: (service: ClusterService) => Promise<T>): Promise<T> {
    const [name = ''] = vdi.split('@')
    return this.#ask(waiter, (service) => this.#turns.take(name, () => work(service)))
  }

  #mounted(): Mounted {
    const { service } = this.#core
    if (service?.kind === 'mounted') return service.mounted
    throw new SheepfsError('not-supported', 'a mount of the kernel engine is unmounted by the supervisor')
  }
}
