import { errorText, isSheepfsError, type ErrorCode } from '../../errors.ts'
import type { InstanceConfig, MountConfig } from '../../api/schema/config.ts'
import type { Caller } from '../../api/supervisor.ts'
import type { Logger } from '../../log.ts'
import { chooseEngine } from '../choose-engine.ts'
import type { SavedVolume } from '../config/saved-state.ts'
import { diffConfig, type ConfigChange } from '../config/config-diff.ts'
import { checkMountpoints } from '../config/mountpoint-check.ts'
import type { Instance } from './instance.ts'
import type { InstanceControl } from './instance-control.ts'
import { serveLater } from './instance-life.ts'
import { pause } from './pause.ts'

/**
 * Leads an instance to another configuration, which has been checked as a whole, step by step. When a step fails, those
 * done before are undone. Errors: of the step that failed.
 */
export async function reloadInstance(
  control: InstanceControl,
  to: InstanceConfig,
  log: Logger,
): Promise<readonly ConfigChange[]> {
  const { instance } = control
  const from = instance.config
  const before = await stateOf(instance)
  const changes = await checkReload(instance, to)
  try {
    for (const change of changes) {
      log.info({ change: change.kind, mount: mountOf(change) }, 'reload')
      await apply(control, change, { before, log })
    }
    instance.adopt(to)
    return changes
  } catch (error) {
    log.error(`reload: ${errorText(error)}; going back to the configuration before`)
    instance.adopt(to)
    for (const change of planReload(instance, to, from).filter((undo) => !wasThere(undo, before))) {
      await apply(control, change, { before, log }).catch((cause: unknown) => {
        log.warn({ change: change.kind, err: cause }, 'not undone, or never done')
      })
    }
    await relist(instance, from, { before, log })
    instance.adopt(from)
    throw error
  }
}

/**
 * The steps to another configuration, of whose beginning nothing is known to be in the way. Errors: of a mountpoint at which
 * nothing can be mounted.
 */
export async function checkReload(instance: Instance, to: InstanceConfig): Promise<readonly ConfigChange[]> {
  const changes = planReload(instance, instance.config, to)
  const leaving = changes.flatMap((change) =>
    change.kind === 'remove-mount' || change.kind === 'remount' ? [mountOf(change) ?? ''] : [],
  )
  await checkMountpoints(
    changes.flatMap((change) => ('mount' in change ? [change.mount] : [])),
    leaving,
  )
  return changes
}

const DETACH_TRIES = 20
const DETACH_PAUSE_MS = 100

/** What the file says is done for nobody who could go. */
const NOBODY: Caller = { waits: false, gone: new AbortController().signal }

/** What a mount had before a reload. */
interface BeforeMount {
  readonly volumes: ReadonlySet<string>
  /** Those of them that no configuration has. */
  readonly added: readonly SavedVolume[]
  /** Volumes that were mapped. */
  readonly devices: ReadonlySet<string>
}
type Before = ReadonlyMap<string, BeforeMount>

interface ReloadContext {
  readonly before: Before
  readonly log: Logger
}

async function stateOf(instance: Instance): Promise<Before> {
  const mounts = instance.managed.map(async ({ name, keeper, addedVolumes, devices }) => {
    const volumes = new Set(keeper.mountState.volumes.map((volume) => volume.name))
    const mapped = new Set((await devices.list()).map(({ volume }) => volume))
    return [name, { volumes, added: addedVolumes, devices: mapped }] as const
  })
  return new Map(await Promise.all(mounts))
}

/** What was there before the reload, by whatever way, is not the reload's to take back, nor to bring what was not. */
function wasThere(undo: ConfigChange, before: Before): boolean {
  if (undo.kind === 'remove-mount') return before.has(undo.name)
  if (undo.kind === 'detach') return before.get(undo.name)?.volumes.has(undo.volume) === true
  if (undo.kind === 'unmap') return before.get(undo.name)?.devices.has(undo.volume) === true
  if (undo.kind === 'map') return before.get(undo.name)?.devices.has(undo.volume) !== true
  return false
}

