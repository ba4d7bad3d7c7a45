import { once } from 'node:events'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { SheepfsError, errorText } from '../errors.ts'
import { silentLogger, type Logger } from '../log.ts'
import { systemClock } from '../system-clock.ts'
import { viewOf } from '../wire/field.ts'
import { ClusterFlag } from '../wire/info-ops.ts'
import { DEFAULT_BLOCK_SIZE_SHIFT } from '../wire/inode.ts'
import { parseAddr } from '../wire/node-record.ts'
import { Result, SD_PORT, resultName } from '../wire/sd-proto.ts'
import { ClusterFile, timestamp, type ClusterSettings } from './cluster-file.ts'
import { Connection } from './connection.ts'
import type { Faults } from './faults.ts'
import { FileStore } from './file-store.ts'
import { LambNode } from './node.ts'
import { releases, type ReleaseName } from './release.ts'
import { createVdi } from './vdi-create.ts'

/** sockaddr_un.sun_path of Linux, less its NUL. */
const MAX_SOCKET_PATH = 107

/** How a lamb is started. Only `store` is needed. */
export interface LambOptions {
  /** Directory of the objects; made when missing. */
  readonly store: string
  /** Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 7000. Further gateways get the ports after it; with 0 all get any free one. */
  readonly port?: number | undefined
  /** Sheep that the cluster seems to have, all serving the same store. Default 1. */
  readonly gateways?: number | undefined
  /** VDIs to make when they are missing; sizes in bytes. */
  readonly vdis?: readonly { readonly name: string; readonly size: number }[] | undefined
  /** How a new store is formatted; an old one keeps its settings. */
  readonly format?: Partial<Omit<ClusterSettings, 'ctime'>> | undefined
  /** A new store stays unformatted. */
  readonly isUnformatted?: boolean | undefined
  /** Zone of the node. Default: from its address. */
  readonly zone?: number | undefined
  /** Zones that the cluster pretends to have. Default 1. */
  readonly zones?: number | undefined
  /** What the lamb passes for. Default 1.0. */
  readonly release?: ReleaseName | undefined
  /** Each gateway has an object cache, as sheep up to 0.9 with -w. */
  readonly hasObjectCache?: boolean | undefined
  /** Of the random order of execution and of the faults. Default 1. */
  readonly seed?: number | undefined
  readonly logger?: Logger | undefined
}

/** Where a lamb listens: its first gateway, and the ports of all. */
export interface ListeningAt {
  readonly host: string
  readonly port: number
  readonly ports: readonly number[]
}

/** The embedded sheep: a cluster of one node, in this process. For tests and for trying out, not for production. */
export class Lamb {
  readonly #options: LambOptions
  readonly #store: FileStore
  readonly #node: LambNode
  readonly #connections = new Map<Socket, Connection>()
  #servers: Server[] = []
  #closing: Promise<void> | undefined

