import { readFile, rename, writeFile } from 'node:fs/promises'
import { type Logger } from '../log.ts'
import { type MountConfig } from '../api/schema/config.ts'

/** What an instance has got at run time, beside its configuration; it survives a restart of the daemon, not a reboot. */
export interface SavedState {
  /** Mounts added through the control API. */
  readonly mounts: readonly MountConfig[]
  /** Volumes attached at run time, by mount. */
  readonly volumes: Readonly<Partial<Record<string, readonly SavedVolume[]>>>
}

export interface SavedVolume {
  readonly name: string
  readonly readOnly: boolean
}

const EMPTY: SavedState = { mounts: [], volumes: {} }

/** Reads the state of a predecessor; a file that is missing or broken counts as none. */
export async function readSavedState(path: string, log: Logger): Promise<SavedState> {
  try {
    const saved = JSON.parse(await readFile(path, 'utf8')) as Partial<SavedState>
    return { ...EMPTY, ...saved }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      log.warn({ err: error }, `${path} cannot be read: volumes attached before are not attached again`)
    }
    return EMPTY
  }
}

/** Writes the state, one version after the other; a reader sees a whole one. */
export class SavedStateFile {
  readonly #path: string
  readonly #log: Logger
  #latest: SavedState | undefined
  #writing: Promise<void> | undefined

  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
  }

  /** Notes the state; it is on disk when `flushed` resolves. */
  save(state: SavedState): void {
    this.#latest = state
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  async flushed(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    while (this.#latest) {
      const text = `${JSON.stringify(this.#latest, undefined, 2)}\n`
      this.#latest = undefined
      try {
        await writeFile(`${this.#path}.new`, text, { mode: 0o600 })
        await rename(`${this.#path}.new`, this.#path)
      } catch (error) {
        this.#log.error({ err: error }, `${this.#path} cannot be written: a restart would forget what was attached`)
      }
    }
  }
}
