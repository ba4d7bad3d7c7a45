#!/usr/bin/env node
import type { MountConfig } from '../api/schema/config.ts'
import type { Environment } from '../daemon/config/environment.ts'
import { readServiceUnit } from '../daemon/system/service-unit.ts'
import { errorText } from '../errors.ts'
import { tellError } from '../journal.ts'
import type { Logger } from '../log.ts'

/*
 * Called by sheepfs@.service after its end, however it ended: takes the mounts of a killed daemon away, and the file systems on
 * their volumes, so that whoever reaches them finds an empty directory, not a dead mount; and gives back what its workers had
 * locked. What the next daemon serves on stays.
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

/** A worker whose supervisor was killed ends within this, ms. */
const WORKER_END_LIMIT_MS = 8000

/**
 * Of mounts whose workers were killed. Only when it follows their death: later somebody may have taken such a lock through the
 * same sheep, and nothing tells his from theirs.
 */
async function giveBackLocks(
  directory: string,
  { mounts, environment, log }: { mounts: readonly MountConfig[]; environment: Environment; log: Logger },
): Promise<void> {
  const { recordedMounts, takeRecord } = await import('../daemon/mount/record-files.ts')
  const names = process.env['SERVICE_RESULT'] === undefined ? [] : recordedMounts(directory)
  if (names.length === 0) return
  const { untilAlone } = await import('../daemon/system/unit-processes.ts')
  const isAlone = await untilAlone(WORKER_END_LIMIT_MS)
  if (!isAlone) log.error('a worker lives on: what it has locked is not given back')
  const { giveBackOwed } = await import('../daemon/supervisor/owed-locks.ts')
  const { findWorkerAccount } = await import('../daemon/config/worker-account.ts')
  const workerAccount = process.geteuid?.() === 0 ? await findWorkerAccount(environment.workerUser) : undefined
  const given = { workerAccount, logLevel: environment.logLevel, log }
  await Promise.all(
    names.map(async (name) => {
      const left = takeRecord(directory, name)
      const config = mounts.find((mount) => mount.name === name)
      if (left && config && isAlone) await giveBackOwed(config, left, given)
    }),
  )
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
  const environment = readEnvironment(process.env)
  const files = instanceFiles(instance, environment)
  // what is wrong with it the daemon has said
  const configured = await readConfig({ file: files.config, instance }).then(
    ({ mount }) => mount,
    () => [],
  )
  const { mounts: added, served } = await readSavedState(files.state, log)
  const lock = await takeInstanceLock(instance, files.directory)
  try {
    for (const { name, mountpoint } of [...configured, ...added])
      await clearStaleMount({ mount: name, mountpoint }, log)
    await clearDeadLoops(instance, () => false, log)
    await giveBackLocks(files.directory, {
      mounts: [...(served?.mount ?? []), ...added, ...configured],
      environment,
      log,
    })
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
