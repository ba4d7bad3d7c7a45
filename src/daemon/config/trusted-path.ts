import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SheepfsError } from '../../errors.ts'

const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002
/** In such a directory, as /tmp, only its owner moves or removes a file. */
const STICKY = 0o1000

/**
 * Refuses a file or directory that somebody else than root and this user may write, or put another in the place of: what it
 * says is done with the rights of this process. Errors: not-permitted, naming what is open and to whom; those of stat(2).
 */
export async function checkTrusted(path: string): Promise<void> {
  const resolved = await realpath(path)
  await checkOne(resolved, path, { isAbove: false })
  for (let above = dirname(resolved); ; above = dirname(above)) {
    await checkOne(above, path, { isAbove: true })
    if (above === '/') return
  }
}

async function checkOne(file: string, asked: string, { isAbove }: { readonly isAbove: boolean }): Promise<void> {
  const { mode, uid, gid } = await stat(file)
  const by = writers({ mode, uid, gid })
  if (by === undefined || (isAbove && (mode & STICKY) !== 0 && isOurs(uid))) return
  const place = file === asked ? `"${file}"` : `"${asked}": "${file}"`
  const mend = isOurs(uid) ? `chmod go-w ${file}` : `chown root ${file}`
  throw new SheepfsError('not-permitted', `${place} may be written by ${by}: run "${mend}"`)
}

function writers({
  mode,
  uid,
  gid,
}: {
  readonly mode: number
  readonly uid: number
  readonly gid: number
}): string | undefined {
  if (!isOurs(uid)) return `its owner, user ${uid}`
  if ((mode & OTHERS_WRITE) !== 0) return 'everybody'
  const isOwnGroup = gid === 0 || gid === process.getegid?.()
  return (mode & GROUP_WRITES) !== 0 && !isOwnGroup ? `group ${gid}` : undefined
}

function isOurs(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.()
}
