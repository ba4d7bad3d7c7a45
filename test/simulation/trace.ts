/** Everything that happens in a run, in order, as one number; also in words when somebody wants to read it. */
export class Trace {
  #high = 0x811c9dc5
  #low = 0x1b873593
  readonly lines: string[] | undefined

  constructor(options: { readonly isWritten?: boolean } = {}) {
    this.lines = options.isWritten === true ? [] : undefined
  }

  number(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193) ^ (this.#low >>> 15)
    this.#low = Math.imul(this.#low ^ (value / 0x1_0000_0000), 0x85ebca6b) ^ this.#high
  }

  bytes(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const words = bytes.length - (bytes.length % 4)
    let high = this.#high
    for (let at = 0; at < words; at += 4) high = Math.imul(high ^ view.getUint32(at, true), 0x01000193) ^ (high >>> 15)
    for (let at = words; at < bytes.length; at++) high = Math.imul(high ^ view.getUint8(at), 0x01000193)
    this.#high = high
    this.number(bytes.length)
  }

  /** `text` is asked for only when it is written down. */
  say(now: number, text: () => string): void {
    this.lines?.push(`${now.toFixed(3).padStart(12)} ${text()}`)
  }

  /** 16 hex digits. */
  get hex(): string {
    const half = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
    return half(this.#high) + half(this.#low)
  }
}
