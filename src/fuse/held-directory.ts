import { constants } from 'node:fs'
import { open, readFile, readlink, type FileHandle } from 'node:fs/promises'
import { SheepfsError } from '../errors.ts'

/** Of Linux on every architecture of Node.js; it has no name there: the directory is held, not opened. */
const O_PATH = 0o10000000

/**
 * A directory that stays the same whatever its path leads to by now: who may rename a directory above it must not choose
 * where root mounts or unmounts.
 */
export class HeldDirectory {
  readonly #file: FileHandle
  /** Of the mount that it is in: of the one whose root it is, where that is so. */
  readonly mountId: number

  private constructor(file: FileHandle, mountId: number) {
    this.#file = file
    this.mountId = mountId
  }

  /** `path` is absolute and without symbolic links. Errors: busy (it has got some), those of open(2) as they are. */
  static async open(path: string): Promise<HeldDirectory> {
    const file = await open(path, O_PATH | constants.O_NOFOLLOW | constants.O_DIRECTORY)
    try {
      const [, mountId] = /^mnt_id:\s*(\d+)$/m.exec(await readFile(`/proc/self/fdinfo/${file.fd}`, 'utf8')) ?? []
      const held = new HeldDirectory(file, Number(mountId))
      const found = await held.path()
      if (found !== path) throw new SheepfsError('busy', `"${path}" has just become "${found}"`)
      return held
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** For a program that inherits it. */
  get fd(): number {
    return this.#file.fd
  }

  /** Where it is now. */
  path(): Promise<string> {
    return readlink(`/proc/self/fd/${this.#file.fd}`)
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** What a program that has inherited a directory as this descriptor calls it: move_mount(2) follows no link at the end. */
export function inheritedPath(fd: number): string {
  return `/proc/self/fd/${fd}/.`
}