/** As `diffConfig`; a mount that has not been mounted yet has nothing to be kept, and is started anew instead. */
function planReload(instance: Instance, from: InstanceConfig, to: InstanceConfig): ConfigChange[] {
  const changes = diffConfig(from, to)
  const unstarted = new Set(instance.managed.filter(({ keeper }) => !keeper.isStarted).map(({ name }) => name))
  const isOnMounted = (change: ConfigChange): boolean =>
    change.kind === 'remove-mount' || change.kind === 'add-mount' || !unstarted.has(mountOf(change) ?? '')
  const touched = new Set(changes.filter((change) => !isOnMounted(change)).map(mountOf))
  const anew = to.mount.filter(({ name }) => touched.has(name))
  return [...changes.filter(isOnMounted), ...anew.map((mount) => ({ kind: 'remount' as const, mount, keys: [] }))]
}

/** What could not be mounted again on the way back is tried until it can be. */
async function relist(instance: Instance, config: InstanceConfig, { before, log }: ReloadContext): Promise<void> {
  const present = new Set(instance.managed.map(({ name }) => name))
  for (const mount of config.mount.filter(({ name }) => !present.has(name))) {
    const engine = await chooseEngine(mount.engine)
    const volumes = before.get(mount.name)?.added ?? []
    void serveLater(instance, instance.enlist(mount, { isConfigured: true, engine, volumes }), log)
  }
}

function mountOf(change: ConfigChange): string | undefined {
  if ('mount' in change) return change.mount.name
  return 'name' in change ? change.name : undefined
}

async function apply(control: InstanceControl, change: ConfigChange, { before, log }: ReloadContext): Promise<void> {
  switch (change.kind) {
    case 'socket-group':
    case 'observer-socket':
    case 'metrics-listen':
      log.warn('the sockets are opened once: a restart of the daemon takes the new settings')
      return
    case 'remove-mount':
      return control.removeMount(change.name, { force: false })
    case 'remount':
      await control.removeMount(change.mount.name, { force: false })
      return startAsBefore(control, change.mount, before)
    case 'add-mount':
      return startAsBefore(control, change.mount, before)
    case 'restart-worker':
      return control.instance.reconfigureMount(change.mount)
    case 'attach':
      await control.attach(change.name, change.volume, {}, NOBODY)
      return
    case 'detach':
      return detach(control, change)
    case 'map':
      await control.map(change.name, change.volume, {}, NOBODY)
      return
    case 'unmap':
      return control.unmap(change.name, change.volume, NOBODY).catch(unless('not-found')) // unmapped by hand
    case 'cache':
      await control.patchCache(change.name, change.patch, NOBODY)
      return
    case 'sheep':
      await control.putSheep(change.name, { addresses: change.addresses }, NOBODY)
      return
    case 'io-timeout':
      await control.patchMount(change.name, { io_timeout: change.ioTimeout }, NOBODY)
      return
  }
}

/** With what was attached and mapped at run time. */
async function startAsBefore(control: InstanceControl, mount: MountConfig, before: Before): Promise<void> {
  const had = before.get(mount.name)
  await control.instance.startMount(mount, had?.added)
  for (const volume of had?.devices ?? []) {
    const isWanted = mount.devices.includes(volume) || had?.added.some(({ name }) => name === volume) === true
    if (isWanted) await control.map(mount.name, volume, {}, NOBODY)
  }
}

/** A loop device that was let go may hold its volume for a moment longer (docs/fuse-kernel-protocol.md#14). */
async function detach(control: InstanceControl, { name, volume }: { name: string; volume: string }): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await control.detach(name, volume, { force: false }, NOBODY)
      return
    } catch (error) {
      const isHeld = (await control.instance.find(name).holdersOf(volume)) !== ''
      if (!isSheepfsError(error, 'busy') || isHeld || tries === DETACH_TRIES) throw error
      await pause(DETACH_PAUSE_MS)
    }
  }
}

function unless(code: ErrorCode): (error: unknown) => void {
  return (error) => {
    if (!isSheepfsError(error, code)) throw error
  }
}