  constructor(options: LambOptions) {
    this.#options = options
    this.#store = new FileStore(options.store)
    this.#node = new LambNode({
      directory: options.store,
      store: this.#store,
      cluster: new ClusterFile(options.store),
      clock: systemClock,
      release: releases[options.release ?? '1.0'],
      zones: () => options.zones ?? 1,
      hasObjectCache: options.hasObjectCache ?? false,
      seed: options.seed ?? 1,
      logger: options.logger ?? silentLogger(),
    })
  }

  /** The faults, which may be changed at any time. */
  get faults(): Faults {
    return this.#node.faults
  }

  /**
   * Opens the store and listens. Errors: `busy` when another lamb serves the store or the port is taken, `invalid` for a
   * store it cannot use.
   */
  async open(): Promise<ListeningAt> {
    try {
      return await this.#open()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Cuts all connections and stops; what was being executed is finished first. */
  async close(): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #open(): Promise<ListeningAt> {
    const { store, host = '127.0.0.1', port = SD_PORT, gateways = 1, vdis = [], isUnformatted = false } = this.#options
    mkdirSync(store, { recursive: true })
    refuseForeignDirectory(store)
    await this.#listenLocally(join(store, 'sock'))
    this.#store.open()
    this.#node.open()
    if (!this.#node.cluster.settings && !isUnformatted) this.#node.format(settingsOf(this.#options))
    const first = await this.#listen({ host, port }, 0)
    const ports = [first.port]
    for (let i = 1; i < gateways; i++) {
      ports.push((await this.#listen({ host, port: port === 0 ? 0 : first.port + i }, i)).port)
    }
    const { used, free } = this.#node.store.space()
    const addr = advertised(first.address)
    this.#node.address = { addr, ports, space: used + free, zone: this.#options.zone ?? addressZone(addr) }
    for (const vdi of vdis) await this.#makeVdi(vdi.name, vdi.size)
    return { host: first.address, port: first.port, ports }
  }

  /** A sheep listens in its store too; for the lamb this also keeps a second one away from it. */
  async #listenLocally(path: string): Promise<void> {
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
      throw new SheepfsError('invalid', `the path ${path} is too long for a socket: at most ${MAX_SOCKET_PATH} bytes`)
    }
    if (await answers(path)) {
      throw new SheepfsError('busy', `the store ${this.#options.store} is served by another lamb`)
    }
    rmSync(path, { force: true })
    await this.#start({ path }, 0)
  }

  async #listen(options: ListenOptions, gateway: number): Promise<AddressInfo> {
    const server = await this.#start(options, gateway)
    return server.address() as AddressInfo
  }

  async #start(options: ListenOptions, gateway: number): Promise<Server> {
    const server = createServer({ noDelay: true }, (socket) => {
      this.#connections.set(socket, new Connection(socket, this.#node, gateway))
      socket.on('close', () => {
        this.#connections.delete(socket)
      })
    })
    this.#servers.push(server)
    server.listen(options)
    try {
      await once(server, 'listening')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const what = options.path ?? `${options.host ?? ''}:${options.port ?? 0}`
      throw new SheepfsError(
        code === 'EADDRINUSE' ? 'busy' : 'invalid',
        `cannot listen on ${what}: ${errorText(error)}`,
        {
          cause: error,
        },
      )
    }
    server.on('error', (error) => {
      this.#node.options.logger.error({ err: error }, 'cannot accept connections')
    })
    return server
  }

  async #makeVdi(name: string, size: number): Promise<void> {
    const wanted = { name: Buffer.from(name), size, baseVid: 0, copies: 0, copyPolicy: 0, storePolicy: 0 }
    const { result } = await createVdi(this.#node, { ...wanted, blockSizeShift: 0, isSnapshot: false })
    if (result === Result.SUCCESS || result === Result.VDI_EXIST) return
    throw new SheepfsError('io', `cannot make the VDI "${name}": ${resultName(result) ?? result}`)
  }

  async #close(): Promise<void> {
    const closed = this.#servers.filter((server) => server.listening).map((server) => once(server, 'close'))
    for (const server of this.#servers) server.close()
    for (const connection of this.#connections.values()) connection.destroy()
    await this.#node.close()
    this.#store.close()
    await Promise.all(closed)
  }
}

function settingsOf({ format = {} }: LambOptions): ClusterSettings {
  return {
    copies: 1,
    copyPolicy: 0,
    blockSizeShift: DEFAULT_BLOCK_SIZE_SHIFT,
    flags: ClusterFlag.AUTO_VNODES,
    storeName: 'plain',
    ...format,
    ctime: timestamp(systemClock),
  }
}

/** What a lamb puts into its store. */
const STORE_ENTRIES = new Set(['cluster.json', 'cluster.json.new', 'obj', 'sock', 'tmp'])

/** Objects and leftovers are removed at times, so that the directory must be a lamb's own. */
function refuseForeignDirectory(store: string): void {
  const entries = readdirSync(store)
  if (entries.includes('cluster.json')) return
  const foreign = entries.filter((name) => !STORE_ENTRIES.has(name))
  if (foreign.length === 0) return
  const some = foreign.slice(0, 3).join(', ')
  throw new SheepfsError('invalid', `the directory ${store} holds other things (${some}): name a new or an empty one`)
}

/** What a sheep takes without -z: the last four bytes of its address, little-endian. */
function addressZone(addr: Uint8Array): number {
  return viewOf(addr).getUint32(12, true)
}

/** Nobody can connect to a wildcard address. */
function advertised(address: string): Uint8Array {
  const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address
  return parseAddr(host) ?? new Uint8Array(16)
}

async function answers(path: string): Promise<boolean> {
  const socket = connect({ path })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    // Nobody listens: a leftover of a killed process, or no socket at all.
    return false
  } finally {
    socket.destroy()
  }
}
