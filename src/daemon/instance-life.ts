import { SheepfsError, errorText, isSheepfsError } from '../errors.ts'
import { type Logger } from '../log.ts'
import { type Instance } from './instance.ts'
import { type ManagedMount } from './managed-mount.ts'

/** How long a start may wait for the clusters of some mounts when others serve already. */
const START_LIMIT_MS = 30_000
const RETRY_PAUSE_MS = 3000
/** From then on a stop waits for no cluster: what cannot be written any more fails. */
const STOP_IO_TIMEOUT_MS = 5000
const BUSY_PAUSE_MS = 500

/**
 * Starts all mounts and resolves when all serve; when only some do within START_LIMIT_MS, also then: the others are
 * tried again and again. Errors: what is wrong with the first mount, when none serves.
 */
export async function startMounts(instance: Instance, log: Logger): Promise<void> {
  const started = instance.wantedMounts().map(({ config, isConfigured }) => ({
    name: config.name,
    start: () => instance.startMount(config, { isConfigured }),
  }))
  const failures: SheepfsError[] = []
  const late: Promise<void>[] = []
  await Promise.all(
    started.map(async ({ name, start }) => {
      try {
        await start()
      } catch (error) {
        if (!isSheepfsError(error)) throw error
        failures.push(new SheepfsError(error.code, `mount "${name}": ${error.message}`, { cause: error }))
        if (MENDABLE.has(error.code)) late.push(startLater(instance, { name, start }, log))
      }
    }),
  )
  const [failure] = failures
  if (!failure) return
  const serves = instance.managed.length > 0
  const isHopeless = failures.find(({ code }) => !MENDABLE.has(code))
  if (!serves || isHopeless) throw isHopeless ?? failure
  log.error(`${failure.message}; tried again until it serves`)
  await Promise.race([Promise.all(late), new Promise((resolve) => setTimeout(resolve, START_LIMIT_MS).unref())])
}

/** Failures that may be over by themselves; others need somebody to mend the configuration. */
const MENDABLE = new Set(['unreachable', 'timeout', 'protocol', 'io', 'not-formatted', 'locked'])

async function startLater(
  instance: Instance,
  mount: { name: string; start: () => Promise<ManagedMount> },
  log: Logger,
): Promise<void> {
  while (instance.state !== 'stopping') {
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS))
    try {
      await mount.start()
      log.info({ mount: mount.name }, 'serves now')
      return
    } catch (error) {
      log.debug({ mount: mount.name, err: error }, 'does not serve yet')
    }
  }
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
  if (state === 'serving') {
    await Promise.race([worker?.call('setIoTimeout', STOP_IO_TIMEOUT_MS).catch(() => undefined), pause(1000)])
  }
  for (;;) {
    try {
      const gentle = instance.stopMount(mount, { force: false })
      const isDone = await Promise.race([gentle.then(() => true), pause(until - performance.now()).then(() => false)])
      if (isDone) return
      gentle.catch(() => undefined)
      log.error({ mount: mount.name }, 'not unmounted in time: ended by force; what was not flushed is lost')
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
      await pause(BUSY_PAUSE_MS)
    }
  }
  await instance.stopMount(mount, { force: true }).catch((error: unknown) => {
    log.error({ mount: mount.name, err: error }, 'could not be ended')
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)).unref())
}
