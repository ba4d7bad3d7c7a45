import type { IncomingMessage } from 'node:http'
import { Type, type Static, type TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { SheepfsError, isSheepfsError } from '../errors.ts'
import { errorCodeOf } from './problem.ts'
import { readEvents } from './event-reader.ts'
import { ClusterInfo, Node } from './schema/cluster.ts'
import type { MountInput } from './schema/config.ts'
import { Counters } from './schema/counters.ts'
import { Device, type DevicePut } from './schema/device.ts'
import type { Event } from './schema/event.ts'
import { Cache, Mount, Sheep, type CachePatch, type MountPatch, type SheepPut } from './schema/mount.ts'
import { Problem } from './schema/problem.ts'
import { Reload } from './schema/reload.ts'
import { Health, Status } from './schema/status.ts'
import {
  type CloneCreate,
  type Resize,
  Rollback,
  type SnapshotCreate,
  Vdi,
  type VdiCreate,
  VdiInfo,
} from './schema/vdi.ts'
import { Volume, type VolumePut } from './schema/volume.ts'
import { answerOf, requestOver, textOf, type Answer } from './socket-request.ts'

export interface ClientOptions {
  readonly waits?: boolean
  readonly observerPath?: string
  readonly present?: Present
}

/** What is done to everything that is answered. */
type Present = <T>(value: T) => T

/**
 * The control API, as seen from outside: a method for each route that a program asks. All throw what the daemon answered,
 * with its code and its words; not-running when nobody listens, not-permitted when this user may not connect, protocol when
 * the answer is not what this version of the program knows.
 */
export class ControlClient {
  readonly #socketPath: string
  readonly #observerPath: string | undefined
  readonly #waits: boolean
  readonly #present: Present

  /**
   * `waits`: for a cluster that does not answer as long as it takes, not for half a minute. `observerPath`: of the socket to
   * look through where the other may not be used. `present`: for who prints what is answered; errors are his to make printable.
   */
  constructor(socketPath: string, { waits = false, observerPath, present = (value) => value }: ClientOptions = {}) {
    this.#socketPath = socketPath
    this.#observerPath = observerPath
    this.#waits = waits
    this.#present = present
  }

  status(): Promise<Status> {
    return this.#look(Status, '/v1/status')
  }

  /** A daemon of version 0.1.0 says nothing of what it has done. */
  async reload({ isDryRun = false }: { readonly isDryRun?: boolean } = {}): Promise<Reload> {
    const answer = await this.#send('POST', '/v1/reload' + (isDryRun ? '?dry_run=true' : ''))
    return this.#checked(Reload, answer.body ?? { steps: [] })
  }

  async health(): Promise<Health> {
    const answer = await answerOf(await this.#open('GET', '/v1/health', undefined))
    if (answer.status !== 200 && answer.status !== 503) throw problemOf(answer)
    return this.#checked(Health, answer.body)
  }

  async metrics(): Promise<string> {
    const response = await this.#open('GET', '/metrics', undefined)
    if (response.statusCode !== 200) throw problemOf(await answerOf(response))
    return textOf(response)
  }

  async counters(): Promise<Counters> {
    try {
      return await this.#look(Counters, '/v1/counters')
    } catch (error) {
      if (!isSheepfsError(error, 'not-found')) throw error
      const text = 'the daemon is of an older version, and does not count that: restart it'
      throw new SheepfsError('not-supported', text, { cause: error })
    }
  }

  /** Events as they happen, until the daemon ends or `signal` aborts. */
  async *events(options: { mount?: string | undefined; signal?: AbortSignal }): AsyncGenerator<Event> {
    const query = options.mount === undefined ? '' : `?mount=${encodeURIComponent(options.mount)}`
    const response = await this.#open('GET', `/v1/events${query}`, undefined, options.signal)
    if (response.statusCode !== 200) throw problemOf(await answerOf(response))
    for await (const event of readEvents(response)) yield this.#present(event)
  }

  mounts(): Promise<Mount[]> {
    return this.#look(Type.Array(Mount), '/v1/mounts')
  }

  mount(mount: string): Promise<Mount> {
    return this.#look(Mount, path`/v1/mounts/${mount}`)
  }

  addMount(body: MountInput): Promise<Mount> {
    return this.#ask(Mount, 'POST', '/v1/mounts', body)
  }

  async removeMount(mount: string, force: boolean): Promise<void> {
    await this.#exchange('DELETE', path`/v1/mounts/${mount}` + (force ? '?force=true' : ''))
  }

  patchMount(mount: string, body: MountPatch): Promise<Mount> {
    return this.#ask(Mount, 'PATCH', path`/v1/mounts/${mount}`, body)
  }

  restartMount(mount: string): Promise<Mount> {
    return this.#ask(Mount, 'POST', path`/v1/mounts/${mount}/restart`)
  }

  volumes(mount: string): Promise<Volume[]> {
    return this.#ask(Type.Array(Volume), 'GET', path`/v1/mounts/${mount}/volumes`)
  }

  async attach(mount: string, volume: string, body: VolumePut): Promise<{ volume: Volume; isNew: boolean }> {
    const answer = await this.#exchange('PUT', path`/v1/mounts/${mount}/volumes/${volume}`, body)
    return { volume: this.#checked(Volume, answer.body), isNew: answer.status === 201 }
  }

  async detach(mount: string, volume: string, force: boolean): Promise<void> {
    await this.#exchange('DELETE', path`/v1/mounts/${mount}/volumes/${volume}` + (force ? '?force=true' : ''))
  }

  /** Detaches a volume unless it is attached for good. */
  async detachTemporary(mount: string, volume: string): Promise<void> {
    await this.#exchange('DELETE', path`/v1/mounts/${mount}/volumes/${volume}` + '?temporary=true')
  }

  devices(mount: string): Promise<Device[]> {
    return this.#look(Type.Array(Device), path`/v1/mounts/${mount}/devices`)
  }

  async map(mount: string, volume: string, body: DevicePut): Promise<{ device: Device; isNew: boolean }> {
    const answer = await this.#exchange('PUT', path`/v1/mounts/${mount}/devices/${volume}`, body)
    return { device: this.#checked(Device, answer.body), isNew: answer.status === 201 }
  }

  async unmap(mount: string, volume: string): Promise<void> {
    await this.#exchange('DELETE', path`/v1/mounts/${mount}/devices/${volume}`)
  }

  cache(mount: string): Promise<Cache> {
    return this.#ask(Cache, 'GET', path`/v1/mounts/${mount}/cache`)
  }

  patchCache(mount: string, body: CachePatch): Promise<Cache> {
    return this.#ask(Cache, 'PATCH', path`/v1/mounts/${mount}/cache`, body)
  }

  sheep(mount: string): Promise<Sheep> {
    return this.#look(Sheep, path`/v1/mounts/${mount}/sheep`)
  }

  putSheep(mount: string, body: SheepPut): Promise<Sheep> {
    return this.#ask(Sheep, 'PUT', path`/v1/mounts/${mount}/sheep`, body)
  }

  cluster(mount: string): Promise<ClusterInfo> {
    return this.#ask(ClusterInfo, 'GET', path`/v1/mounts/${mount}/cluster`)
  }

  nodes(mount: string): Promise<Node[]> {
    return this.#ask(Type.Array(Node), 'GET', path`/v1/mounts/${mount}/nodes`)
  }

  vdis(mount: string): Promise<Vdi[]> {
    return this.#ask(Type.Array(Vdi), 'GET', path`/v1/mounts/${mount}/vdis`)
  }

  vdi(mount: string, vdi: string): Promise<VdiInfo> {
    return this.#ask(VdiInfo, 'GET', path`/v1/mounts/${mount}/vdis/${vdi}`)
  }

  createVdi(mount: string, body: VdiCreate): Promise<Vdi> {
    return this.#ask(Vdi, 'POST', path`/v1/mounts/${mount}/vdis`, body)
  }

  async deleteVdi(mount: string, vdi: string): Promise<void> {
    await this.#exchange('DELETE', path`/v1/mounts/${mount}/vdis/${vdi}`)
  }

  snapshotVdi(mount: string, vdi: string, body: SnapshotCreate): Promise<Vdi> {
    return this.#ask(Vdi, 'POST', path`/v1/mounts/${mount}/vdis/${vdi}/snapshots`, body)
  }

  cloneVdi(mount: string, vdi: string, body: CloneCreate): Promise<Vdi> {
    return this.#ask(Vdi, 'POST', path`/v1/mounts/${mount}/vdis/${vdi}/clone`, body)
  }

  rollbackVdi(mount: string, snapshot: string): Promise<Rollback> {
    return this.#ask(Rollback, 'POST', path`/v1/mounts/${mount}/vdis/${snapshot}/rollback`)
  }

  resizeVdi(mount: string, vdi: string, body: Resize): Promise<Vdi> {
    return this.#ask(Vdi, 'POST', path`/v1/mounts/${mount}/vdis/${vdi}/resize`, body)
  }

  async #ask<T extends TSchema>(schema: T, method: string, url: string, body?: unknown): Promise<Static<T>> {
    return this.#checked(schema, (await this.#exchange(method, url, body)).body)
  }

  /** What the daemon knows by itself. */
  async #look<T extends TSchema>(schema: T, url: string): Promise<Static<T>> {
    return this.#checked(schema, (await this.#send('GET', url)).body)
  }

  #checked<T extends TSchema>(schema: T, body: unknown): Static<T> {
    if (Check(schema, body)) return this.#present(body)
    throw new SheepfsError(
      'protocol',
      'the answer of the daemon is not understood: is it another version than this program?',
    )
  }

  /** What takes a cluster. */
  #exchange(method: string, url: string, body?: unknown): Promise<Answer> {
    const wait = this.#waits ? `${url.includes('?') ? '&' : '?'}wait=true` : ''
    return this.#send(method, url + wait, body)
  }

  async #send(method: string, url: string, body?: unknown): Promise<Answer> {
    const answer = await answerOf(await this.#open(method, url, body))
    if (![200, 201, 204].includes(answer.status)) throw problemOf(answer)
    return answer
  }

  /** Sends a request and resolves with the head of its answer. Everybody may look, where there is a socket for that. */
  async #open(method: string, url: string, body: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    try {
      return await requestOver(this.#socketPath, { method, url, body, signal })
    } catch (error) {
      const isForbidden = isSheepfsError(error, 'not-permitted') && method === 'GET'
      if (!isForbidden || this.#observerPath === undefined) throw error
      return await requestOver(this.#observerPath, { method, url, body, signal }).catch(() => {
        throw error
      })
    }
  }
}

/** A path with its variable parts percent-encoded. */
function path(fixed: TemplateStringsArray, ...variable: readonly string[]): string {
  return String.raw({ raw: fixed }, ...variable.map((part) => encodeURIComponent(part)))
}

function problemOf({ status, body }: Answer): SheepfsError {
  if (!Check(Problem, body)) {
    if (status === 503) return new SheepfsError('closed', 'the daemon is ending, and takes no requests any more')
    return new SheepfsError('protocol', `the daemon answered with HTTP status ${status}`)
  }
  return new SheepfsError(errorCodeOf(body.code), body.detail)
}
