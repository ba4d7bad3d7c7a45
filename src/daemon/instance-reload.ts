import { errorText } from '../errors.ts'
import { type InstanceConfig } from '../api/schema/config.ts'
import { type Logger } from '../log.ts'
import { diffConfig, type ConfigChange } from './config-diff.ts'
import { type Instance } from './instance.ts'

/**
 * Leads an instance to another configuration, which has been checked as a whole, step by step. When a step fails, those
 * done before are undone. Errors: of the step that failed.
 */
export async function reloadInstance(instance: Instance, to: InstanceConfig, log: Logger): Promise<void> {
  const from = instance.config
  const done: ConfigChange[] = []
  try {
    for (const change of diffConfig(from, to)) {
      log.info({ change: change.kind, ...describe(change) }, 'reload')
      await apply(instance, change, log)
      done.push(change)
    }
    instance.adopt(to)
  } catch (error) {
    log.error(`reload: ${errorText(error)}; going back to the configuration before`)
    instance.adopt(to)
    for (const change of diffConfig(to, from)) {
      await apply(instance, change, log).catch((cause: unknown) => {
        log.warn({ change: change.kind, err: cause }, 'not undone, or never done')
      })
    }
    instance.adopt(from)
    throw error
  }
}

function describe(change: ConfigChange): object {
  if ('mount' in change) return { mount: change.mount.name }
  return 'name' in change ? { mount: change.name } : {}
}

async function apply(instance: Instance, change: ConfigChange, log: Logger): Promise<void> {
  switch (change.kind) {
    case 'socket-group':
    case 'observer-socket':
      log.warn('the sockets are opened once: a restart of the daemon takes the new settings')
      return
    case 'remove-mount':
      return instance.removeMount(change.name, { force: false })
    case 'remount':
      await instance.removeMount(change.mount.name, { force: false })
      await instance.startMount(change.mount, { isConfigured: true })
      return
    case 'add-mount':
      await instance.startMount(change.mount, { isConfigured: true })
      return
    case 'restart-worker':
      return instance.reconfigureMount(change.mount)
    case 'attach':
      await instance.attach(change.name, change.volume, {})
      return
    case 'detach':
      return instance.detach(change.name, change.volume, { force: false })
    case 'cache':
      await instance.patchCache(change.name, change.patch)
      return
    case 'sheep':
      await instance.putSheep(change.name, { addresses: change.addresses })
      return
    case 'io-timeout':
      await instance.patchMount(change.name, { io_timeout: change.ioTimeout })
      return
  }
}
