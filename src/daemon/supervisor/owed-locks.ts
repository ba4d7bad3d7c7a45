import { closeSync, openSync } from 'node:fs'
import type { MountConfig } from '../../api/schema/config.ts'
import { SheepfsError } from '../../errors.ts'
import type { Logger, LogLevel } from '../../log.ts'
import type { WorkerAccount } from '../config/worker-account.ts'
import { type MountDevice, MountPerformer } from '../mount/mount-performer.ts'
import type { RecordedMount } from '../mount/recorded-mount.ts'
import { toSpec } from './managed-mount.ts'
import { MountWorkers } from './mount-workers.ts'
import { pause } from './pause.ts'

/** A cluster that is away for longer keeps the locks. */
const LIMIT_MS = 15_000

interface Given {
  readonly workerAccount: WorkerAccount | undefined
  readonly logLevel: LogLevel
  readonly log: Logger
}

/** Of a mount that is gone. */
const NO_DEVICE: MountDevice = {
  make: () => Promise.reject(new SheepfsError('closed', 'the mount is over')),
  renew: () => Promise.reject(new SheepfsError('closed', 'the mount is over')),
  isMounted: () => Promise.resolve(false),
  unmount: () => Promise.resolve(),
  abort: () => Promise.resolve(),
  drop: () => Promise.resolve(),
}

/**
 * Gives back what the killed workers of a mount had locked, which nobody serves on, by a worker that serves nothing. Only right
 * after their end: a lock names a sheep and no client, so that later the same one may be somebody else's. Never rejects.
 */
export async function giveBackOwed(config: MountConfig, left: RecordedMount, given: Given): Promise<void> {
  if (left.state.locks.length === 0) return
  const log = given.log.child({ mount: config.name })
  const record = openSync('/dev/null', 'r+')
  const nobody = (): void => undefined
  const workers = new MountWorkers(toSpec({ ...given, config, engine: 'kernel' }), left.state, {
    log,
    watcher: { onChange: nobody, onProgress: nobody, onAttachment: nobody, onGrown: nobody, onTimes: nobody },
    left,
  })
  const mount = new MountPerformer({
    name: config.name,
    owes: true,
    device: NO_DEVICE,
    startServer: (purpose, tell) => workers.start(purpose, { device: undefined, record, isKept: false }, tell),
    pause: (ms, then) => {
      const timer = setTimeout(then, ms)
      return () => {
        clearTimeout(timer)
      }
    },
    onChange: nobody,
    onFlaw: (error) => {
      log.error({ err: error }, 'an error of this program')
    },
  })
  try {
    await Promise.race([mount.stop({ force: false }), pause(LIMIT_MS)])
    await mount.stop({ force: true })
    if (mount.life.owes) throw new SheepfsError('timeout', 'the cluster does not answer')
    log.info('what the killed workers had locked was given back')
  } catch (error) {
    log.error({ err: error }, 'locks of killed workers are not given back: attach with --break-lock')
  } finally {
    closeSync(record)
  }
}
