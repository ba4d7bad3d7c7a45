import { spawnSync } from 'node:child_process'
import { SheepfsError } from '../../errors.ts'

/** Some databases are on other machines, which may be away. */
const LIMIT_MS = 5000

/**
 * The number of a user or group that is named, of whatever database the system has; numbers are what they are. It is asked
 * for while nothing else goes on in this process: a configuration is read as a whole. Errors: not-found, timeout.
 */
export function accountId(database: 'passwd' | 'group', account: number | string): number {
  if (typeof account === 'number') return account
  const { stdout, signal } = spawnSync('getent', [database, '--', account], { encoding: 'utf8', timeout: LIMIT_MS })
  const [name, , id = ''] = stdout.split('\n', 1).join('').split(':')
  if (name === account && /^\d+$/.test(id)) return Number(id)
  const what = database === 'passwd' ? 'user' : 'group'
  if (signal !== null) throw new SheepfsError('timeout', `"${account}" is not told by the system within 5 s`)
  throw new SheepfsError('not-found', `there is no ${what} "${account}", expected one that exists, or a numeric id`)
}
