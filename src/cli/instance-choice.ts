import { readdir } from 'node:fs/promises'
import { ControlClient } from '../api/client.ts'
import { instanceFiles, type Environment } from '../daemon/config/environment.ts'
import { parseInstanceName } from '../daemon/config/instance-name.ts'
import { SheepfsError } from '../errors.ts'

/** The instance that is meant: the one named, or the only one that runs. Errors: not-running, invalid (there are several). */
export async function chooseInstance(named: string | undefined, environment: Environment): Promise<string> {
  const wanted = named ?? environment.instance
  if (wanted !== undefined) return parseInstanceName(wanted)
  const running = await runningInstances(environment)
  const [only, ...others] = running
  if (only === undefined) {
    const where = environment.runtimeDirectory
    throw new SheepfsError(
      'not-running',
      `no instance runs below ${where}: start one with "systemctl start sheepfs@NAME"`,
    )
  }
  if (others.length === 0) return only
  throw new SheepfsError('invalid', `several instances run: choose one with --instance, of ${running.join(', ')}`)
}

async function runningInstances(environment: Environment): Promise<string[]> {
  const names = await readdir(environment.runtimeDirectory).catch(() => [])
  const isRunning = await Promise.all(names.map((name) => answers(instanceFiles(name, environment).controlSocket)))
  return names.filter((_, i) => isRunning[i]).sort()
}

/** One that may not be used by this user runs all the same. */
async function answers(socket: string): Promise<boolean> {
  try {
    await new ControlClient(socket).status()
    return true
  } catch (error) {
    return error instanceof SheepfsError && error.code !== 'not-running' && error.code !== 'closed'
  }
}
