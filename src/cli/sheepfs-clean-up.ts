#!/usr/bin/env node
import { readConfig } from '../daemon/config/config.ts'
import { instanceFiles, readEnvironment } from '../daemon/config/environment.ts'
import { readSavedState } from '../daemon/config/saved-state.ts'
import { clearStaleMount } from '../daemon/supervisor/stale-mount.ts'
import { errorText } from '../errors.ts'
import { tellError } from '../journal.ts'
import { createLogger } from '../log.ts'

/*
 * Called by sheepfs@.service after its end, however it ended: takes the mounts of a killed daemon away, so that whoever
 * reaches them finds an empty directory, not a dead mount.
 */
try {
  const instance = process.argv[2] ?? ''
  const log = createLogger({ name: 'sheepfs-clean-up', level: 'info' })
  const files = instanceFiles(instance, readEnvironment(process.env))
  // what is wrong with it the daemon has said
  const configured = await readConfig({ file: files.config, instance }).then(
    ({ mount }) => mount,
    () => [],
  )
  const { mounts: added } = await readSavedState(files.state, log)
  for (const { name, mountpoint } of [...configured, ...added]) await clearStaleMount({ mount: name, mountpoint }, log)
} catch (error) {
  tellError(`sheepfs-clean-up: ${errorText(error)}\n`)
  process.exitCode = 1
}
