import { writeFile } from 'node:fs/promises'
import { SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { ConnectionControl } from '../abort-connection.ts'
import { checkUnusedElsewhere, endElsewhere, type CopiedMount } from '../end-elsewhere.ts'
import { HeldDirectory, inheritedPath } from '../held-directory.ts'
import { MOUNT_TYPE, readMountTable, type MountEntry } from '../mount-table.ts'
import { MountWatch } from '../mount-watch.ts'
import { checkMountpoint } from '../mountpoint.ts'
import { detachMount, detachPath, unmountPath } from '../unmount.ts'
import { runProgram, type ProgramResult } from '../run-program.ts'

/**
 * Eight requests of 1 MiB ahead of a sequential reader, as CephFS has it: at 2 ms each, 1.2 GB/s instead of the 85 MB/s
 * of the kernel's own 128 KiB.
 */
const READ_AHEAD_KB = 8192

export interface KernelMountOptions {
  readonly mountpoint: string
  readonly source: string
  readonly allowOther: boolean
  /** As `KernelMount` wants it. */
  readonly openers: () => readonly number[]
}

interface Place {
  readonly id: number
  readonly mountpoint: string
  /** By another mount at the same path, which would be unmounted in its stead. */
  readonly isCovered: boolean
}

/** The mount of a FUSE device in the name space of this process. Its holder needs CAP_SYS_ADMIN. */
export class KernelMount {
  readonly #made: MountEntry
  readonly #connection: ConnectionControl
  readonly #openers: () => readonly number[]
  #watch: MountWatch | undefined

  /** `openers`: who opened what is open in it, for each file; 0 where that is not known. */
  constructor(made: MountEntry, connection: ConnectionControl, openers: () => readonly number[]) {
    this.#made = made
    this.#connection = connection
    this.#openers = openers
  }

  /** Minor number of its st_dev. */
  get minor(): number {
    return this.#made.minor
  }

  /** Sees to it that it ends when somebody else unmounts it here while it lives on elsewhere. Until `close`. */
  watch(log: Logger): void {
    this.#watch ??= new MountWatch(this, log)
  }

  /**
   * Raises what the kernel reads ahead for cached files. Only once INIT is answered: that sets it too
   * (docs/fuse-kernel-protocol.md#3). What a container does not allow is left as it is.
   */
  async raiseReadAhead(log: Logger): Promise<void> {
    const file = `/sys/class/bdi/0:${this.#made.minor}/read_ahead_kb`
    try {
      await writeFile(file, String(READ_AHEAD_KB))
    } catch (error) {
      log.debug({ err: error }, 'read-ahead stays at the limit of the kernel')
    }
  }

  /**
   * Unmounts it wherever it is: a directory above it may have been renamed, and bind mounts or copies in other mount name
   * spaces would keep it alive. Errors: busy, naming who holds it where that can be seen; the mount goes on, perhaps without
   * its bind mounts.
   */
  async unmount(): Promise<void> {
    await checkUnusedElsewhere(this.#copied)
    for (let places = await this.#places(); places.length > 0; places = await this.#places()) {
      const [{ id, mountpoint, isCovered }] = places as [Place]
      if (isCovered) throw new SheepfsError('busy', `cannot unmount "${mountpoint}": something else is mounted over it`)
      try {
        await unmountPath(mountpoint)
      } catch (error) {
        // somebody else may unmount at the same moment
        if ((await this.#places()).some((place) => place.id === id)) throw error
      }
    }
    await endElsewhere(this.#copied)
  }

  /** Where it is not to be seen any more, but lives on: ends it. Errors: busy, naming who has something open in it. */
  async endHidden(): Promise<void> {
    if (!(await this.isMounted())) await endElsewhere(this.#copied)
  }

  /** Makes everything in flight fail, and all that follows; then takes the mount out of sight. Errors: not-permitted. */
  async abort(): Promise<void> {
    if (!(await this.#connection.abort())) {
      const { mountpoint } = this.#made
      throw new SheepfsError('not-permitted', `cannot abort "${mountpoint}": fusectl cannot be mounted or written`)
    }
    for (const { mountpoint, isCovered } of await this.#places()) if (!isCovered) await detachPath(mountpoint)
  }

  /** Whether it is still in the mount table. */
  async isMounted(): Promise<boolean> {
    return (await this.#places()).length > 0
  }

  /** Takes the mount out of sight; it ends when its last user has. */
  async detach(): Promise<void> {
    const place = (await this.#places()).find(({ id }) => id === this.#made.id)
    if (place?.isCovered === false) await detachMount(place.id)
  }

  /** Lets go of what it is known by, when it has ended. */
  close(): void {
    this.#watch?.close()
    this.#connection.close()
  }

  get #copied(): CopiedMount {
    return { mountpoint: this.#made.mountpoint, connection: this.#connection, openers: this.#openers }
  }

  /** Where it is mounted now, the latest first. Where its number may be another's by now, only where it was made. */
  async #places(): Promise<readonly Place[]> {
    const table = await readMountTable()
    const { minor, mountpoint } = this.#made
    const { isPresent } = this.#connection
    if (isPresent === false) return []
    return table
      .filter((entry) => entry.type === MOUNT_TYPE && entry.minor === minor)
      .filter((entry) => isPresent === true || entry.mountpoint === mountpoint)
      .map((place) => {
        const top = table.findLast((entry) => entry.mountpoint === place.mountpoint)
        return { id: place.id, mountpoint: place.mountpoint, isCovered: top?.id !== place.id }
      })
      .reverse()
  }
}

/**
 * Mounts an open device, on the directory that was checked even when its path leads elsewhere meanwhile. Errors: not-found,
 * invalid, busy, not-permitted, not-supported, io, naming the mountpoint and what is wrong with it; nothing is left then.
 */
export async function mountDevice(fd: number, options: KernelMountOptions): Promise<KernelMount> {
  const path = await checkMountpoint(options.mountpoint)
  const directory = await HeldDirectory.open(path)
  try {
    await refuseRootOfMount(directory, path)
    const before = new Set((await readMountTable()).map(entryKey))
    await runMount({ fd, directory, path, options })
    const made = await findMade({ directory, before, source: options.source })
    try {
      if (made.mountpoint !== path)
        throw new SheepfsError('busy', `mountpoint "${path}" was moved while it was mounted`)
      return new KernelMount(made, await ConnectionControl.open(made.minor), options.openers)
    } catch (error) {
      await detachMount(made.id)
      throw error
    }
  } finally {
    await directory.close()
  }
}

/** Something was mounted there since it was looked at. */
async function refuseRootOfMount({ mountId }: HeldDirectory, path: string): Promise<void> {
  const around = (await readMountTable()).find(({ id }) => id === mountId)
  if (around?.mountpoint === path) {
    throw new SheepfsError('busy', `mountpoint "${path}" is in use: ${around.source} (${around.type}) is mounted there`)
  }
}

/** The mount that has come in this directory, wherever that is by now. */
async function findMade(wanted: {
  readonly directory: HeldDirectory
  readonly before: ReadonlySet<string>
  readonly source: string
}): Promise<MountEntry> {
  const { directory, before, source } = wanted
  const path = await directory.path()
  const come = (await readMountTable()).filter(
    (entry) =>
      !before.has(entryKey(entry)) &&
      entry.parent === directory.mountId &&
      entry.type === MOUNT_TYPE &&
      entry.source === source,
  )
  const made = come.find(({ mountpoint }) => mountpoint === path) ?? (come.length === 1 ? come[0] : undefined)
  if (!made) throw new SheepfsError('io', `mountpoint "${path}" is not in the mount table after mounting`)
  return made
}

/** The number alone may be that of a mount that has ended meanwhile. */
function entryKey({ id, minor, parent, source, mountpoint }: MountEntry): string {
  return JSON.stringify([id, minor, parent, source, mountpoint])
}

interface Mounting {
  readonly fd: number
  readonly directory: HeldDirectory
  readonly path: string
  readonly options: KernelMountOptions
}

/** Who serves the tree must not lead those who use it elsewhere, or to programs and devices of his. */
async function runMount(mounting: Mounting): Promise<void> {
  const strict = await tryMount(mounting, ',nosymfollow')
  // a mount(8) before 2.37 takes it for an option of FUSE
  const { isSuccess, complaint } = strict.isSuccess ? strict : await tryMount(mounting, '')
  if (!isSuccess) throw mountError(mounting.path, complaint.replaceAll(inheritedPath(4), mounting.path))
}

function tryMount({ fd, directory, options }: Mounting, more: string): Promise<ProgramResult> {
  const flags = [
    'fd=3',
    'rootmode=40000',
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
    'default_permissions',
    ...(options.allowOther ? ['allow_other'] : []),
    `nosuid,nodev,noexec${more}`,
  ].join(',')
  // -i, -c: no helper program, and neither a source that happens to be the name of a file nor the directory is resolved
  const args = ['-i', '-c', '-t', MOUNT_TYPE, '-o', flags, '--', options.source, inheritedPath(4)]
  return runProgram('mount', args, [fd, directory.fd])
}

function mountError(path: string, complaint: string): SheepfsError {
  if (/superuser|permi/i.test(complaint)) {
    const message = `mountpoint "${path}" cannot be mounted: only root (CAP_SYS_ADMIN) may mount`
    return new SheepfsError('not-permitted', message, { cause: new Error(complaint) })
  }
  return new SheepfsError('io', `mountpoint "${path}" cannot be mounted: ${complaint}`)
}
