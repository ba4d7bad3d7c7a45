#!/usr/bin/env node
import { ControlClient } from '../api/client.ts'
import { instanceFiles, readEnvironment } from '../daemon/config/environment.ts'
import { errorText, isSheepfsError } from '../errors.ts'
import { tellError } from '../journal.ts'

/** From now on I/O waits this long for a cluster that is away, seconds. An unmount makes several requests in turn. */
const IO_TIMEOUT_S = 5

/*
 * Called by sheepfs-outage@.service when an instance or the system goes down, before file systems on volumes are
 * unmounted: without it an unmount would wait for a dead cluster for ever. The next start waits as configured again.
 */
async function endWaiting(instance: string): Promise<void> {
  const client = new ControlClient(instanceFiles(instance, readEnvironment(process.env)).controlSocket)
  for (const { name, io_timeout: configured } of await client.mounts()) {
    if (configured === 'forever' || configured > IO_TIMEOUT_S) {
      await client.patchMount(name, { io_timeout: IO_TIMEOUT_S })
    }
  }
}

try {
  await endWaiting(process.argv[2] ?? '')
} catch (error) {
  if (!isSheepfsError(error, 'not-running')) {
    tellError(`sheepfs-end-waiting: ${errorText(error)}\n`)
    process.exitCode = 1
  }
}
