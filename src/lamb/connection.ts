import type { Socket } from 'node:net'
import { Framer, type FrameSink } from '../wire/framer.ts'
import { vidOf } from '../wire/object-id.ts'
import { Flag, Opcode, Req, Rsp, SD_HEADER_SIZE } from '../wire/sd-proto.ts'
import { dispatch } from './dispatch.ts'
import type { FaultAction } from './faults.ts'
import type { LambNode } from './node.ts'
import { Outbox } from './outbox.ts'
import { shuffle } from './random.ts'
import { oidOf, type Reply, type Request } from './request.ts'
import { bytesOf, type Block } from './slabs.ts'
import { snapshotByOther } from './snapshot-by-other.ts'

/** Where a sheep's allocation fails sooner or later, and it closes the connection. */
const MAX_PAYLOAD = 256 << 20
const LARGE = 65_536
/** How long answers wait for others to change places with. */
const REORDER_MS = 2

interface Pending extends Request {
  readonly id: number
  readonly payloadBlock: Block | undefined
}

/**
 * One client. Requests that came together are executed in random order, and each is answered when it is done: like a
 * sheep it gives neither order nor read-after-write (docs/sheepdog-protocol.md#1.6).
 */
export class Connection implements FrameSink {
  readonly #socket: Socket
  readonly #node: LambNode
  readonly #gateway: number
  readonly #framer = new Framer(this)
  readonly #outbox: Outbox
  readonly #batch: Pending[] = []
  readonly #freeHeaders: DataView[] = []
  #payloadBlock: Block | undefined
  readonly #held: Block[] = []
  #holdTimer: NodeJS.Timeout | undefined

  constructor(socket: Socket, node: LambNode, gateway: number) {
    this.#socket = socket
    this.#node = node
    this.#gateway = gateway
    this.#outbox = new Outbox(socket, node.slabs, node.faults)
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      this.#receive(chunk)
    })
    // A client that went away needs no answer, and what it sent is executed all the same.
    socket.on('error', () => {
      socket.destroy()
    })
  }

  destroy(): void {
    clearTimeout(this.#holdTimer)
    this.#socket.destroy()
  }

  payloadLength(header: DataView): number {
    if ((Req.flags.get(header) & Flag.WRITE) === 0) return 0
    const length = Req.dataLength.get(header)
    if (length > MAX_PAYLOAD) throw new RangeError(`a payload of ${length} bytes: at most ${MAX_PAYLOAD} fit`)
    return length
  }

  payloadBuffer(_header: DataView, length: number): Uint8Array {
    this.#payloadBlock = this.#node.slabs.take(length)
    return bytesOf(this.#payloadBlock)
  }

  frame(header: DataView, payload: Uint8Array): void {
    const own = this.#freeHeaders.pop() ?? new DataView(new ArrayBuffer(SD_HEADER_SIZE))
    for (let word = 0; word < SD_HEADER_SIZE; word += 4) own.setUint32(word, header.getUint32(word))
    this.#batch.push({
      header: own,
      opcode: Req.opcode.get(own),
      flags: Req.flags.get(own),
      dataLength: Req.dataLength.get(own),
      id: Req.id.get(own),
      payload,
      gateway: this.#gateway,
      payloadBlock: this.#payloadBlock,
    })
    this.#payloadBlock = undefined
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (let at = 0; at < chunk.length;) {
        const room = this.#framer.buffer()
        const part = chunk.subarray(at, at + room.length)
        room.set(part)
        at += part.length
        this.#framer.advance(part.length)
      }
    } catch (error) {
      this.#node.options.logger.warn({ err: error }, 'broken stream')
      this.destroy()
      return
    }
    const batch = this.#batch.splice(0)
    if (batch.length > 1) shuffle(batch, this.#node.faults.random)
    for (const request of batch) this.#begin(request)
    this.#outbox.flush()
  }

  #begin(request: Pending): void {
    if (isIo(request.opcode)) this.#node.statistics.begin(request.opcode, request.dataLength)
    if (this.#node.faults.isActive) {
      void this.#serveWithFaults(request)
      return
    }
    const reply = dispatch(this.#node, request)
    if (reply instanceof Promise) void this.#answerWhenDone(request, reply)
    else this.#answer(request, reply)
  }

  async #serveWithFaults(request: Pending): Promise<void> {
    const { faults } = this.#node
    const rule = faults.matchRule(request)
    const action = (await faults.before?.(request)) ?? rule
    if (action === 'silence') return
    if (action === 'drop-before') {
      this.#end(request)
      this.destroy()
      return
    }
    await faults.delay(action)
    if (action === 'snapshot') await snapshotByOther(this.#node, vidOf(oidOf(request)))
    const reply = hasResult(action) ? { result: action.result } : await dispatch(this.#node, request)
    if (action === 'drop-after') {
      this.#end(request)
      if (reply.block) this.#node.slabs.release(reply.block)
      this.destroy()
      return
    }
    this.#answerLate(request, reply)
  }

  async #answerWhenDone(request: Pending, reply: Promise<Reply>): Promise<void> {
    this.#answerLate(request, await reply)
  }

  #answerLate(request: Pending, reply: Reply): void {
    this.#answer(request, reply)
    this.#outbox.flush()
  }

  #answer(request: Pending, reply: Reply): void {
    const block = this.#encode(request, reply)
    this.#end(request)
    if (this.#node.faults.reorder > 0) this.#hold(block)
    else this.#outbox.push(block)
    // Large answers leave at once, while they are in the processor's cache.
    if (block.length >= LARGE) this.#outbox.flush()
  }

  #encode(request: Pending, reply: Reply): Block {
    const { slabs, cluster } = this.#node
    const payloadLength = reply.payload?.length ?? 0
    const block = reply.block ?? slabs.take(SD_HEADER_SIZE + payloadLength)
    const { view } = block.slab
    const at = block.start
    for (let word = 0; word < SD_HEADER_SIZE; word += 4) view.setUint32(at + word, 0)
    Rsp.opcode.set(view, request.opcode, at)
    Rsp.epoch.set(view, cluster.epoch, at)
    Rsp.id.set(view, request.id, at)
    Rsp.dataLength.set(view, block.length - SD_HEADER_SIZE, at)
    Rsp.result.set(view, reply.result, at)
    reply.fill?.(view, at)
    if (reply.payload) block.slab.memory.set(reply.payload, at + SD_HEADER_SIZE)
    return block
  }

  #end(request: Pending): void {
    if (isIo(request.opcode)) this.#node.statistics.end()
    if (request.payloadBlock) this.#node.slabs.release(request.payloadBlock)
    this.#freeHeaders.push(request.header)
  }

  #hold(block: Block): void {
    this.#held.push(block)
    if (this.#held.length >= this.#node.faults.reorder) this.#letGo()
    else
      this.#holdTimer ??= setTimeout(() => {
        this.#letGo()
      }, REORDER_MS)
  }

  #letGo(): void {
    clearTimeout(this.#holdTimer)
    this.#holdTimer = undefined
    const held = this.#held.splice(0)
    shuffle(held, this.#node.faults.random)
    for (const block of held) this.#outbox.push(block)
    this.#outbox.flush()
  }
}

function isIo(opcode: number): boolean {
  return opcode <= Opcode.DISCARD_OBJ || opcode === Opcode.FLUSH_VDI
}

function hasResult(action: FaultAction | undefined): action is { readonly result: number } {
  return typeof action === 'object' && 'result' in action
}
