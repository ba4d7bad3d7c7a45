import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { isSheepfsError, SheepfsError } from '../../errors.ts'
import { HeldProgram } from '../system/held-program.ts'

/** Setting a loop device up takes no longer, unless its cluster is away: then the mounts that wait fail too. */
const LIMIT_S = 80
/** Beside the directories of the instances: no name of one has a colon. */
const DIRECTORY = 'mount:locks'

/**
 * Does `work` while nobody else does any for this volume: it is given a file that goes with the lock and keeps what was
 * written there. A process that is killed has the lock no more. Errors: busy when another one has it too long; those of `work`.
 */
export async function withVolumeLock<T>(
  volume: string,
  signal: AbortSignal,
  work: (file: string) => Promise<T>,
): Promise<T> {
  // its schema takes longer to load than a process that maps nothing to start
  const { readEnvironment } = await import('../config/environment.ts')
  const { runtimeDirectory } = readEnvironment(process.env)
  await mkdir(runtimeDirectory, { recursive: true, mode: 0o755 })
  await mkdir(join(runtimeDirectory, DIRECTORY), { recursive: true, mode: 0o700 })
  const file = join(runtimeDirectory, DIRECTORY, createHash('sha256').update(volume).digest('hex'))
  await (await open(file, 'a', 0o600)).close()
  const lock = await HeldProgram.start('flock', ['--timeout', String(LIMIT_S), file, 'sh', '-c', HOLD], signal).catch(
    (cause: unknown) => {
      if (!isSheepfsError(cause, 'io')) throw cause
      throw new SheepfsError('busy', `another mount of the volume has not come to an end for ${LIMIT_S} s`, { cause })
    },
  )
  try {
    return await work(file)
  } finally {
    await lock.release()
  }
}

const HOLD = 'echo locked && exec cat >/dev/null'
