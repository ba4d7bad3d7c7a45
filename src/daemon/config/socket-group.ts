import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { groupIdOf } from '../../api/group-id.ts'
import { SheepfsError } from '../../errors.ts'

/**
 * Refuses a group of the control socket that workers are in: who may use it can do to mounts what root can, and workers are
 * not to be trusted with that. Errors: invalid (it does not exist, or is theirs).
 * @param group as configured; undefined: the group of this process
 * @param workerUser whom workers become; undefined: they are what this process is
 */
export async function checkSocketGroup(group: string | undefined, workerUser: string | undefined): Promise<void> {
  const id = group === undefined ? process.getegid?.() : await groupIdOf(group)
  if (workerUser === undefined || workerUser === 'root') return // no socket keeps root out
  if (id === undefined || !(await groupsOf(workerUser)).includes(id)) return
  const what = group === undefined ? 'socket_group is not set, and the group of the daemon' : `socket_group "${group}"`
  const expected = 'expected one of its own, such as "sheepfs-admin"'
  throw new SheepfsError('invalid', `${what} is the group of the workers, which run as "${workerUser}": ${expected}`)
}

/** A worker has the group with its user's name only; the user's first group is refused too, as files of it may be. */
async function groupsOf(user: string): Promise<number[]> {
  const run = promisify(execFile)
  const answers = await Promise.allSettled([run('id', ['-g', '--', user]), run('getent', ['group', '--', user])])
  const texts = answers.map((answer) => (answer.status === 'fulfilled' ? answer.value.stdout : ''))
  return texts.filter((text) => text !== '').map((text) => Number(text.split(':')[2] ?? text))
}
