import type { InstanceConfig, MountConfig } from '../../api/schema/config.ts'
import { addressText, parseAddress } from '../../sheep/address.ts'
import { parseMount } from '../config/config.ts'
import type { SavedState } from '../config/saved-state.ts'
import type { LeftMount } from './left-mounts.ts'
import { toTimeoutMs } from './managed-mount.ts'

/** What a daemon begins with: a reload leads from there to the configuration of the file. */
export interface Start {
  readonly config: InstanceConfig
  readonly left: ReadonlyMap<string, LeftMount>
}

/**
 * The configuration of the file, but what is mounted already as it is: as the predecessor had it. Only what a mount that waits
 * for its cluster needs is taken from the file at once: the sheep, and how long to wait.
 */
export function startWith(
  wanted: InstanceConfig,
  left: ReadonlyMap<string, LeftMount>,
  { saved, instance }: { readonly saved: SavedState; readonly instance: string },
): Start {
  const before = new Map([...saved.mounts, ...(saved.served?.mount ?? [])].map((mount) => [mount.name, mount]))
  const after = new Map([...saved.mounts, ...wanted.mount].map((mount) => [mount.name, mount]))
  const pairs = Array.from(left.values(), (mount) => {
    const config = before.get(mount.name) ?? after.get(mount.name) ?? describe(mount, instance)
    return withClusterOf(after.get(mount.name) ?? config, { config, mount })
  })
  const isAdded = ({ name }: MountConfig): boolean => saved.mounts.some((added) => added.name === name)
  const fresh = wanted.mount.filter(({ name }) => !left.has(name))
  const kept = pairs.map(({ config }) => config).filter((config) => !isAdded(config) || isIn(wanted, config))
  return {
    config: { ...wanted, mount: [...kept, ...fresh] },
    left: new Map(pairs.map(({ mount }) => [mount.name, mount])),
  }
}

function isIn(config: InstanceConfig, { name }: MountConfig): boolean {
  return config.mount.some((mount) => mount.name === name)
}

interface Pair {
  readonly config: MountConfig
  readonly mount: LeftMount
}

function withClusterOf({ sheep, io_timeout }: MountConfig, { config, mount }: Pair): Pair {
  const state = {
    ...mount.state,
    ...(isSame(sheep, config.sheep) ? {} : { addresses: sheep.map((text) => parseAddress(text)) }),
    ...(io_timeout === config.io_timeout ? {} : { ioTimeoutMs: toTimeoutMs(io_timeout) }),
  }
  return { config: { ...config, sheep, io_timeout }, mount: { ...mount, state } }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.join() === other.join()
}

/** Nobody has told how it was configured: as far as can be seen. */
function describe({ name, entry, state }: LeftMount, instance: string): MountConfig {
  const input = {
    name,
    mountpoint: entry.mountpoint,
    sheep: state.addresses.map(addressText),
    page_cache: state.pageCache,
    object_cache: state.objectCache,
  }
  return parseMount(input, { instance, sheep: undefined }, [])
}
