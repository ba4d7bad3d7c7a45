#!/usr/bin/env node
import { readConfig } from '../daemon/config/config.ts'
import { instanceFiles, readEnvironment } from '../daemon/config/environment.ts'
import { clearStaleMount } from '../daemon/supervisor/stale-mount.ts'
import { errorText } from '../errors.ts'
import { createLogger } from '../log.ts'

/*
 * Called by sheepfs@.service after its end, however it ended: takes the mounts of a killed daemon away, so that whoever
 * reaches them finds an empty directory, not a dead mount.
 */
try {
  const instance = process.argv[2] ?? ''
  const log = createLogger({ name: 'sheepfs-clean-up', level: 'info' })
  const { mount } = await readConfig({ file: instanceFiles(instance, readEnvironment(process.env)).config, instance })
  for (const { name, mountpoint } of mount) await clearStaleMount({ mount: name, mountpoint }, log)
} catch (error) {
  process.stderr.write(`sheepfs-clean-up: ${errorText(error)}\n`)
  process.exitCode = 1
}
