import { sleep, type Clock } from '../clock.ts'
import type { Message } from '../wire/message.ts'
import { vidOf } from '../wire/object-id.ts'
import { deleteCache, flushVdi } from '../wire/object-ops.ts'
import { Flag, Opcode, Req, Result, SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import type { Requests } from './requests.ts'
import { expectSuccess, resultError } from './result-error.ts'
import type { Timing } from './timing.ts'

/** Requests that a gateway may serve from its cache. */
const CACHED = new Set<number>([Opcode.READ_OBJ, Opcode.WRITE_OBJ, Opcode.CREATE_AND_WRITE_OBJ])

/**
 * Requests under way at a time while the cache is on. A sheep of 0.9 serves its clients with 32 threads; when all of them wait
 * for objects that it is writing back, which needs one of the same threads, it stands for ever (docs/sheepdog-protocol.md#8).
 */
const MOST_CACHED = 16

interface ObjectCacheOptions {
  readonly isOn: boolean
  readonly clock: Clock
  readonly timing: Timing
}

/**
 * The caches of the gateways, which clusters up to 0.9 may have. Each gateway has its own, and none hears of what is written
 * through another; what carries neither CACHE nor DIRECT goes into it too. So every object request says one or the other.
 * A gateway may crash when what is in use is deleted (sheepdog 0.9: sheep/object_cache.c, object_cache_delete): then nothing
 * of ours is under way.
 */
export class ObjectCache {
  readonly #options: ObjectCacheOptions
  #isOn: boolean
  /** VDIs whose objects were asked for. */
  readonly #vids = new Set<number>()
  #underWay = 0
  /** Requests that wait for another one to end, oldest first. */
  readonly #waiting: (() => void)[] = []
  #onDrained: (() => void) | undefined
  /** Caches are being emptied: no object request is sent before. */
  #emptying: Promise<void> | undefined

  constructor(options: ObjectCacheOptions) {
    this.#options = options
    this.#isOn = options.isOn
  }

  get isOn(): boolean {
    return this.#isOn
  }

  /** The cluster has none. */
  giveUp(): void {
    this.#isOn = false
  }

  /** Sends a request; after others when caches are being emptied, or as many as may be are under way. */
  async pass<T>(message: Message, send: () => Promise<T>): Promise<T> {
    if (!CACHED.has(Req.opcode.get(message.header))) return send()
    for (let obstacle = this.#obstacle(); obstacle; obstacle = this.#obstacle()) await obstacle
    this.#mark(message)
    this.#underWay++
    try {
      return await send()
    } finally {
      this.#underWay--
      this.#waiting.shift()?.()
      if (this.#underWay === 0) this.#onDrained?.()
    }
  }

  /**
   * Switches, when all requests have been answered and the caches are empty. Errors: unreachable, timeout, io, when they
   * cannot be emptied; nothing has changed then.
   */
  turn(isOn: boolean, cluster: Requests): Promise<void> {
    return this.#alone(async () => {
      if (isOn === this.#isOn) return
      await this.#empty(this.#vids, cluster)
      this.#isOn = isOn
    })
  }

  /** Empties the caches of a VDI that nobody else uses. Errors: as `turn`. */
  emptyOf(vid: number, cluster: Requests): Promise<void> {
    return this.#isOn ? this.#alone(() => this.#empty([vid], cluster)) : this.#empty([vid], cluster)
  }

  /**
   * Writes what home has of VDIs in its cache, and deletes the caches of all gateways. Not by FLUSH_DEL_CACHE, which writes
   * back all that is in the cache of one gateway, old objects too (sheepdog 0.9: object_cache_flush_and_delete).
   */
  async #empty(vids: Iterable<number>, cluster: Requests): Promise<void> {
    const { clock, timing } = this.#options
    const { protoVer } = cluster
    if (protoVer === SD_SHEEP_PROTO_VERS[0]) return // 1.0 has none
    const what = (vid: number): string => `object cache of inode ${vid.toString(16)}`
    let isPushing = false
    for (const vid of vids) {
      const { result } = await cluster.query(flushVdi(vid))
      if (result === Result.SUCCESS) isPushing = true
      else if (result !== Result.INVALID_PARMS) throw resultError(result, what(vid)) // that sheep has none, others may
    }
    // the last push may still be under way when it is answered, and deleting then kills it (object_cache.c, do_push_object)
    if (isPushing) await sleep(clock, timing.cachePauseMs)
    for (const vid of vids) expectSuccess(await cluster.query(deleteCache(vid, protoVer)), what(vid))
  }

  /** What a request has to wait for before it may be sent. */
  #obstacle(): Promise<void> | undefined {
    if (this.#emptying) return this.#emptying
    if (!this.#isOn || this.#underWay < MOST_CACHED) return undefined
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #mark({ header, oid }: Message): void {
    const flags = Req.flags.get(header) & ~(Flag.CACHE | Flag.DIRECT)
    Req.flags.set(header, flags | (this.#isOn ? Flag.CACHE : Flag.DIRECT))
    if (oid) this.#vids.add(vidOf(oid))
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    while (this.#emptying) await this.#emptying
    const done = this.#drained().then(work)
    const end = (): void => {
      this.#emptying = undefined
    }
    this.#emptying = done.then(end, end) // the error is told to whoever asked for the work
    await done
  }

  async #drained(): Promise<void> {
    if (this.#underWay === 0) return
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve
    })
    this.#onDrained = undefined
  }
}
