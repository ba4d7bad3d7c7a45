import { readlink, rename, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'

/** Where udev puts the lasting names of devices, by systemd/60-sheepfs.rules. */
const FOLDER = '/dev/disk/by-sheepdog'
/** What udev would replace in a name; systemd/device-name has the same. */
const NOT_FOR_UDEV = /[ !"$&'()*,;<>?[\\\]^`{|}~]/g

/** The volumes of a mount, for udev. */
export interface NamedTree {
  /** Where the kernel sees their files. */
  readonly folder: string
  /** As `namesOf` has it. */
  readonly names: string
}

/** The folder of the names of a mount's devices: mounts that are not called like their instance have one of their own. */
export function namesOf(instance: string, mount: string): string {
  return mount === instance ? instance : `${instance}:${mount}`
}

/** The lasting name of the device of a volume: the %XX of its file, and what udev does not take, as udev writes it, \xXX. */
export function deviceLink(names: string, volume: string): string {
  const escape = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  return `${FOLDER}/${names}/${volume.replace(NOT_FOR_UDEV, escape).replaceAll('%', '\\x')}`
}

/** The name when it is there and leads to the device, else null: udev is yet to make it, or does not run. */
export async function presentLink(link: string, device: string): Promise<string | null> {
  const target = await readlink(link).catch(() => '')
  return basename(target) === basename(device) ? link : null
}

/** Tells udev what the volumes of these mounts are called. A reader sees all of it. */
export async function writeTrees(path: string, trees: readonly NamedTree[]): Promise<void> {
  const plain = trees.filter(({ folder }) => !/[\t\n]/.test(folder))
  const next = `${path}.${process.hrtime.bigint()}`
  await writeFile(next, plain.map(({ folder, names }) => `${folder}\t${names}\n`).join(''), { flag: 'wx', mode: 0o600 })
  await rename(next, path).catch(async (error: unknown) => {
    await rm(next, { force: true })
    throw error
  })
}
