import { SheepfsError } from '../errors.ts'
import type { Handle } from './node.ts'

/** An open file that shows one text, whatever happens meanwhile; `accept` is for the files that can be written. */
export class TextHandle implements Handle {
  /** The text is not the same at the next open, so no kernel may keep it. */
  readonly caching = 'direct'
  readonly #path: string
  readonly #text: Uint8Array
  readonly #accept: ((data: Uint8Array) => Promise<number>) | undefined

  constructor(path: string, text: Uint8Array, accept?: (data: Uint8Array) => Promise<number>) {
    this.#path = path
    this.#text = text
    this.#accept = accept
  }

  read(position: number, into: Uint8Array): Promise<number> {
    const piece = this.#text.subarray(position, position + into.length)
    into.set(piece)
    return Promise.resolve(piece.length)
  }

  write(_position: number, data: Uint8Array): Promise<number> {
    if (this.#accept !== undefined) return this.#accept(data)
    return Promise.reject(new SheepfsError('not-permitted', `${this.#path} cannot be written`))
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  zero(): Promise<void> {
    return Promise.reject(new SheepfsError('not-supported', `${this.#path} has no space to release`))
  }

  seek(position: number, wanted: 'data' | 'hole'): Promise<number> {
    if (position >= this.#text.length) {
      return Promise.reject(new SheepfsError('past-end', `${this.#path} ends before ${position}`))
    }
    return Promise.resolve(wanted === 'data' ? position : this.#text.length)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
