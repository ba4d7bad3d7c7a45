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
  if (!(await hasControl())) {
    if (!isRoot()) return false
    await runProgram('mount', ['-t', 'fusectl', 'none', CONTROL])
    if (!(await hasControl())) return false
  }
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
  #limit: number | undefined
  #isClosed = false

  /** Of a connection that is there. */
  constructor(minor: number) {
    this.minor = minor
    try {
      this.#limit = openSync(`${CONTROL}/${minor}/max_background`, 'r')
    } catch {
      this.#limit = undefined // no fusectl, or not for this user
    }
  }

  /** Whether the number still means this connection; undefined when that cannot be told. */
  get isPresent(): boolean | undefined {
    if (this.#isClosed) return false
    if (this.#limit === undefined) return undefined
    return readFileSync(`/proc/self/fd/${this.#limit}`).length > 0 // the file can be read once each time it is opened
  }

  /** As `abortConnection`; what has ended needs no end. */
  async abort(): Promise<boolean> {
    return this.isPresent === false || abortConnection(this.minor)
  }

  /** The connection has ended: lets go of its control file. Idempotent. */
  close(): void {
    if (!this.#isClosed && this.#limit !== undefined) closeSync(this.#limit)
    this.#isClosed = true
  }
}

async function hasControl(): Promise<boolean> {
  return (await readMountTable()).some(({ type, mountpoint }) => type === 'fusectl' && mountpoint === CONTROL)
}
