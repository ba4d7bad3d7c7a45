import { isDeepStrictEqual } from 'node:util'
import type { InstanceConfig, MountConfig } from '../../api/schema/config.ts'
import type { CachePatch } from '../../api/schema/mount.ts'
import { configuredVolumes } from './configured-volumes.ts'

/** One step of a reload. Mounts are named; what stands at `mount` is how it shall be. */
export type ConfigChange =
  | { readonly kind: 'socket-group'; readonly group: string | undefined }
  | { readonly kind: 'observer-socket'; readonly isOn: boolean; readonly group: string | undefined }
  | { readonly kind: 'metrics-listen'; readonly address: string | undefined }
  | { readonly kind: 'remove-mount'; readonly name: string }
  /** `keys` are fixed for as long as it is mounted: unmount, then mount anew. */
  | { readonly kind: 'remount'; readonly mount: MountConfig; readonly keys: readonly (keyof MountConfig)[] }
  /** `keys` are fixed for as long as a worker lives: restart it under the mount. */
  | { readonly kind: 'restart-worker'; readonly mount: MountConfig; readonly keys: readonly (keyof MountConfig)[] }
  | { readonly kind: 'detach' | 'attach' | 'unmap' | 'map'; readonly name: string; readonly volume: string }
  | { readonly kind: 'cache'; readonly name: string; readonly patch: CachePatch }
  | { readonly kind: 'sheep'; readonly name: string; readonly addresses: string[] }
  | { readonly kind: 'io-timeout'; readonly name: string; readonly ioTimeout: MountConfig['io_timeout'] }
  | { readonly kind: 'add-mount'; readonly mount: MountConfig }

const FIXED_WHILE_MOUNTED = [
  'mountpoint',
  'engine',
  'write_back',
  'allow_other',
] as const satisfies (keyof MountConfig)[]
const FIXED_IN_WORKER = ['uid', 'gid', 'mode', 'networks'] as const satisfies (keyof MountConfig)[]

/**
 * The steps that lead from one configuration to another, in an order in which they can be done: what goes makes place for
 * what comes. What was changed at run time and is the same in both is not mentioned, and so stays as it is.
 */
export function diffConfig(from: InstanceConfig, to: InstanceConfig): ConfigChange[] {
  const before = new Map(from.mount.map((mount) => [mount.name, mount]))
  const after = new Set(to.mount.map(({ name }) => name))
  const removed = from.mount.filter(({ name }) => !after.has(name))
  const added = to.mount.filter(({ name }) => !before.has(name))
  const changes = to.mount.flatMap((mount) => {
    const old = before.get(mount.name)
    return old ? diffMount(old, mount) : []
  })
  return [
    ...diffSockets(from, to),
    ...removed.map(({ name }) => ({ kind: 'remove-mount' as const, name })),
    ...changes.filter(({ kind }) => kind === 'remount'),
    ...changes.filter(({ kind }) => kind !== 'remount'),
    ...added.map((mount) => ({ kind: 'add-mount' as const, mount })),
  ]
}

function diffSockets(from: InstanceConfig, to: InstanceConfig): ConfigChange[] {
  const changes: ConfigChange[] = []
  if (from.socket_group !== to.socket_group) changes.push({ kind: 'socket-group', group: to.socket_group })
  if (from.observer_socket !== to.observer_socket || from.observer_group !== to.observer_group)
    changes.push({ kind: 'observer-socket', isOn: to.observer_socket, group: to.observer_group })
  if (from.metrics_listen !== to.metrics_listen) changes.push({ kind: 'metrics-listen', address: to.metrics_listen })
  return changes
}

function diffMount(from: MountConfig, to: MountConfig): ConfigChange[] {
  const { name } = to
  const changed = (key: keyof MountConfig): boolean => !isDeepStrictEqual(from[key], to[key])
  const fixed = FIXED_WHILE_MOUNTED.filter(changed)
  if (fixed.length > 0) return [{ kind: 'remount', mount: to, keys: fixed }]
  const changes: ConfigChange[] = []
  const [before, after] = [configuredVolumes(from), configuredVolumes(to)]
  for (const volume of missingIn(to.devices, from.devices)) changes.push({ kind: 'unmap', name, volume })
  for (const volume of missingIn(after, before)) changes.push({ kind: 'detach', name, volume })
  if (changed('sheep')) changes.push({ kind: 'sheep', name, addresses: to.sheep })
  if (changed('io_timeout')) changes.push({ kind: 'io-timeout', name, ioTimeout: to.io_timeout })
  const patch = {
    ...(changed('page_cache') && { page_cache: to.page_cache }),
    ...(changed('object_cache') && { object_cache: to.object_cache }),
  }
  if (Object.keys(patch).length > 0) changes.push({ kind: 'cache', name, patch })
  const inWorker = FIXED_IN_WORKER.filter(changed)
  if (inWorker.length > 0) changes.push({ kind: 'restart-worker', mount: to, keys: inWorker })
  for (const volume of missingIn(before, after)) changes.push({ kind: 'attach', name, volume })
  for (const volume of missingIn(from.devices, to.devices)) changes.push({ kind: 'map', name, volume })
  return changes
}

function missingIn(list: readonly string[], wanted: readonly string[]): string[] {
  return wanted.filter((item) => !list.includes(item))
}
