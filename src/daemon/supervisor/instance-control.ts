import { basename } from 'node:path'
import type { MountMetrics } from '../../api/mount-metrics.ts'
import type { ClusterInfo, Node } from '../../api/schema/cluster.ts'
import type { InstanceConfig, MountInput } from '../../api/schema/config.ts'
import type { Event } from '../../api/schema/event.ts'
import type { Cache, CachePatch, Mount, MountPatch, Sheep, SheepPut } from '../../api/schema/mount.ts'
import type { Device, DevicePut } from '../../api/schema/device.ts'
import type { Reload } from '../../api/schema/reload.ts'
import type { Lack, Status } from '../../api/schema/status.ts'
import type { CloneCreate, Resize, Rollback, SnapshotCreate, Vdi, VdiCreate, VdiInfo } from '../../api/schema/vdi.ts'
import type { Volume, VolumePut } from '../../api/schema/volume.ts'
import { SharedQuestions } from '../../api/shared-questions.ts'
import type { Caller, DetachOptions, Force, Supervisor } from '../../api/supervisor.ts'
import { errorText, isSheepfsError, SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { parseAddress } from '../../sheep/address.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { stepOf } from '../config/change-step.ts'
import { readConfig } from '../config/config.ts'
import { checkSockets } from '../config/socket-group.ts'
import type { Instance } from './instance.ts'
import { checkReload, reloadInstance } from './instance-reload.ts'
import { type ManagedMount, toTimeoutMs } from './managed-mount.ts'
import { plannedSteps } from './reload-steps.ts'
import { findOwnDeadLoops } from './stale-mount.ts'

/** Between questions about one cluster where many ask: its worker has a mount to serve. */
const QUESTION_PAUSE_MS = 500

/** Of the daemon, beside its instance. */
export interface DaemonFacts {
  readonly version: string
  readonly configFile: string
  readonly lacks: readonly Lack[]
  readonly log: Logger
}

/** What clients ask of an instance: done by it, or by the worker of a mount, and told in events. */
export class InstanceControl implements Supervisor {
  readonly instance: Instance
  readonly #facts: DaemonFacts
  readonly #startedAt = new Date().toISOString()
  /** Those about a whole cluster, which cost its mount more than any other. */
  readonly #questions = new SharedQuestions({ pauseMs: QUESTION_PAUSE_MS })
  #reloads: Promise<unknown> = Promise.resolve()

  constructor(instance: Instance, facts: DaemonFacts) {
    this.instance = instance
    this.#facts = facts
  }

  async status(): Promise<Status> {
    const { name, state } = this.instance
    const dead = await findOwnDeadLoops(name, (tree) => this.instance.serves(tree))
    return {
      instance: name,
      version: this.#facts.version,
      node: process.versions.node,
      state,
      pid: process.pid,
      started_at: this.#startedAt,
      memory: process.memoryUsage.rss(),
      config_file: this.#facts.configFile,
      ...(this.instance.listensOn !== undefined && { metrics_listen: this.instance.listensOn }),
      mounts: await this.mounts(),
      lacks: [...this.#facts.lacks],
      dead_file_systems: dead.flatMap(({ device, file, mounts }) =>
        mounts.map(({ target }) => ({ mountpoint: target, device, volume: basename(file) })),
      ),
    }
  }

  /** One after the other: what stands in the file when the last was asked for is what holds in the end. */
  reload({ isDryRun }: { readonly isDryRun: boolean }): Promise<Reload> {
    const reloaded = this.#reloads.then(() => (isDryRun ? this.#planReload() : this.#reload()))
    this.#reloads = reloaded.catch(() => undefined)
    return reloaded
  }

  async #planReload(): Promise<Reload> {
    const changes = await checkReload(this.instance, await this.#readConfig())
    return { steps: await plannedSteps(this.instance, changes) }
  }

  async #readConfig(): Promise<InstanceConfig> {
    const { name, workerAccount, listensOn } = this.instance
    const config = await readConfig({ file: this.#facts.configFile, instance: name })
    await checkSockets(config, workerAccount, listensOn)
    return config
  }

  async #reload(): Promise<Reload> {
    const { log } = this.#facts
    const { state } = this.instance
    if (state !== 'running') throw new SheepfsError('closed', `not reloaded: the instance is ${state}`)
    this.instance.state = 'reloading'
    try {
      const changes = await reloadInstance(this, await this.#readConfig(), log)
      log.info('reloaded')
      this.instance.emit({ type: 'reloaded' })
      return { steps: changes.map(stepOf) }
    } catch (cause) {
      this.instance.emit({ type: 'reload-failed', reason: errorText(cause) })
      const code = isSheepfsError(cause) ? cause.code : 'io'
      throw new SheepfsError(code, `not reloaded: ${errorText(cause)}`, { cause })
    } finally {
      this.#endReload()
    }
  }

  /** A stop may have come between. */
  #endReload(): void {
    if (this.instance.state === 'reloading') this.instance.state = 'running'
  }

  metrics(): Promise<readonly MountMetrics[]> {
    return Promise.all(this.instance.managed.map((mount) => mount.metrics()))
  }

  subscribe(listener: (event: Event) => void): () => void {
    return this.instance.subscribe(listener)
  }

  mounts(): Promise<Mount[]> {
    return Promise.all(this.instance.managed.map((mount) => mount.present()))
  }

  async mount(name: string): Promise<Mount> {
    return this.instance.find(name).present()
  }

  async addMount(input: MountInput, caller: Caller): Promise<Mount> {
    return (await this.instance.addMount(input, caller)).present()
  }

  async removeMount(name: string, options: Force): Promise<void> {
    await this.instance.stopMount(this.instance.find(name), options)
  }

  async patchMount(name: string, patch: MountPatch, caller: Caller): Promise<Mount> {
    const mount = this.instance.find(name)
    await mount.setIoTimeout(caller, toTimeoutMs(patch.io_timeout))
    this.instance.emit({ type: 'io-timeout-changed', mount: name })
    return mount.present()
  }

  async restartMount(name: string, caller: Caller): Promise<Mount> {
    const present = this.instance.managed.find((mount) => mount.name === name)
    if (!present || present.keeper.state === 'ended') return (await this.instance.mountAgain(name)).present()
    await present.restart(caller)
    return present.present()
  }

  async volumes(name: string, caller: Caller): Promise<Volume[]> {
    const mount = this.instance.find(name)
    const volumes = await mount.ask(caller, 'volumes')
    return volumes.map((volume) => mount.markConfigured(volume))
  }

  async volume(name: string, volume: string, caller: Caller): Promise<Volume> {
    const canonical = parseVolumeName(volume).text
    const found = (await this.volumes(name, caller)).find((attached) => attached.name === canonical)
    if (!found) throw new SheepfsError('not-found', `volume "${canonical}" is not attached to mount "${name}"`)
    return found
  }

  async attach(
    name: string,
    volume: string,
    options: VolumePut,
    caller: Caller,
  ): Promise<{ volume: Volume; isNew: boolean }> {
    this.instance.checkRunning()
    const mount = this.instance.find(name)
    const attached = await mount.ask(caller, 'attach', volume, options)
    return { ...attached, volume: mount.markConfigured(attached.volume) }
  }

  async detach(name: string, volume: string, options: DetachOptions, caller: Caller): Promise<void> {
    const mount = this.instance.find(name)
    const { text } = parseVolumeName(volume)
    try {
      await mount.ask(caller, 'detach', text, options)
    } catch (cause) {
      if (!isSheepfsError(cause, 'busy') || options.temporary === true) throw cause
      const holders = await mount.holdersOf(text)
      throw holders === '' ? cause : new SheepfsError('busy', `${cause.message}, by ${holders}`, { cause })
    }
  }

  devices(name: string): Promise<Device[]> {
    return this.instance.find(name).devices.list()
  }

  device(name: string, volume: string): Promise<Device> {
    return this.instance.find(name).devices.find(volume)
  }

  async map(
    name: string,
    volume: string,
    options: DevicePut,
    caller: Caller,
  ): Promise<{ device: Device; isNew: boolean }> {
    this.instance.checkRunning()
    const mapped = await this.instance.find(name).devices.map(volume, options, caller)
    if (mapped.isNew) this.instance.emit({ type: 'device-mapped', mount: name, volume: mapped.device.volume })
    return mapped
  }

  async unmap(name: string, volume: string, caller: Caller): Promise<void> {
    await this.instance.find(name).devices.unmap(volume, caller)
    this.instance.emit({ type: 'device-unmapped', mount: name, volume: parseVolumeName(volume).text })
  }

  async cache(name: string, caller: Caller): Promise<Cache> {
    return presentCache(this.instance.find(name), caller)
  }

  async patchCache(name: string, patch: CachePatch, caller: Caller): Promise<Cache> {
    const mount = this.instance.find(name)
    await mount.ask(caller, 'setCache', {
      ...(patch.page_cache === undefined ? {} : { pageCache: patch.page_cache }),
      ...(patch.object_cache === undefined ? {} : { objectCache: patch.object_cache }),
    })
    this.instance.emit({ type: 'cache-changed', mount: name })
    return presentCache(mount, caller)
  }

  async sheep(name: string): Promise<Sheep> {
    const mount = await this.mount(name)
    return { addresses: mount.sheep, gateway: mount.gateway }
  }

  async putSheep(name: string, put: SheepPut, caller: Caller): Promise<Sheep> {
    const addresses = put.addresses.map((text) => parseAddress(text))
    await this.instance.find(name).ask(caller, 'setAddresses', addresses)
    this.instance.emit({ type: 'sheep-changed', mount: name })
    return this.sheep(name)
  }

  async cluster(name: string, caller: Caller): Promise<ClusterInfo> {
    return this.#questions.ask(`cluster ${name}`, caller, (all) => this.instance.find(name).ask(all, 'cluster'))
  }

  async nodes(name: string, caller: Caller): Promise<Node[]> {
    return this.#questions.ask(`nodes ${name}`, caller, (all) => this.instance.find(name).ask(all, 'nodes'))
  }

  async vdis(name: string, caller: Caller): Promise<Vdi[]> {
    return this.#questions.ask(`vdis ${name}`, caller, (all) => this.instance.find(name).ask(all, 'vdis'))
  }

  async vdi(name: string, vdi: string, caller: Caller): Promise<VdiInfo> {
    return this.instance.find(name).ask(caller, 'vdi', vdi)
  }

  async createVdi(name: string, body: VdiCreate, caller: Caller): Promise<Vdi> {
    const vdi = await this.instance.find(name).ask(caller, 'createVdi', body)
    this.instance.emit({ type: 'vdi-created', mount: name, vdi: vdi.name })
    return vdi
  }

  async deleteVdi(name: string, vdi: string, caller: Caller): Promise<void> {
    await this.instance.find(name).ask(caller, 'deleteVdi', vdi)
    this.instance.emit({ type: 'vdi-deleted', mount: name, vdi })
  }

  async snapshotVdi(name: string, vdi: string, body: SnapshotCreate, caller: Caller): Promise<Vdi> {
    const snapshot = await this.instance.find(name).ask(caller, 'snapshotVdi', vdi, body)
    this.instance.emit({ type: 'vdi-snapshot', mount: name, vdi })
    return snapshot
  }

  async cloneVdi(name: string, vdi: string, body: CloneCreate, caller: Caller): Promise<Vdi> {
    const clone = await this.instance.find(name).ask(caller, 'cloneVdi', vdi, body)
    this.instance.emit({ type: 'vdi-created', mount: name, vdi: clone.name })
    return clone
  }

  async rollbackVdi(name: string, snapshot: string, caller: Caller): Promise<Rollback> {
    const rollback = await this.instance.find(name).ask(caller, 'rollbackVdi', snapshot)
    this.instance.emit({ type: 'vdi-rolled-back', mount: name, vdi: snapshot })
    return rollback
  }

  async resizeVdi(name: string, vdi: string, body: Resize, caller: Caller): Promise<Vdi> {
    const mount = this.instance.find(name)
    const resized = await mount.ask(caller, 'resizeVdi', vdi, body)
    await mount.deviceGrowth.grow(parseVolumeName(vdi).text, resized.size)
    this.instance.emit({ type: 'vdi-resized', mount: name, vdi })
    return resized
  }
}

async function presentCache(mount: ManagedMount, caller: Caller): Promise<Cache> {
  const { keeper, writeBack } = mount
  const openInOldMode = await mount.ask(caller, 'openInOldMode')
  const { pageCache, objectCache } = keeper.mountState
  return {
    page_cache: pageCache,
    object_cache: objectCache,
    write_back: writeBack,
    open_files_in_old_mode: openInOldMode,
  }
}
