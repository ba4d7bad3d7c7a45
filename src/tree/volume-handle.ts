import { SheepfsError } from '../errors.ts'
import type { Handle } from './node.ts'
import type { ServedVolume } from './served-volume.ts'
import type { VolumeFile } from './volume-file.ts'

/** An open volume. Everything but close fails with stale once the volume was detached by force. */
export class VolumeHandle implements Handle {
  readonly caching: 'direct' | 'cached'
  readonly dropsCache: boolean
  readonly #file: VolumeFile
  readonly #onClose: () => void
  #isClosed = false

  constructor(file: VolumeFile, options: { readonly caching: 'direct' | 'cached'; readonly onClose: () => void }) {
    this.#file = file
    this.caching = options.caching
    this.dropsCache = file.volume.hasOtherWriters
    this.#onClose = options.onClose
  }

  read(position: number, into: Uint8Array): Promise<number> {
    return this.#use((volume) => volume.read(position, into))
  }

  write(position: number, data: Uint8Array): Promise<number> {
    if (this.caching === 'cached' && position + data.length > this.#file.volume.size) this.#file.noteOverrun()
    const isTold = this.caching === 'cached'
    return this.#change((volume) => volume.write(position, data), { isTold })
  }

  sync(): Promise<void> {
    return this.#use((volume) => volume.sync())
  }

  /** Whole objects are always given back: what is not there reads as zeros, and `release` is only a wish. */
  zero(position: number, length: number): Promise<void> {
    return this.#change((volume) => volume.zero(position, length), { isTold: false })
  }

  seek(position: number, wanted: 'data' | 'hole'): Promise<number> {
    return this.#use((volume) => volume.seek(position, wanted))
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#onClose()
    }
    return Promise.resolve()
  }

  /** Moves the times before, for whoever follows when it is not seen to end, and after: what has failed may be half done. */
  #change<T>(work: (volume: ServedVolume) => Promise<T>, how: { readonly isTold: boolean }): Promise<T> {
    const { times } = this.#file
    return this.#use((volume) => {
      times.touch(how)
      return work(volume).finally(() => {
        times.touch(how)
      })
    })
  }

  async #use<T>(work: (volume: ServedVolume) => Promise<T>): Promise<T> {
    const { name, requests, volume } = this.#file
    while (this.#file.truncating) await this.#file.truncating
    if (this.#file.isDetached) throw new SheepfsError('stale', `volume "${name}" was detached while it was open`)
    if (this.#isClosed) throw new SheepfsError('closed', `a handle of volume "${name}" was used after its close`)
    requests.enter()
    try {
      return await work(volume)
    } finally {
      requests.leave()
    }
  }
}
