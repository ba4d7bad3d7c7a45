import { closeSync, openSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { readMountTable } from './mount-table.ts'
import { runProgram } from './run-program.ts'
import { isRoot } from './unmount.ts'

const CONTROL = '/sys/fs/fuse/connections'

/**
 * Ends a connection in the kernel, by the minor number of its mount's device: what is in flight and all that follows
 * fails. The mount stays where it is. True when that worked or the connection was gone; false when this user may not:
 * its control files are the mounting user's, and only root can mount fusectl where it is missing. Errors: io.
 */
export async function abortConnection(minor: number): Promise<boolean> {
  if (!(await mountControl())) return false
  try {
    await writeFile(`${CONTROL}/${minor}/abort`, '1')
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    if (code === 'EACCES') return false
    throw error
  }
}

/**
 * A FUSE connection by more than its number, which the next mount gets as soon as this one has ended: its control file,
 * held open, reads as nothing from then on (docs/fuse-kernel-protocol.md#11).
 */
export class ConnectionControl {
  readonly minor: number
  /** Its control file `waiting`; undefined without fusectl, or when it is not for this user. */
  readonly #waiting: number | undefined
  #isClosed = false

  /** Of a connection that is there. */
  constructor(minor: number) {
    this.minor = minor
    try {
      this.#waiting = openSync(`${CONTROL}/${minor}/waiting`, 'r')
    } catch {
      this.#waiting = undefined
    }
  }

  /** As the constructor, with fusectl mounted where it is missing and this user may. */
  static async open(minor: number): Promise<ConnectionControl> {
    await mountControl()
    return new ConnectionControl(minor)
  }

  /** Whether the number still means this connection; undefined when that cannot be told. */
  get isPresent(): boolean | undefined {
    if (this.#isClosed) return false
    return this.#waiting === undefined ? undefined : this.#read(this.#waiting) !== ''
  }

  /** Requests that are not answered; undefined when that cannot be told, or it has ended. */
  get waiting(): number | undefined {
    if (this.#isClosed || this.#waiting === undefined) return undefined
    const text = this.#read(this.#waiting)
    return text === '' ? undefined : Number(text)
  }

  /** As `abortConnection`; what has ended needs no end. */
  async abort(): Promise<boolean> {
    return this.isPresent === false || abortConnection(this.minor)
  }

  /** The connection has ended: lets go of its control file. Idempotent. */
  close(): void {
    if (!this.#isClosed && this.#waiting !== undefined) closeSync(this.#waiting)
    this.#isClosed = true
  }

  /** By its path below /proc, for the file can be read once each time it is opened. */
  #read(fd: number): string {
    return readFileSync(`/proc/self/fd/${fd}`, 'latin1')
  }
}

/** True when fusectl is mounted now: only root can do that. */
async function mountControl(): Promise<boolean> {
  if (await hasControl()) return true
  if (!isRoot()) return false
  await runProgram('mount', ['-t', 'fusectl', 'none', CONTROL])
  return hasControl()
}

async function hasControl(): Promise<boolean> {
  return (await readMountTable()).some(({ type, mountpoint }) => type === 'fusectl' && mountpoint === CONTROL)
}
