/*
 * A cluster of real nodes that keeps locks: a mount that names its sheep by host name, localhost and the address of another
 * interface keeps the lock of its volume while workers and the daemon are killed at moments of a seed, restarted, and the
 * whole cluster is restarted. A rival tries to attach the volume all the time. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { constants, open, type FileHandle } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import { before, describe, test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { errorText, isSheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import type { Cluster } from '../../src/sheep/cluster.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { volumePath } from '../e2e/ordeal/file-system-load.ts'
import { newPlace, startSheepfsd, type DaemonPlace, type MountTable, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { Random } from '../sheep/random.ts'
import { lacksNodes, RealNodes } from './stage/real-nodes.ts'

const { SHEEPFS_TEST_SEED: seed = '1', SHEEPFS_TEST_KILLS: kills = '200' } = process.env
const MOUNT = 'm'
const SIZE = 16 * 2 ** 20
const BLOCK = 4096
const WORKER_KILLS_PER_DAEMON_KILL = 5
const LONGEST_PAUSE_MS = 3_000
const TRY_MS = 20
const DOWN_MS = 4_000
const JOIN_MS = 500
const limit = { timeout: 3_600_000 }
const log = silentLogger()

/** Tries to take the volume, and tells when it has got it though it was held. */
class Rival {
  readonly #cluster: Cluster
  readonly #name: Buffer
  readonly #stop = new AbortController()
  /** When the mount got the volume; undefined while it is not said to have it. */
  #heldSince: number | undefined
  #running: Promise<void> | undefined
  readonly successes: string[] = []
  tries = 0

  constructor(cluster: Cluster, name: string) {
    this.#cluster = cluster
    this.#name = Buffer.from(name)
  }

  start(): void {
    this.#running = this.#run()
    this.#running.catch(() => undefined) // `stop` tells
  }

  held(): void {
    this.#heldSince = performance.now()
  }

  free(): void {
    this.#heldSince = undefined
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await pause(TRY_MS)
      const since = this.#heldSince
      if (since === undefined) continue
      this.tries++
      try {
        const volume = await openVolume(this.#cluster, { name: this.#name }, { log })
        if (this.#heldSince === since) this.successes.push(`after ${Math.round(performance.now() - since)} ms`)
        await volume.close()
      } catch (error) {
        if (!isSheepfsError(error, 'locked')) throw error
      }
    }
  }
}

/** Writes ever higher numbers to a file that stays open, each after the one before was acknowledged. */
class Writer {
  readonly #path: string
  #file: FileHandle | undefined
  #number = 0
  #acknowledged = 0
  #isStopping = false
  #running: Promise<void> | undefined

