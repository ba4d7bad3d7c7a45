import { errorText, SheepfsError } from '../../errors.ts'
import { checkMountpoint } from '../../fuse/mountpoint.ts'
import { createLogger, type Logger } from '../../log.ts'
import { parseAddresses, parsePort } from '../../sheep/address.ts'
import { chooseEngine, type EngineChoice } from '../choose-engine.ts'
import { usualWorkerAccount, type WorkerAccount } from '../config/worker-account.ts'
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
 * The process of one mount that the command sheepfs asked for: mounts, has a worker serve it, calls `onServing`, and resolves
 * when the mount has ended. SIGTERM and SIGINT unmount; a second one ends the mount although it is in use. Errors: why it
 * could not be mounted, or how serving it failed.
 */
export async function runSheepfs(request: SheepfsRequest, onServing: () => void): Promise<void> {
  const log = createLogger({ name: 'sheepfs', level: request.debug ? 'debug' : 'info' })
  const mount = new ServedMount(await toSpec(request, log))
  const release = unmountOnSignals(mount, log)
  try {
    await mount.start()
    log.info({ mountpoint: mount.mountpoint }, 'mounted')
    onServing()
    await mount.ended()
    log.info({ mountpoint: mount.mountpoint }, 'unmounted')
  } finally {
    release()
  }
}

async function toSpec(request: SheepfsRequest, log: Logger): Promise<MountSpec> {
  const addresses = parseAddresses(request.address, parsePort(request.port))
  return {
    addresses,
    mountpoint: await checkMountpoint(request.mountpoint),
    engine: await chooseEngine(request.engine),
    pageCache: request.pageCache,
    objectCache: request.objectCache,
    allowOther: request.allowOther,
    volumes: request.attach,
    breakLock: request.breakLock,
    source: request.source,
    account: await accountFor(request.engine, log),
    logLevel: request.debug ? 'debug' : 'info',
    log,
  }
}

/** Whom the worker becomes: only root can become somebody else, and what root is told by a cluster is not for root to read. */
async function accountFor(engine: EngineChoice, log: Logger): Promise<WorkerAccount | undefined> {
  if (process.geteuid?.() !== 0) return undefined
  const account = await usualWorkerAccount(process.env['SHEEPFS_WORKER_USER'])
  if (account.uid === 0) log.warn('SHEEPFS_WORKER_USER is root: who takes over what serves the mount has this host')
  else if (engine === 'fuse-native') {
    const expected = 'expected engine kernel, or SHEEPFS_WORKER_USER=root'
    throw new SheepfsError('invalid', `engine fuse-native would serve the mount with the rights of root: ${expected}`)
  }
  return account
}

/** From before the mount exists, so that no signal can leave it behind. Returns what gives the signals back. */
function unmountOnSignals(mount: ServedMount, log: Logger): () => void {
  let isAsked = false
  const onSignal = (signal: NodeJS.Signals): void => {
    const isLast = isAsked
    isAsked = true
    const attempt = isLast ? mount.abort() : mount.unmount()
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
