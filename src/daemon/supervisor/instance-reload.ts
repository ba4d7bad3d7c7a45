import { errorText } from '../../errors.ts'
import type { InstanceConfig } from '../../api/schema/config.ts'
import type { Caller } from '../../api/supervisor.ts'
import type { Logger } from '../../log.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { chooseEngine } from '../choose-engine.ts'
import type { SavedVolume } from '../config/saved-state.ts'
import { diffConfig, type ConfigChange } from '../config/config-diff.ts'
import { checkMountpoints } from '../config/mountpoint-check.ts'
import type { Instance } from './instance.ts'
import type { InstanceControl } from './instance-control.ts'
import { serveLater } from './instance-life.ts'

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
  const before = stateOf(instance)
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

/** What the file says is done for nobody who could go. */
const NOBODY: Caller = { waits: false, gone: new AbortController().signal }

/** What was attached to each mount before a reload: its volumes, and those of them that no configuration has. */
type Before = ReadonlyMap<string, { readonly volumes: ReadonlySet<string>; readonly added: readonly SavedVolume[] }>

interface ReloadContext {
  readonly before: Before
  readonly log: Logger
}

function stateOf(instance: Instance): Before {
  return new Map(
    instance.managed.map(({ name, keeper, addedVolumes }) => {
      const volumes = new Set(keeper.mountState.volumes.map((volume) => volume.name))
      return [name, { volumes, added: addedVolumes }]
    }),
  )
}

/** What was there before the reload, by whatever way, is not the reload's to take back. */
function wasThere(undo: ConfigChange, before: Before): boolean {
  if (undo.kind === 'remove-mount') return before.has(undo.name)
  if (undo.kind === 'detach') return before.get(undo.name)?.volumes.has(parseVolumeName(undo.volume).text) === true
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
      log.warn('the sockets are opened once: a restart of the daemon takes the new settings')
      return
    case 'remove-mount':
      return control.removeMount(change.name, { force: false })
    case 'remount':
      await control.removeMount(change.mount.name, { force: false })
      return control.instance.startMount(change.mount, before.get(change.mount.name)?.added)
    case 'add-mount':
      return control.instance.startMount(change.mount, before.get(change.mount.name)?.added)
    case 'restart-worker':
      return control.instance.reconfigureMount(change.mount)
    case 'attach':
      await control.attach(change.name, change.volume, {}, NOBODY)
      return
    case 'detach':
      return control.detach(change.name, change.volume, { force: false }, NOBODY)
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
