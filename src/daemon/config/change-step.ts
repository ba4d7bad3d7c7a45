import type { ReloadStep } from '../../api/schema/reload.ts'
import type { ConfigChange } from './config-diff.ts'

/** What a change means to whoever asked for the reload. */
export function stepOf(change: ConfigChange): ReloadStep {
  switch (change.kind) {
    case 'socket-group':
      return { mount: null, effect: 'daemon-restart', text: `socket_group ${change.group ?? 'of the daemon'}` }
    case 'observer-socket':
      return { mount: null, effect: 'daemon-restart', text: `observer_socket ${observersText(change)}` }
    case 'metrics-listen':
      return { mount: null, effect: 'daemon-restart', text: `metrics_listen ${change.address ?? 'closed'}` }
    case 'remove-mount':
      return { mount: change.name, effect: 'unmount', text: 'unmounted' }
    case 'remount': {
      const { name, mountpoint } = change.mount
      const why = change.keys.length === 0 ? '' : ` for another ${change.keys.join(', ')}`
      return { mount: name, effect: 'unmount', text: `unmounted, then mounted at ${mountpoint}${why}` }
    }
    case 'add-mount':
      return { mount: change.mount.name, effect: 'mount', text: `mounted at ${change.mount.mountpoint}` }
    case 'restart-worker':
      return {
        mount: change.mount.name,
        effect: 'new-worker',
        text: `a new worker for another ${change.keys.join(', ')}`,
      }
    case 'attach':
    case 'detach':
      return { mount: change.name, effect: 'online', text: `${change.kind}ed ${change.volume}` }
    case 'map':
    case 'unmap':
      return { mount: change.name, effect: 'online', text: `${change.kind}ped ${change.volume}` }
    case 'cache':
      return { mount: change.name, effect: 'online', text: settingsText(change.patch) }
    case 'sheep':
      return { mount: change.name, effect: 'online', text: `sheep ${change.addresses.join(', ')}` }
    case 'io-timeout':
      return { mount: change.name, effect: 'online', text: `io_timeout ${change.ioTimeout}` }
  }
}

function observersText({ isOn, group }: { readonly isOn: boolean; readonly group: string | undefined }): string {
  if (!isOn) return 'closed'
  return group === undefined ? 'opened for everybody' : `opened for the group ${group}`
}

function settingsText(settings: Readonly<Record<string, boolean>>): string {
  return Object.entries(settings)
    .map(([key, isOn]) => `${key} ${isOn ? 'on' : 'off'}`)
    .join(', ')
}