  constructor(path: string) {
    this.#path = path
  }

  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Errors: what is there is older than what was acknowledged. */
  async start(): Promise<void> {
    const file = await open(this.#path, constants.O_RDWR | constants.O_DIRECT)
    const block = Buffer.alloc(BLOCK)
    await file.read(block, 0, BLOCK, 0)
    const found = block.readUInt32LE()
    assert.ok(found >= this.#acknowledged, `${found} is there, ${this.#acknowledged} was acknowledged`)
    this.#file = file
    this.#isStopping = false
    this.#running = this.#run(file)
    this.#running.catch(() => undefined) // `stop` tells
  }

  /** Errors: a write has failed. */
  async stop(): Promise<void> {
    this.#isStopping = true
    try {
      await this.#running
    } finally {
      await this.#file?.close().catch(() => undefined) // its mount may be gone
    }
  }

  /** Resolves when one more write was acknowledged. Errors: a write has failed. */
  async advanced(): Promise<void> {
    const number = this.#number + 1
    while (this.#acknowledged < number) await Promise.race([pause(TRY_MS), this.#running])
  }

  async #run(file: FileHandle): Promise<void> {
    const block = Buffer.alloc(BLOCK)
    while (!this.#isStopping) {
      block.writeUInt32LE(++this.#number)
      await file.write(block, 0, BLOCK, 0)
      this.#acknowledged = this.#number
    }
  }
}

/** One mount with one volume, a writer on it, and a rival. */
class Holder {
  readonly #stage: Stage
  readonly #table: MountTable
  readonly #place: DaemonPlace
  readonly #writer: Writer
  readonly #rival: Rival
  daemon!: Sheepfsd

  constructor(stage: Stage, options: { table: MountTable; place: DaemonPlace; writer: Writer; rival: Rival }) {
    this.#stage = stage
    this.#table = options.table
    this.#place = options.place
    this.#writer = options.writer
    this.#rival = options.rival
  }

  async start(): Promise<void> {
    this.daemon = await startSheepfsd(this.#stage, { mounts: [this.#table], place: this.#place })
    await this.daemon.serving(MOUNT)
    await this.#writer.start()
    this.#rival.held()
  }

  async stop(): Promise<void> {
    await this.#writer.stop()
    this.#rival.free()
    assert.equal(await this.daemon.stop(), 0)
  }

  /** The worker, whether it serves already or not. */
  async killWorker(): Promise<void> {
    const { worker } = await this.daemon.client.mount(MOUNT)
    if (worker) process.kill(worker.pid, 'SIGKILL')
  }

  /** Its worker gives back the lock, and the next daemon takes it. */
  async killDaemon(): Promise<void> {
    await this.daemon.serving(MOUNT)
    this.#rival.free()
    process.kill(this.daemon.child.pid ?? assert.fail(), 'SIGKILL')
    await this.#writer.stop().catch(() => undefined) // the mount went with the daemon
    await this.start()
  }

  async restartCluster(nodes: RealNodes): Promise<void> {
    const numbers = [...nodes.addresses.keys()]
    for (const number of numbers) await nodes.tell('kill', number)
    await pause(DOWN_MS)
    for (const number of numbers) {
      await nodes.tell('start', number)
      await pause(JOIN_MS)
    }
    await nodes.whole()
    await this.#writer.advanced()
  }

  async advanced(): Promise<void> {
    await this.daemon.serving(MOUNT, 1, 120_000)
    await this.#writer.advanced()
  }
}

/** Names of this host by which the sheep on it can be reached. */
function names(): string[] {
  const outer = Object.values(networkInterfaces()).flat()
  const address = outer.find((one) => one?.family === 'IPv4' && !one.internal)?.address
  return ['localhost', hostname(), ...(address === undefined ? [] : [address])]
}

describe('the lock of a volume', { skip: lacksNodes }, () => {
  let nodes: RealNodes
  before(async () => {
    nodes = await RealNodes.find()
  })

  const outlive = async (t: TestContext, name: string, times: number): Promise<void> => {
    const own = new Stage()
    try {
      const cluster = await nodes.client(own)
      const volume = `sheepfs-test-${randomBytes(6).toString('hex')}`
      const { vdiId } = await createVdi(cluster, { name: volume, size: SIZE })
      const rival = new Rival(await nodes.client(own, { addresses: [nodes.at(1)] }), volume)
      const mountpoint = await own.mountpoint()
      const table = { name: MOUNT, mountpoint, sheep: [`${name}:${nodes.at(0).port}`], volumes: [volume] }
      const writer = new Writer(volumePath(mountpoint, volume))
      const holder = new Holder(own, { table, place: await newPlace(own), writer, rival })
      await holder.start()
      rival.start()
      const random = new Random(Number(seed))
      for (let kill = 1; kill <= times; kill++) {
        await pause(random.below(LONGEST_PAUSE_MS))
        if (random.below(WORKER_KILLS_PER_DAEMON_KILL + 1) === 0) await holder.killDaemon()
        else await holder.killWorker()
      }
      await holder.advanced()
      await holder.daemon.client.restartMount(MOUNT)
      await holder.advanced()
      await holder.stop()
      await holder.start()
      await holder.advanced()
      await holder.restartCluster(nodes)
      await holder.killWorker()
      await holder.advanced()
      await holder.stop()
      await rival.stop()
      t.diagnostic(`${rival.tries} tries of the rival, ${writer.acknowledged} writes`)
      assert.deepEqual(rival.successes, [])
      for (const address of nodes.addresses) {
        const states = await (await nodes.client(own, { addresses: [address] })).lockStates()
        assert.equal(states.has(vdiId), false, `locked at ${address.port}`)
      }
      await deleteVdi(cluster, [{ name: Buffer.from(volume) }], () => undefined)
    } catch (error) {
      throw new Error(errorText(error), { cause: error })
    } finally {
      await own.close()
    }
  }

  const all = names()
  for (const name of all) {
    const times = Math.ceil(Number(kills) / all.length)
    test(`is kept by who calls the sheep ${name}, and given back`, limit, (t) => outlive(t, name, times))
  }
})
