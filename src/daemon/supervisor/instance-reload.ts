import { errorText } from '../../errors.ts'
import type { InstanceConfig } from '../../api/schema/config.ts'
import type { Logger } from '../../log.ts'
import { chooseEngine } from '../choose-engine.ts'
import { diffConfig, type ConfigChange } from '../config/config-diff.ts'
import type { Instance } from './instance.ts'
import type { InstanceControl } from './instance-control.ts'
import { serveLater } from './instance-life.ts'

/**
 * Leads an instance to another configuration, which has been checked as a whole, step by step. When a step fails, those
 * done before are undone. Errors: of the step that failed.
 */
export async function reloadInstance(control: InstanceControl, to: InstanceConfig, log: Logger): Promise<void> {
  const { instance } = control
  const from = instance.config
  try {
    for (const change of planReload(instance, from, to)) {
      log.info({ change: change.kind, mount: mountOf(change) }, 'reload')
      await apply(control, change, log)
    }
    instance.adopt(to)
  } catch (error) {
    log.error(`reload: ${errorText(error)}; going back to the configuration before`)
    instance.adopt(to)
    for (const change of planReload(instance, to, from)) {
      await apply(control, change, log).catch((cause: unknown) => {
        log.warn({ change: change.kind, err: cause }, 'not undone, or never done')
      })
    }
    await relist(instance, from, log)
    instance.adopt(from)
    throw error
  }
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
async function relist(instance: Instance, config: InstanceConfig, log: Logger): Promise<void> {
  const present = new Set(instance.managed.map(({ name }) => name))
  for (const mount of config.mount.filter(({ name }) => !present.has(name))) {
    const engine = await chooseEngine(mount.engine)
    void serveLater(instance, instance.enlist(mount, { isConfigured: true, engine }), log)
  }
}

function mountOf(change: ConfigChange): string | undefined {
  if ('mount' in change) return change.mount.name
  return 'name' in change ? change.name : undefined
}

async function apply(control: InstanceControl, change: ConfigChange, log: Logger): Promise<void> {
  switch (change.kind) {
    case 'socket-group':
    case 'observer-socket':
      log.warn('the sockets are opened once: a restart of the daemon takes the new settings')
      return
    case 'remove-mount':
      return control.removeMount(change.name, { force: false })
    case 'remount':
      await control.removeMount(change.mount.name, { force: false })
      return control.instance.startMount(change.mount)
    case 'add-mount':
      return control.instance.startMount(change.mount)
    case 'restart-worker':
      return control.instance.reconfigureMount(change.mount)
    case 'attach':
      await control.attach(change.name, change.volume, {})
      return
    case 'detach':
      return control.detach(change.name, change.volume, { force: false })
    case 'cache':
      await control.patchCache(change.name, change.patch)
      return
    case 'sheep':
      await control.putSheep(change.name, { addresses: change.addresses })
      return
    case 'io-timeout':
      await control.patchMount(change.name, { io_timeout: change.ioTimeout })
      return
  }
}
