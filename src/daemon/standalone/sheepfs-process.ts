import { errorText } from '../../errors.ts'
import { createLogger, type Logger } from '../../log.ts'
import { parseAddresses, parsePort } from '../../sheep/address.ts'
import { loadEngine, type EngineChoice } from '../choose-engine.ts'
import type { WireError } from '../worker-protocol.ts'
import { ServedMount, type MountSpec } from './served-mount.ts'

/** What the command sheepfs was given; everything still text. */
export interface SheepfsRequest {
  readonly mountpoint: string
  readonly address: string
  readonly port: string
  readonly engine: EngineChoice
  readonly pageCache: boolean
  readonly objectCache: boolean
  readonly allowOther: boolean
  readonly attach: readonly string[]
  readonly breakLock: boolean
  readonly source: string
  readonly debug: boolean
}

/** What a process in the background tells the command that started it. */
export type BackgroundReport = { readonly kind: 'serving' } | { readonly kind: 'failed'; readonly error: WireError }

/**
 * The process of one mount that the command sheepfs asked for: mounts, calls `onServing`, and resolves when the mount has
 * ended. SIGTERM and SIGINT unmount; a second one ends the mount although it is in use. Errors: why it could not be
 * mounted, or how serving it failed.
 */
export async function runSheepfs(request: SheepfsRequest, onServing: () => void): Promise<void> {
  const log = createLogger({ name: 'sheepfs', level: request.debug ? 'debug' : 'info' })
  const starting = ServedMount.start(await toSpec(request, log))
  const release = unmountOnSignals(starting, log)
  try {
    const mount = await starting
    log.info({ mountpoint: mount.mountpoint }, 'mounted')
    onServing()
    await mount.ended()
    log.info({ mountpoint: mount.mountpoint }, 'unmounted')
  } finally {
    release()
  }
}

async function toSpec(request: SheepfsRequest, log: Logger): Promise<MountSpec> {
  return {
    addresses: parseAddresses(request.address, parsePort(request.port)),
    mountpoint: request.mountpoint,
    engine: await loadEngine(request.engine),
    pageCache: request.pageCache,
    objectCache: request.objectCache,
    allowOther: request.allowOther,
    volumes: request.attach,
    breakLock: request.breakLock,
    source: request.source,
    log,
  }
}

/** From before the mount exists, so that no signal can leave it behind. Returns what gives the signals back. */
function unmountOnSignals(starting: Promise<ServedMount>, log: Logger): () => void {
  let isAsked = false
  const onSignal = (signal: NodeJS.Signals): void => {
    const isLast = isAsked
    isAsked = true
    const attempt = starting.then(
      (mount) => (isLast ? mount.abort() : mount.unmount()),
      () => undefined, // who started it hears why there is nothing to unmount
    )
    attempt.catch((error: unknown) => {
      const advice = isLast ? '' : `; ${signal} again ends it all the same, and what is in flight fails`
      log.error(`not unmounted: ${errorText(error)}${advice}`)
    })
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return () => {
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}
