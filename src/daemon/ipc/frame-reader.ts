import { SheepfsError } from '../../errors.ts'

/** Bytes in front of each frame: its length, little-endian. */
export const FRAME_HEADER_SIZE = 4

/** Takes what another process has written apart into frames, however it arrives; of a frame it keeps as many bytes as it has. */
export class FrameReader {
  readonly #mostBytes: number
  readonly #header = Buffer.alloc(FRAME_HEADER_SIZE)
  #headerLength = 0
  #body: Buffer | undefined
  #bodyLength = 0

  /** `mostBytes`: of a frame without its header. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
  }

  /** The frames that these bytes complete. Errors: protocol, for an empty or too long one, before anything is kept for it. */
  *push(bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length;) {
      at += this.#body ? this.#takeBody(this.#body, bytes, at) : this.#takeHeader(bytes, at)
      if (!this.#body || this.#bodyLength < this.#body.length) continue
      const body = this.#body
      this.#body = undefined
      yield body
    }
  }

  #takeHeader(bytes: Buffer, at: number): number {
    const taken = bytes.copy(this.#header, this.#headerLength, at)
    this.#headerLength += taken
    if (this.#headerLength < FRAME_HEADER_SIZE) return taken
    this.#headerLength = 0
    const length = this.#header.readUInt32LE()
    if (length === 0 || length > this.#mostBytes) {
      throw new SheepfsError('protocol', `a message of ${length} bytes, expected 1 to ${this.#mostBytes}`)
    }
    this.#body = Buffer.allocUnsafe(length)
    this.#bodyLength = 0
    return taken
  }

  #takeBody(body: Buffer, bytes: Buffer, at: number): number {
    const taken = bytes.copy(body, this.#bodyLength, at)
    this.#bodyLength += taken
    return taken
  }
}
