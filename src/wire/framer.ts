import { SD_HEADER_SIZE } from './sd-proto.ts'
import { viewOf } from './field.ts'

/** What a framer asks of the one who knows the requests. */
export interface FrameSink {
  /** Bytes that follow this header. Throws when that cannot be: the stream is broken and the connection must go. */
  payloadLength(header: DataView): number
  /** Memory for a payload of `length` bytes (> 0), filled before `frame` is called. */
  payloadBuffer(header: DataView, length: number): Uint8Array
  /** A whole message. The header's memory is used again after the call. */
  frame(header: DataView, payload: Uint8Array): void
}

/** What is received in one read at most. Most connections only ever receive a few headers, and there may be thousands. */
const FIRST_SCRATCH_SIZE = 4096
const LAST_SCRATCH_SIZE = 65536
/** Payload rests from this size on are received in place; smaller ones come with what follows them, in one read. */
const IN_PLACE_MINIMUM = 16384
const NO_PAYLOAD = new Uint8Array(0)

/**
 * Cuts a stream of 48-byte headers and payloads into messages, whatever the chunking (docs/sheepdog-protocol.md#1.1,
 * #1.4). Pure: the owner of the socket receives into `buffer()` and says how much with `advance()`, so that large
 * payloads are not copied.
 */
export class Framer {
  readonly #sink: FrameSink
  #scratch = new Uint8Array(FIRST_SCRATCH_SIZE)
  #scratchView = viewOf(this.#scratch)
  readonly #header = new Uint8Array(SD_HEADER_SIZE)
  readonly #headerView = viewOf(this.#header)
  #start = 0
  #end = 0
  #payload: Uint8Array | undefined
  #filled = 0
  #inPlace = false

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** True between messages: a stream that ends here ends cleanly. */
  get isIdle(): boolean {
    return this.#payload === undefined && this.#start === this.#end
  }

  /** Where the next bytes of the stream go; never empty. */
  buffer(): Uint8Array {
    this.#inPlace = this.#payload !== undefined && this.#payload.length - this.#filled >= IN_PLACE_MINIMUM
    if (this.#inPlace && this.#payload) return this.#payload.subarray(this.#filled)
    return this.#scratch.subarray(this.#end)
  }

  /** `length` bytes have been put into the last `buffer()`. Calls the sink for every message they complete. */
  advance(length: number): void {
    if (this.#inPlace) this.#filled += length
    else this.#end += length
    if (this.#end === this.#scratch.length) this.#grow()
    while (this.#payload ? this.#continuePayload(this.#payload) : this.#startMessage());
    if (this.#start === this.#end) {
      this.#start = this.#end = 0
    } else if (this.#end === this.#scratch.length) {
      this.#scratch.copyWithin(0, this.#start, this.#end)
      this.#end -= this.#start
      this.#start = 0
    }
  }

  /** A read has filled it: more comes. */
  #grow(): void {
    if (this.#scratch.length === LAST_SCRATCH_SIZE) return
    const larger = new Uint8Array(this.#scratch.length * 4)
    larger.set(this.#scratch)
    this.#scratch = larger
    this.#scratchView = viewOf(larger)
  }

  #startMessage(): boolean {
    if (this.#end - this.#start < SD_HEADER_SIZE) return false
    for (let word = 0; word < SD_HEADER_SIZE; word += 4) {
      this.#headerView.setUint32(word, this.#scratchView.getUint32(this.#start + word))
    }
    this.#start += SD_HEADER_SIZE
    const length = this.#sink.payloadLength(this.#headerView)
    if (length === 0) {
      this.#sink.frame(this.#headerView, NO_PAYLOAD)
    } else {
      this.#payload = this.#sink.payloadBuffer(this.#headerView, length)
      this.#filled = 0
    }
    return true
  }

  #continuePayload(payload: Uint8Array): boolean {
    const length = Math.min(payload.length - this.#filled, this.#end - this.#start)
    if (length > 0) {
      payload.set(this.#scratch.subarray(this.#start, this.#start + length), this.#filled)
      this.#start += length
      this.#filled += length
    }
    if (this.#filled < payload.length) return false
    this.#payload = undefined
    this.#inPlace = false
    this.#sink.frame(this.#headerView, payload)
    return true
  }
}
