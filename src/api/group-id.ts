import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { SheepfsError } from '../errors.ts'

/** The id of a group, of whatever database the system has. `key`: of the configuration, for messages. Errors: invalid. */
export async function groupIdOf(group: string, key: string): Promise<number> {
  if (/^\d+$/.test(group)) return Number(group)
  try {
    const { stdout } = await promisify(execFile)('getent', ['group', '--', group])
    const id = Number(stdout.split(':')[2])
    if (Number.isInteger(id)) return id
  } catch (cause) {
    throw new SheepfsError('invalid', `${key} "${group}" does not exist: run "groupadd --system ${group}"`, {
      cause,
    })
  }
  throw new SheepfsError('invalid', `${key} "${group}": the system's answer about it has no number`)
}
