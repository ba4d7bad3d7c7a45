import { SheepfsError } from '../../src/errors.ts'
import type { MountMetrics } from '../../src/api/mount-metrics.ts'
import type { ClusterInfo, Node } from '../../src/api/schema/cluster.ts'
import type { MountInput } from '../../src/api/schema/config.ts'
import type { Device, DevicePut } from '../../src/api/schema/device.ts'
import type { Event } from '../../src/api/schema/event.ts'
import type { Cache, CachePatch, Mount, MountPatch, Sheep } from '../../src/api/schema/mount.ts'
import type { Reload } from '../../src/api/schema/reload.ts'
import type { Status } from '../../src/api/schema/status.ts'
import type { Rollback, Vdi, VdiCreate, VdiInfo } from '../../src/api/schema/vdi.ts'
import type { Volume, VolumePut } from '../../src/api/schema/volume.ts'
import type { Force, Supervisor } from '../../src/api/supervisor.ts'

const TIME = '2026-01-02T03:04:05.000Z'

/** A mount as a test wants it. */
export function fakeMount(overrides: Partial<Mount> = {}): Mount {
  return {
    name: 'cluster1',
    mountpoint: '/srv/sheep/cluster1',
    engine: 'kernel',
    state: 'serving',
    reason: null,
    since: TIME,
    worker: { pid: 4711, generation: 1, started_at: TIME, version: '1.0.0' },
    open_files: 0,
    volumes: [],
    sheep: ['10.0.0.1:7000', '10.0.0.2:7000'],
    gateway: '10.0.0.1:7000',
    page_cache: false,
    object_cache: false,
    write_back: false,
    io_timeout: 'forever',
    configured: true,
    ...overrides,
  }
}

export function fakeVdi(overrides: Partial<Vdi> = {}): Vdi {
  return {
    volume: overrides.name ?? 'web01',
    name: 'web01',
    tag: '',
    snapshot_id: 0,
    snapshot: false,
    clone: false,
    vid: '7c2b25',
    size: 4 * 2 ** 30,
    used: 12 * 2 ** 20,
    shared: 0,
    object_size: 2 ** 22,
    copies: '2',
    hyper: false,
    created_at: TIME,
    ...overrides,
  }
}

/** An instance without processes and mounts: what is asked of it is kept in memory. Files are open if a test says so. */
export class FakeSupervisor implements Supervisor {
  readonly #mounts = new Map<string, Mount>()
  readonly #volumes = new Map<string, Map<string, Volume>>()
  readonly #listeners = new Set<(event: Event) => void>()
  readonly vdiTable = new Map<string, Vdi>([
    ['web01', fakeVdi()],
    ['db01', fakeVdi({ name: 'db01', vid: 'abc' })],
    ['db01@nightly', fakeVdi({ volume: 'db01@nightly', name: 'db01', tag: 'nightly', snapshot: true, snapshot_id: 1 })],
  ])
  readonly #devices = new Map<string, Device>()
  /** `mount/volume` of mapped volumes that are in use, and by whom. */
  readonly deviceUsers = new Map<string, string>()
  /** `mount/volume` of what is open. */
  readonly openVolumes = new Set<string>()
  measured: MountMetrics[] = []
  reloadSteps: Reload['steps'] = []
  /** Thrown by the next call that needs a mount. */
  failure: Error | undefined

