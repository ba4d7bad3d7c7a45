import type { Message } from '../wire/message.ts'
import { readOid, vidOf } from '../wire/object-id.ts'
import { Flag, Opcode, Req, ReqObj } from '../wire/sd-proto.ts'

/** Requests that a gateway may serve from its cache. */
const CACHED = new Set<number>([Opcode.READ_OBJ, Opcode.WRITE_OBJ, Opcode.CREATE_AND_WRITE_OBJ])

interface ObjectCacheOptions {
  readonly isOn: boolean
  /** Writes what home has of VDIs in its cache, and deletes the caches of all gateways. */
  readonly empty: (vids: Iterable<number>) => Promise<void>
}

/**
 * The caches of the gateways, which clusters up to 0.9 may have. Each gateway has its own, and none hears of what is written
 * through another; what carries neither CACHE nor DIRECT goes into it too. So every object request says one or the other.
 * A gateway may crash when what is in use is deleted (sheepdog 0.9: sheep/object_cache.c, object_cache_delete): then nothing
 * of ours is under way.
 */
export class ObjectCache {
  readonly #empty: ObjectCacheOptions['empty']
  #isOn: boolean
  /** VDIs whose objects were asked for. */
  readonly #vids = new Set<number>()
  #underWay = 0
  #onDrained: (() => void) | undefined
  /** No object request is sent before it resolves. */
  #pause: Promise<void> | undefined

  constructor(options: ObjectCacheOptions) {
    this.#empty = options.empty
    this.#isOn = options.isOn
  }

  get isOn(): boolean {
    return this.#isOn
  }

  /** The cluster has none. */
  giveUp(): void {
    this.#isOn = false
  }

  /** Sends a request, unless caches are being emptied: then after that. */
  async pass<T>(message: Message, send: () => Promise<T>): Promise<T> {
    if (!CACHED.has(Req.opcode.get(message.header))) return send()
    while (this.#pause) await this.#pause
    this.#mark(message)
    this.#underWay++
    try {
      return await send()
    } finally {
      this.#underWay--
      if (this.#underWay === 0) this.#onDrained?.()
    }
  }

  /**
   * Switches, when all requests have been answered and the caches are empty. Errors: unreachable, timeout, io, when they
   * cannot be emptied; nothing has changed then.
   */
  turn(isOn: boolean): Promise<void> {
    return this.#alone(async () => {
      if (isOn === this.#isOn) return
      await this.#empty(this.#vids)
      this.#isOn = isOn
    })
  }

  /** Empties the caches of a VDI that nobody else uses. Errors: as `turn`. */
  emptyOf(vid: number): Promise<void> {
    return this.#isOn ? this.#alone(() => this.#empty([vid])) : this.#empty([vid])
  }

  #mark({ header }: Message): void {
    const flags = Req.flags.get(header) & ~(Flag.CACHE | Flag.DIRECT)
    Req.flags.set(header, flags | (this.#isOn ? Flag.CACHE : Flag.DIRECT))
    this.#vids.add(vidOf(readOid(header, ReqObj.oid.offset)))
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    while (this.#pause) await this.#pause
    const done = this.#drained().then(work)
    const end = (): void => {
      this.#pause = undefined
    }
    this.#pause = done.then(end, end) // the error is told to whoever asked for the work
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
