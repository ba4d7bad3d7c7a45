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

async function hasControl(): Promise<boolean> {
  return (await readMountTable()).some(({ type, mountpoint }) => type === 'fusectl' && mountpoint === CONTROL)
}
