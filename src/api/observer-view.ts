import type { MountMetrics } from './mount-metrics.ts'
import type { ClusterInfo, Node } from './schema/cluster.ts'
import type { Device } from './schema/device.ts'
import type { Event } from './schema/event.ts'
import type { Cache, Mount, Sheep } from './schema/mount.ts'
import type { Status } from './schema/status.ts'
import type { Vdi, VdiInfo } from './schema/vdi.ts'
import type { Volume } from './schema/volume.ts'
import { SharedQuestions } from './shared-questions.ts'
import type { Caller, Looks } from './supervisor.ts'

/** How old an answer to an observer may be, ms. */
const KEPT_MS = 1000
/** What the daemon knows by itself it finds for nobody in particular. */
const anybody = (): Caller => ({ waits: false, gone: new AbortController().signal })

/** An instance as observers see it: however many ask, its daemon and workers are asked each thing once in a second. */
export class ObserverView implements Looks {
  readonly #instance: Looks
  readonly #questions = new SharedQuestions({ keptMs: KEPT_MS })

  constructor(instance: Looks) {
    this.#instance = instance
  }

  subscribe(listener: (event: Event) => void): () => void {
    return this.#instance.subscribe(listener)
  }

  status(): Promise<Status> {
    return this.#ask(['status'], anybody(), (instance) => instance.status())
  }

  metrics(): Promise<readonly MountMetrics[]> {
    return this.#ask(['metrics'], anybody(), (instance) => instance.metrics())
  }

  mounts(): Promise<Mount[]> {
    return this.#ask(['mounts'], anybody(), (instance) => instance.mounts())
  }

  mount(mount: string): Promise<Mount> {
    return this.#ask(['mount', mount], anybody(), (instance) => instance.mount(mount))
  }

  sheep(mount: string): Promise<Sheep> {
    return this.#ask(['sheep', mount], anybody(), (instance) => instance.sheep(mount))
  }

  devices(mount: string): Promise<Device[]> {
    return this.#ask(['devices', mount], anybody(), (instance) => instance.devices(mount))
  }

  device(mount: string, volume: string): Promise<Device> {
    return this.#ask(['device', mount, volume], anybody(), (instance) => instance.device(mount, volume))
  }

  cache(mount: string, caller: Caller): Promise<Cache> {
    return this.#ask(['cache', mount], caller, (instance, all) => instance.cache(mount, all))
  }

  volumes(mount: string, caller: Caller): Promise<Volume[]> {
    return this.#ask(['volumes', mount], caller, (instance, all) => instance.volumes(mount, all))
  }

  volume(mount: string, volume: string, caller: Caller): Promise<Volume> {
    return this.#ask(['volume', mount, volume], caller, (instance, all) => instance.volume(mount, volume, all))
  }

  cluster(mount: string, caller: Caller): Promise<ClusterInfo> {
    return this.#ask(['cluster', mount], caller, (instance, all) => instance.cluster(mount, all))
  }

  nodes(mount: string, caller: Caller): Promise<Node[]> {
    return this.#ask(['nodes', mount], caller, (instance, all) => instance.nodes(mount, all))
  }

  vdis(mount: string, caller: Caller): Promise<Vdi[]> {
    return this.#ask(['vdis', mount], caller, (instance, all) => instance.vdis(mount, all))
  }

  vdi(mount: string, vdi: string, caller: Caller): Promise<VdiInfo> {
    return this.#ask(['vdi', mount, vdi], caller, (instance, all) => instance.vdi(mount, vdi, all))
  }

  #ask<T>(key: readonly string[], caller: Caller, question: (instance: Looks, all: Caller) => Promise<T>): Promise<T> {
    return this.#questions.ask(JSON.stringify(key), caller, (all) => question(this.#instance, all))
  }
}
