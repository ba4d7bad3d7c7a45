#!/usr/bin/env node
import { readServiceUnit } from '../daemon/system/service-unit.ts'
import { errorText } from '../errors.ts'
import { tellError } from '../journal.ts'

/*
 * Called by sheepfs@.service after its end, however it ended: takes the mounts of a killed daemon away, and the file systems on
 * their volumes, so that whoever reaches them finds an empty directory, not a dead mount. What the next daemon serves on stays.
 */

/** The configuration is wrong: systemd does not try again (RestartPreventExitStatus=). */
const EXIT_INVALID = '2'

/** systemd has devices of mounts, and starts the daemon again that gets them. */
async function isServedOn(): Promise<boolean> {
  const { SERVICE_RESULT: result, EXIT_STATUS: status } = process.env
  const { stored, job } = await readServiceUnit()
  const isTriedAgain = result !== 'success' && status !== EXIT_INVALID && job !== 'stop'
  return stored > 0 && (job === 'restart' || isTriedAgain)
}

async function takeAwayDeadMounts(instance: string): Promise<void> {
  // loaded only when it is needed: whoever waits for the next daemon waits for this too
  const { readConfig } = await import('../daemon/config/config.ts')
  const { instanceFiles, readEnvironment } = await import('../daemon/config/environment.ts')
  const { readSavedState } = await import('../daemon/config/saved-state.ts')
  const { takeInstanceLock } = await import('../daemon/supervisor/instance-lock.ts')
  const { clearDeadLoops, clearStaleMount } = await import('../daemon/supervisor/stale-mount.ts')
  const { createLogger } = await import('../log.ts')
  const log = createLogger({ name: 'sheepfs-clean-up', level: 'info' })
  const files = instanceFiles(instance, readEnvironment(process.env))
  // what is wrong with it the daemon has said
  const configured = await readConfig({ file: files.config, instance }).then(
    ({ mount }) => mount,
    () => [],
  )
  const { mounts: added } = await readSavedState(files.state, log)
  const lock = await takeInstanceLock(instance, files.directory)
  try {
    for (const { name, mountpoint } of [...configured, ...added])
      await clearStaleMount({ mount: name, mountpoint }, log)
    await clearDeadLoops(instance, () => false, log)
  } finally {
    await lock.release()
  }
}

try {
  if (!(await isServedOn())) await takeAwayDeadMounts(process.argv[2] ?? '')
} catch (error) {
  tellError(`sheepfs-clean-up: ${errorText(error)}\n`)
  process.exitCode = 1
}
