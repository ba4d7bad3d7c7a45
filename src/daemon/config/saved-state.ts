import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { Type, type Static } from 'typebox'
import { Check, Default } from 'typebox/value'
import { type InstanceConfig, MountDefaulted } from '../../api/schema/config.ts'
import { Name, SheepAddresses, VolumeNameText } from '../../api/schema/scalars.ts'
import type { Logger } from '../../log.ts'

const SavedVolume = Type.Object({
  name: VolumeNameText,
  readOnly: Type.Boolean(),
  isTemporary: Type.Optional(Type.Boolean()),
})
export type SavedVolume = Readonly<Static<typeof SavedVolume>>

const RESOLVED = { name: Name, sheep: SheepAddresses, uid: Type.Integer(), gid: Type.Integer() }
const SavedMount = Type.Object({ ...MountDefaulted.properties, ...RESOLVED })

/** Of the file. Whoever reads a later one takes what both versions have. */
export const STATE_VERSION = 2

/** What an instance has got at run time, beside its configuration; it survives a restart of the daemon, not a reboot. */
const SavedState = Type.Object({
  /** Missing in the first version, which has no `served` either. */
  version: Type.Optional(Type.Integer()),
  /** Mounts added through the control API. */
  mounts: Type.Array(SavedMount),
  /** Volumes attached at run time, by mount. */
  volumes: Type.Record(Type.String(), Type.Array(SavedVolume)),
  /** The configuration that holds, which the file need not have any more. */
  served: Type.Optional(
    Type.Object({
      sheep: Type.Array(Type.String()),
      socket_group: Type.Optional(Type.String()),
      observer_socket: Type.Boolean(),
      observer_group: Type.Optional(Type.String()),
      metrics_listen: Type.Optional(Type.String()),
      mount: Type.Array(SavedMount),
    }),
  ),
})
export interface SavedState {
  readonly version?: number
  readonly mounts: readonly Static<typeof SavedMount>[]
  readonly volumes: Readonly<Partial<Record<string, readonly SavedVolume[]>>>
  readonly served?: InstanceConfig | undefined
}

const EMPTY: SavedState = { mounts: [], volumes: {} }

/** Reads the state of a predecessor; a file that is missing or broken counts as none, and so does a part that is broken. */
export async function readSavedState(path: string, log: Logger): Promise<SavedState> {
  try {
    // an earlier version has not every key of a mount
    const saved: unknown = Default(SavedState, JSON.parse(await readFile(path, 'utf8')))
    if (!Check(SavedState, saved))
      log.warn(`${path} is not understood: what was added at run time is not all there again`)
    return typeof saved === 'object' && saved !== null ? partsOf(saved) : EMPTY
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      log.warn({ err: error }, `${path} cannot be read: what was added at run time is not there again`)
    }
  }
  return EMPTY
}

/** What was attached to a mount by hand; the names of mounts are anybody's, `constructor` too. */
export function savedVolumes({ volumes }: SavedState, mount: string): readonly SavedVolume[] {
  return (Object.hasOwn(volumes, mount) ? volumes[mount] : undefined) ?? []
}

/** Of what is not set, JSON has nothing. */
const NOT_SET = { socket_group: undefined, observer_group: undefined, metrics_listen: undefined } as const

function partsOf(saved: object): SavedState {
  const { mounts, volumes, served } = SavedState.properties
  const { served: config } = saved as { served?: InstanceConfig }
  return {
    ...EMPTY,
    ...('mounts' in saved && Check(mounts, saved.mounts) ? { mounts: saved.mounts } : {}),
    ...('volumes' in saved && Check(volumes, saved.volumes) ? { volumes: saved.volumes } : {}),
    ...(config && Check(served, config) ? { served: { ...NOT_SET, ...config } } : {}),
  }
}

/** Writes the state, one version after the other; a reader sees a whole one. */
export class SavedStateFile {
  readonly #path: string
  readonly #log: Logger
  #latest: SavedState | undefined
  /** Could not be written, as on a full disk. */
  #unsaved: SavedState | undefined
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

  /** What could not be written before is tried once more. */
  async flushed(): Promise<void> {
    await this.#writing
    if (this.#unsaved) this.save(this.#unsaved)
    await this.#writing
  }

  async #write(): Promise<void> {
    while (this.#latest) {
      const state = this.#latest
      const text = `${JSON.stringify(state, undefined, 2)}\n`
      this.#latest = this.#unsaved = undefined
      try {
        const next = `${this.#path}.new`
        await rm(next, { force: true })
        await writeFile(next, text, { flag: 'wx', mode: 0o600 }) // a new file: a link there leads nowhere
        await rename(next, this.#path)
      } catch (error) {
        this.#unsaved = state
        this.#log.error({ err: error }, `${this.#path} cannot be written: a restart would forget what was attached`)
      }
    }
  }
}