  constructor(mounts: readonly Mount[] = [fakeMount()]) {
    for (const mount of mounts) this.#put(mount)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  emit(event: Omit<Event, 'time'>): void {
    for (const listener of this.#listeners) listener({ ...event, time: TIME })
  }

  async status(): Promise<Status> {
    return {
      instance: 'cluster1',
      version: '1.0.0',
      node: '24.22.3',
      state: 'running',
      pid: 4242,
      started_at: TIME,
      memory: 50 * 2 ** 20,
      config_file: '/etc/sheepfs/cluster1.toml',
      mounts: await this.mounts(),
      lacks: [],
      dead_file_systems: [],
    }
  }

  reload({ isDryRun }: { isDryRun: boolean }): Promise<Reload> {
    const { failure } = this
    this.failure = undefined
    if (failure) return Promise.reject(failure)
    if (!isDryRun) this.emit({ type: 'reloaded' })
    return Promise.resolve({ steps: this.reloadSteps })
  }

  metrics(): Promise<MountMetrics[]> {
    return Promise.resolve(this.measured)
  }

  subscribe(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  mounts(): Promise<Mount[]> {
    return Promise.resolve([...this.#mounts.values()])
  }

  mount(name: string): Promise<Mount> {
    const { failure } = this
    this.failure = undefined
    if (failure) return Promise.reject(failure)
    const mount = this.#mounts.get(name)
    if (mount) return Promise.resolve(mount)
    return Promise.reject(
      new SheepfsError('not-found', `no mount "${name}": expected ${[...this.#mounts.keys()].join(', ')}`),
    )
  }

  addMount(input: MountInput): Promise<Mount> {
    const name = input.name ?? 'cluster1'
    if (this.#mounts.has(name)) return Promise.reject(new SheepfsError('exists', `a mount "${name}" is there already`))
    const { mountpoint, page_cache = false } = input
    const mount = fakeMount({ name, mountpoint, page_cache, write_back: page_cache, configured: false })
    this.#put(mount)
    this.emit({ type: 'mount-added', mount: name })
    return Promise.resolve(mount)
  }

  async removeMount(name: string, { force }: Force): Promise<void> {
    await this.mount(name)
    const isOpen = [...this.openVolumes].some((open) => open.startsWith(`${name}/`))
    if (isOpen && !force) throw new SheepfsError('busy', `cannot unmount "${name}": files are open`)
    this.#mounts.delete(name)
    this.emit({ type: 'mount-removed', mount: name })
  }

  async patchMount(name: string, patch: MountPatch): Promise<Mount> {
    return this.#put({ ...(await this.mount(name)), ...patch })
  }

  async restartMount(name: string): Promise<Mount> {
    const mount = await this.mount(name)
    const generation = (mount.worker?.generation ?? 0) + 1
    this.emit({ type: 'worker-started', mount: name, generation, reason: 'asked for' })
    return this.#put({ ...mount, worker: { pid: 4712, generation, started_at: TIME } })
  }

  async volumes(mount: string): Promise<Volume[]> {
    await this.mount(mount)
    return [...(this.#volumes.get(mount)?.values() ?? [])]
  }

  async volume(mount: string, name: string): Promise<Volume> {
    const volume = (await this.volumes(mount)).find((candidate) => candidate.name === name)
    if (volume) return volume
    throw new SheepfsError('not-found', `volume "${name}" is not attached to mount "${mount}"`)
  }

  async attach(
    mount: string,
    name: string,
    { read_only = false, temporary = false }: VolumePut,
  ): Promise<{ volume: Volume; isNew: boolean }> {
    const { mountpoint } = await this.mount(mount)
    const attached = this.#volumes.get(mount)?.get(name)
    if (attached) return { volume: attached, isNew: false }
    const { vid, size, object_size, snapshot } = this.#vdi(name)
    const path = `${mountpoint}/volume/${name}`
    const flags = {
      snapshot,
      read_only: read_only || snapshot,
      locked: false,
      open_files: 0,
      stale: false,
      configured: false,
      temporary,
    }
    const volume = { name, path, vid, size, object_size, ...flags }
    this.#volumes.get(mount)?.set(name, volume)
    this.emit({ type: 'volume-attached', mount, volume: name })
    return { volume, isNew: true }
  }

  async detach(mount: string, name: string, { force }: Force): Promise<void> {
    const isAttached = (await this.volumes(mount)).some((volume) => volume.name === name)
    if (!isAttached) throw new SheepfsError('not-found', `volume "${name}" is not attached`)
    if (this.openVolumes.has(`${mount}/${name}`) && !force) throw new SheepfsError('busy', `volume "${name}" is open`)
    this.#volumes.get(mount)?.delete(name)
    this.emit({ type: 'volume-detached', mount, volume: name })
  }

  async devices(mount: string): Promise<Device[]> {
    await this.mount(mount)
    const own = [...this.#devices].filter(([key]) => key.startsWith(`${mount}/`))
    return own.map(([key, device]) => ({ ...device, used_by: [this.deviceUsers.get(key) ?? []].flat() }))
  }

  async device(mount: string, name: string): Promise<Device> {
    const device = (await this.devices(mount)).find(({ volume }) => volume === name)
    if (device) return device
    throw new SheepfsError('not-found', `volume "${name}" of mount "${mount}" is not mapped`)
  }

  async map(
    mount: string,
    name: string,
    { read_only = false, sector_size = 512 }: DevicePut,
  ): Promise<{ device: Device; isNew: boolean }> {
    const mapped = this.#devices.get(`${mount}/${name}`)
    if (mapped) return { device: mapped, isNew: false }
    const { volume } = await this.attach(mount, name, { read_only, temporary: true })
    const path = `/dev/loop${this.#devices.size}`
    const link = `/dev/disk/by-sheepdog/cluster1/${name}`
    const facts = { volume: name, path, link, size: volume.size, sector_size, read_only: volume.read_only }
    const device = { ...facts, partitions: [], used_by: [] }
    this.#devices.set(`${mount}/${name}`, device)
    this.emit({ type: 'device-mapped', mount, volume: name })
    return { device, isNew: true }
  }

  async unmap(mount: string, name: string): Promise<void> {
    const { path } = await this.device(mount, name)
    const user = this.deviceUsers.get(`${mount}/${name}`)
    if (user !== undefined) throw new SheepfsError('busy', `volume "${name}": ${path} is in use by ${user}`)
    this.#devices.delete(`${mount}/${name}`)
    this.emit({ type: 'device-unmapped', mount, volume: name })
    await this.detach(mount, name, { force: false })
  }

  async cache(name: string): Promise<Cache> {
    const { page_cache, object_cache, write_back } = await this.mount(name)
    return { page_cache, object_cache, write_back, open_files_in_old_mode: 0 }
  }

  async patchCache(name: string, patch: CachePatch): Promise<Cache> {
    this.#put({ ...(await this.mount(name)), ...patch })
    return this.cache(name)
  }

  async sheep(name: string): Promise<Sheep> {
    const { sheep, gateway } = await this.mount(name)
    return { addresses: sheep, gateway }
  }

  async putSheep(name: string, { addresses }: { addresses: string[] }): Promise<Sheep> {
    this.#put({ ...(await this.mount(name)), sheep: addresses, gateway: addresses[0] ?? null })
    return this.sheep(name)
  }

  async cluster(name: string): Promise<ClusterInfo> {
    await this.mount(name)
    return {
      state: 'running',
      state_text: 'running',
      created_at: TIME,
      epoch: 1,
      copies: '2',
      store: 'plain',
      locking: false,
      strict: false,
      auto_recovery: true,
      epochs: [{ epoch: 1, began_at: TIME, nodes: ['10.0.0.1:7000', '10.0.0.2:7000'] }],
    }
  }

  async nodes(name: string): Promise<Node[]> {
    await this.mount(name)
    const space = { total: 2 ** 40, free: 2 ** 39 }
    return [
      { address: '10.0.0.1:7000', zone: 1, vnodes: 128, disks: 0, space },
      { address: '10.0.0.2:7000', zone: 2, vnodes: 128, disks: 0, space: null },
    ]
  }

  async vdis(mount: string): Promise<Vdi[]> {
    await this.mount(mount)
    return [...this.vdiTable.values()]
  }

  async vdi(mount: string, name: string): Promise<VdiInfo> {
    await this.mount(mount)
    return { ...this.#vdi(name), parent: 'db01@nightly', locked: true, locked_through: '10.0.0.1:7000' }
  }

  async createVdi(mount: string, { name, size, hyper = false, copies = '2' }: VdiCreate): Promise<Vdi> {
    await this.mount(mount)
    if (this.vdiTable.has(name)) throw new SheepfsError('exists', `VDI "${name}": the name is taken`)
    const vdi = fakeVdi({ name, size, hyper, copies, used: 0 })
    this.vdiTable.set(name, vdi)
    return vdi
  }

  async deleteVdi(mount: string, name: string): Promise<void> {
    await this.mount(mount)
    this.#vdi(name)
    for (const done of [0, 5, 10])
      this.emit({ type: 'progress', operation: 'delete', mount, vdi: name, done, total: 10 })
    this.vdiTable.delete(name)
    this.emit({ type: 'vdi-deleted', mount, vdi: name })
  }

  async snapshotVdi(mount: string, name: string, { tag }: { tag: string }): Promise<Vdi> {
    await this.mount(mount)
    const snapshot = { ...this.#vdi(name), volume: `${name}@${tag}`, tag, snapshot: true, snapshot_id: 1 }
    this.vdiTable.set(snapshot.volume, snapshot)
    return snapshot
  }

  async cloneVdi(mount: string, of: string, { name }: { name: string }): Promise<Vdi> {
    await this.mount(mount)
    const base = this.#vdi(of)
    if (!base.snapshot) throw new SheepfsError('invalid', `VDI "${of}" is no snapshot: make one and clone that`)
    const clone = fakeVdi({ name, clone: true, used: 0, shared: base.used })
    this.vdiTable.set(name, clone)
    return clone
  }

  async rollbackVdi(mount: string, snapshot: string): Promise<Rollback> {
    await this.mount(mount)
    const base = this.#vdi(snapshot)
    if (!base.snapshot) throw new SheepfsError('invalid', `VDI "${snapshot}" is no snapshot`)
    const working = this.#vdi(base.name)
    const kept = { ...working, volume: `${base.name}@2`, snapshot: true, snapshot_id: 2 }
    this.vdiTable.set(kept.volume, kept)
    return { vdi: working, kept }
  }

  async resizeVdi(mount: string, name: string, { size }: { size: number }): Promise<Vdi> {
    await this.mount(mount)
    const vdi = this.#vdi(name)
    if (size < vdi.size)
      throw new SheepfsError('not-permitted', `VDI "${name}" has ${vdi.size} bytes: it cannot shrink`)
    this.vdiTable.set(name, { ...vdi, size })
    return { ...vdi, size }
  }

  #vdi(name: string): Vdi {
    const vdi = this.vdiTable.get(name)
    if (vdi) return vdi
    throw new SheepfsError('not-found', `VDI "${name}": no such VDI (NO_VDI)`)
  }

  #put(mount: Mount): Mount {
    this.#mounts.set(mount.name, mount)
    if (!this.#volumes.has(mount.name)) this.#volumes.set(mount.name, new Map())
    return mount
  }
}
