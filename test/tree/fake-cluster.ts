import { SheepfsError } from '../../src/errors.ts'
import type { Address } from '../../src/sheep/address.ts'
import type { ClusterFacts } from '../../src/tree/cluster-facts.ts'
import type { ServedVolume } from '../../src/tree/served-volume.ts'
import type { VdiSpec } from '../../src/wire/vdi-ops.ts'
import { type NodeRecord, parseAddr } from '../../src/wire/node-record.ts'
import { Result } from '../../src/wire/sd-proto.ts'

/** A volume in memory that counts what happens to it. */
export class FakeVolume implements ServedVolume {
  readonly objectSize = 4 << 20
  fixedMs: number | undefined
  readonly allocatedBytes = 512
  readonly isReadOnly: boolean
  hasOtherWriters = false
  bytes: Uint8Array
  isClosed = false
  /** What somebody else made of its size. */
  sizeElsewhere: number | undefined
  /** What reads wait for. */
  reading: Promise<void> = Promise.resolve()
  /** What zero waits for. */
  zeroing: Promise<void> = Promise.resolve()
  /** What close waits for. */
  closing: Promise<void> = Promise.resolve()

  readonly identity = { vid: 1, createdAt: '0000000000000001' }
  readonly clusterCtime = undefined

  constructor(options: { size?: number; isReadOnly?: boolean } = {}) {
    this.bytes = new Uint8Array(options.size ?? 1000)
    this.isReadOnly = options.isReadOnly ?? false
  }

  get size(): number {
    return this.bytes.length
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    await this.reading
    if (this.isClosed) throw new Error('read after close')
    const piece = this.bytes.subarray(position, position + into.length)
    into.set(piece)
    return piece.length
  }

  write(position: number, data: Uint8Array): Promise<number> {
    this.bytes.set(data, position)
    return Promise.resolve(data.length)
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  async zero(position: number, length: number): Promise<void> {
    await this.zeroing
    this.bytes.fill(0, position, position + length)
  }

  seek(position: number): Promise<number> {
    return Promise.resolve(position)
  }

  grow(size: number): Promise<void> {
    if (size < this.size) return Promise.reject(new SheepfsError('not-permitted', 'cannot be made smaller'))
    const grown = new Uint8Array(size)
    grown.set(this.bytes)
    this.bytes = grown
    return Promise.resolve()
  }

  async refresh(): Promise<boolean> {
    if (this.sizeElsewhere === undefined || this.sizeElsewhere === this.size) return false
    await this.grow(this.sizeElsewhere)
    return true
  }

  async close(): Promise<void> {
    await this.closing
    this.isClosed = true
  }
}

const LOCAL = parseAddr('127.0.0.1') ?? new Uint8Array(16)

/** A cluster of one node that answers what it is told to, and knows the VDIs of `volumes` by "name", "name@tag", "name#id". */
export class FakeCluster implements ClusterFacts {
  readonly volumes = new Map<string, FakeVolume>()
  readonly opened: string[] = []
  nodesNow: NodeRecord[] = [{ addr: LOCAL, port: 7000, nrVnodes: 128, zone: 0, space: 0, disks: [] }]
  addresses: readonly Address[] = [{ host: '127.0.0.1', port: 7000 }]
  objectCache = false

  setObjectCache(isOn: boolean): Promise<void> {
    this.objectCache = isOn
    return Promise.resolve()
  }
  questions = 0
  state: number = Result.WAIT_FOR_FORMAT
  /** What every question waits for first. */
  gate: Promise<void> = Promise.resolve()

  async status() {
    await this.#asked()
    return { result: this.state, status: undefined }
  }

  async nodes(): Promise<NodeRecord[]> {
    await this.#asked()
    return this.nodesNow
  }

  /** Ports of nodes that do not say what space they have. */
  readonly silent = new Set<number>()

  async storeSpace({ port }: NodeRecord) {
    await this.#asked()
    return this.silent.has(port) ? undefined : { size: 1000, free: 400 }
  }

  async vdis() {
    await this.#asked()
    return []
  }

  async vdiHeaders() {
    await this.#asked()
    return []
  }

  async setAddresses(addresses: readonly Address[]): Promise<void> {
    await this.#asked()
    if (addresses.some(({ port }) => port === 1)) throw new SheepfsError('unreachable', 'nobody listens there')
    this.addresses = addresses
  }

  readonly openVolume = async (spec: VdiSpec): Promise<ServedVolume> => {
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
    const suffix = spec.tag ? `@${text(spec.tag)}` : spec.snapId ? `#${spec.snapId}` : ''
    const key = text(spec.name) + suffix
    this.opened.push(key)
    await this.#asked()
    const volume = this.volumes.get(key)
    if (!volume) throw new SheepfsError('not-found', `no VDI "${key}"`)
    volume.isClosed = false
    return volume
  }

  async #asked(): Promise<void> {
    this.questions++
    await this.gate
  }
}
