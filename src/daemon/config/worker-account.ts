import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { SheepfsError } from '../../errors.ts'

/** Whom workers become. */
export interface WorkerAccount {
  readonly name: string
  readonly uid: number
  /** Of the account's primary group: workers are in no other. */
  readonly gid: number
}

/** Of the packages; and the one that every system has, which owns nothing. */
const USUAL = ['sheepfs', 'nobody'] as const

/**
 * Whom the worker of a mount without an instance becomes: whom is asked for, else the first usual one that this system has.
 * Errors: as `findWorkerAccount`.
 */
export async function usualWorkerAccount(asked = ''): Promise<WorkerAccount> {
  for (const name of asked === '' ? USUAL : []) {
    const account = await findWorkerAccount(name).catch(() => undefined)
    if (account) return account
  }
  return findWorkerAccount(asked === '' ? USUAL[0] : asked)
}

/**
 * The account of that name, of whatever database the system has. Errors: invalid when there is none; when it is root's under
 * another name.
 */
export async function findWorkerAccount(name: string): Promise<WorkerAccount> {
  const { stdout } = await promisify(execFile)('getent', ['passwd', '--', name]).catch((cause: unknown) => {
    throw noAccount(name, cause)
  })
  const [found, , uid = '', gid = ''] = stdout.split('\n', 1).join('').split(':')
  if (found !== name || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) throw noAccount(name) // a number is none
  const account = { name, uid: Number(uid), gid: Number(gid) }
  if (account.uid === 0 && name !== 'root') {
    throw new SheepfsError('invalid', `SHEEPFS_WORKER_USER: "${name}" is root, expected "root" where that is meant`)
  }
  return account
}

function noAccount(name: string, cause?: unknown): SheepfsError {
  const mend = `run "useradd --system --no-create-home --shell /usr/sbin/nologin ${name}"`
  const expected = `${mend}, or set another one; "root" for workers that keep root's rights`
  return new SheepfsError('invalid', `SHEEPFS_WORKER_USER: there is no user "${name}": ${expected}`, { cause })
}
