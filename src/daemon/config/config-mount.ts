import { isIP } from 'node:net'
import { resolve } from 'node:path'
import type { Flaw } from '../../api/explain-invalid.ts'
import type { MountConfig, MountDefaulted } from '../../api/schema/config.ts'
import { errorText } from '../../errors.ts'
import { accountId } from './account-id.ts'
import { addressText, parseAddress } from '../../sheep/address.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { inNetworks, networkText } from './network.ts'

/** What a mount takes from its instance. */
export interface MountContext {
  readonly instance: string
  /** Addresses for a mount that names none, canonical. */
  readonly sheep: readonly string[] | undefined
}

/** Told what is wrong, and at which key of the mount. */
type Complain = (key: string, text: string) => void

/** Fills in what a mount leaves to its instance, with paths, addresses and names in their canonical form. */
export function resolveMount(table: MountDefaulted, context: MountContext, complain: Complain): MountConfig {
  if (table.sheep === undefined && context.sheep === undefined) {
    complain('sheep', 'missing, expected the addresses of one or more sheep, here or at the top of the file')
  }
  const sheep = table.sheep ? canonicalAddresses(table.sheep, complain) : [...(context.sheep ?? [])]
  const networks = canonicalList(table.networks, 'networks', networkText, complain)
  checkNetworks(sheep, networks, complain)
  return {
    ...table,
    name: table.name ?? context.instance,
    uid: idOf('uid', 'passwd', table.uid, complain),
    gid: idOf('gid', 'group', table.gid, complain),
    mountpoint: canonicalMountpoint(table.mountpoint, complain),
    sheep,
    networks,
    volumes: canonicalVolumes('volumes', table.volumes, complain),
    devices: canonicalVolumes('devices', table.devices, complain),
  }
}

function canonicalVolumes(key: 'volumes' | 'devices', list: readonly string[], complain: Complain): string[] {
  return canonicalList(list, key, (text) => parseVolumeName(text).text, complain)
}

/** Sheep that are configured are in the networks too. Of a name it is not known, nor asked. */
function checkNetworks(sheep: readonly string[], networks: readonly string[], complain: Complain): void {
  const isAllowed = inNetworks(networks)
  for (const text of networks.length > 0 ? sheep : []) {
    const { host } = parseAddress(text)
    if (isIP(host) !== 0 && !isAllowed(host)) {
      complain('networks', `sheep ${text} is in none of them, expected a network that it is in`)
    }
  }
}

/** Addresses in their canonical form. */
export function canonicalAddresses(list: readonly string[], complain: Complain): string[] {
  return canonicalList(list, 'sheep', (text) => addressText(parseAddress(text)), complain)
}

/** What a table of the file is called in messages: people count from one. */
export function mountText(index: number): string {
  return `[[mount]] ${index + 1}`
}

/**
 * What is wrong between mounts: names and mountpoints that are taken, mountpoints below each other; `textOf` says what the
 * mount at an index is called.
 */
export function checkMounts(mounts: readonly MountConfig[], textOf = mountText): Flaw[] {
  return mounts.flatMap((mount, i) => {
    const flaws: Flaw[] = []
    const { name, mountpoint } = mount
    const before = mounts.slice(0, i)
    const namesake = before.findIndex((other) => other.name === name)
    if (namesake !== -1) {
      flaws.push({
        path: `mount[${i}].name`,
        text: `"${name}" is the name of ${textOf(namesake)} too, expected another`,
      })
    }
    const neighbour = before.findIndex(
      (other) => isBelow(mountpoint, other.mountpoint) || isBelow(other.mountpoint, mountpoint),
    )
    if (neighbour !== -1) {
      const place = `at or below "${mounts[neighbour]?.mountpoint ?? ''}" of ${textOf(neighbour)}, or above it`
      flaws.push({ path: `mount[${i}].mountpoint`, text: `"${mountpoint}" is ${place}, expected another place` })
    }
    return flaws
  })
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

function idOf(key: 'uid' | 'gid', database: 'passwd' | 'group', account: number | string, complain: Complain): number {
  try {
    return accountId(database, account)
  } catch (error) {
    complain(key, errorText(error))
    return 0
  }
}

function canonicalMountpoint(path: string, complain: Complain): string {
  const canonical = resolve(path)
  if (canonical === '/') complain('mountpoint', 'found "/", expected a directory of its own')
  if (canonical.includes('\0')) complain('mountpoint', 'found a NUL, expected an absolute path')
  return canonical
}

/** Every item in its canonical form; complains of those that have none, and of those that come twice. */
function canonicalList(
  list: readonly string[],
  key: string,
  toCanonical: (text: string) => string,
  complain: Complain,
): string[] {
  const seen = new Map<string, number>()
  list.forEach((text, i) => {
    try {
      const canonical = toCanonical(text)
      const first = seen.get(canonical)
      if (first === undefined) seen.set(canonical, i)
      else complain(`${key}[${i}]`, `"${text}" is the same as ${key}[${first}], expected each once`)
    } catch (error) {
      complain(`${key}[${i}]`, errorText(error))
    }
  })
  return [...seen.keys()]
}
