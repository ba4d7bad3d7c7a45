import { SheepfsError, errorText, isSheepfsError, type ErrorCode } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { chooseEngine } from '../choose-engine.ts'
import type { Instance } from './instance.ts'
import type { ManagedMount } from './managed-mount.ts'
import { pause } from './pause.ts'

/** How long a start may wait for the clusters of some mounts when others serve already. */
const START_LIMIT_MS = 30_000
const RETRY_PAUSE_MS = 3000
/** From then on a stop waits for no cluster: what cannot be written any more fails. */
const STOP_IO_TIMEOUT_MS = 5000
const BUSY_PAUSE_MS = 500
/** How long the successor may be waited for because the kernel does not know a size yet. */
const TELL_LIMIT_MS = 3000

/**
 * Starts all mounts and resolves when all serve. Those that fail are tried again and again: when others serve, it resolves
 * all the same after START_LIMIT_MS, and at once when waiting does not mend the failure. Errors: what is wrong with a
 * configured mount, when none serves.
 */
export async function startMounts(instance: Instance, log: Logger): Promise<void> {
  const mounts = await Promise.all(
    instance.wantedMounts().map(async ({ config, left, ...how }) => {
      const engine = left ? 'kernel' : await chooseEngine(config.engine)
      return instance.enlist(config, { ...how, left, engine })
    }),
  )
  const started = startAll(instance, mounts, log)
  started.catch(() => undefined) // is heard of below, or comes when others serve
  await Promise.race([started, pause(START_LIMIT_MS)])
  if (!mounts.some(isMounted)) await started
}

async function startAll(instance: Instance, mounts: readonly ManagedMount[], log: Logger): Promise<void> {
  const outcomes = await Promise.all(mounts.map((mount) => tryMount(instance, mount)))
  const failures = outcomes.filter((outcome) => outcome !== undefined)
  const fatal = failures.find(({ mount }) => mount.isConfigured)
  if (fatal && !mounts.some(isMounted)) throw fatal.error
  for (const { error } of failures) log.error(`${error.message}; tried again until it serves`)
  await Promise.all(
    failures.map(async ({ mount, error }) => {
      const serving = serveLater(instance, mount, log)
      if (MENDED_BY_TIME.has(error.code)) await serving
    }),
  )
}

/** It serves, or was taken over and waits for its cluster: nobody may take it away. */
function isMounted({ keeper }: ManagedMount): boolean {
  return keeper.isStarted
}

/** Failures that may be over by themselves; others need somebody to mend something. */
const MENDED_BY_TIME = new Set<ErrorCode>(['unreachable', 'timeout', 'protocol', 'io', 'not-formatted', 'locked'])

async function tryMount(
  instance: Instance,
  mount: ManagedMount,
): Promise<{ mount: ManagedMount; error: SheepfsError } | undefined> {
  try {
    await instance.serve(mount)
    return undefined
  } catch (error) {
    if (!isSheepfsError(error)) throw error
    const message = `mount "${mount.name}": ${error.message}`
    return { mount, error: new SheepfsError(error.code, message, { cause: error }) }
  }
}

/** Tries again until the mount serves, or is wanted no more. */
export async function serveLater(instance: Instance, mount: ManagedMount, log: Logger): Promise<void> {
  for (;;) {
    await pause(RETRY_PAUSE_MS)
    if (instance.state === 'stopping' || !instance.has(mount)) return
    try {
      await instance.serve(mount)
      log.info({ mount: mount.name }, 'serves now')
      return
    } catch (error) {
      log.debug({ mount: mount.name, err: error }, 'does not serve yet')
    }
  }
}

/**
 * Ends the service of all mounts, for a successor of this process that serves them on; those that do not outlive it are ended
 * as by `stopMounts`.
 */
export async function leaveMounts(instance: Instance, log: Logger, limitMs: number): Promise<void> {
  const until = performance.now() + limitMs
  await Promise.all(
    instance.managed.map(async (mount) => {
      if (!mount.keeper.isKept) return stopMount(instance, mount, { log, until })
      // whoever tells the kernel a size waits for an answer, and would have to end before a successor can give it
      await Promise.race([mount.kernelKnowsSizes(), pause(TELL_LIMIT_MS)])
      await mount.keeper.leave()
    }),
  )
}

/**
 * Ends all mounts within `limitMs`: flushed and unmounted where possible; a mount that is busy at the end, or whose
 * cluster does not answer, is ended by force, and the log says what that costs.
 */
export async function stopMounts(instance: Instance, log: Logger, limitMs: number): Promise<void> {
  const until = performance.now() + limitMs
  await Promise.all(instance.managed.map((mount) => stopMount(instance, mount, { log, until })))
}

async function stopMount(
  instance: Instance,
  mount: ManagedMount,
  { log, until }: { log: Logger; until: number },
): Promise<void> {
  const { worker, state } = mount.keeper
  worker?.beLast()
  if (state === 'serving') {
    await Promise.race([worker?.call('setIoTimeout', STOP_IO_TIMEOUT_MS).catch(() => undefined), pause(1000)])
  }
  let inUse = ''
  for (;;) {
    try {
      const gentle = instance.stopMount(mount, { force: false })
      const isDone = await Promise.race([
        gentle.then(() => true),
        pause(Math.max(0, until - performance.now())).then(() => false),
      ])
      if (isDone) return
      gentle.catch(() => undefined)
      const late = 'not unmounted in time, ended by force: what was not flushed is lost'
      log.error({ mount: mount.name }, inUse === '' ? late : `still in use, ended by force: ${inUse}`)
      break
    } catch (error) {
      if (!isSheepfsError(error, 'busy')) {
        log.error({ mount: mount.name }, `ended with an error, what was not flushed is lost: ${errorText(error)}`)
        break
      }
      if (performance.now() + BUSY_PAUSE_MS > until) {
        log.error({ mount: mount.name }, `still in use, ended by force: ${error.message}`)
        break
      }
      inUse = error.message
      await pause(BUSY_PAUSE_MS)
    }
  }
  await instance.stopMount(mount, { force: true }).catch((error: unknown) => {
    log.error({ mount: mount.name, err: error }, 'could not be ended')
  })
}
