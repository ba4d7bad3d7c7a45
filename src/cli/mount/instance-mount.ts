import { ControlClient } from '../../api/client.ts'
import type { Mount } from '../../api/schema/mount.ts'
import { instanceFiles, readEnvironment } from '../../daemon/config/environment.ts'
import { SheepfsError, isSheepfsError } from '../../errors.ts'
import type { MountOptions } from './mount-options.ts'
import type { MountRequest } from './mount-request.ts'
import type { InstanceSource } from './mount-source.ts'
import { forgetAttached, isNoted, noteAttached } from './attached-by-mount.ts'
import { detachOption, type VolumeToDetach } from './mount-table.ts'
import { runSystemProgram } from './system-program.ts'
import { mountVolume } from './volume-mount.ts'

/** Options of fstab that are for whoever reads fstab, and those that a bind mount can have. */
const OF_FSTAB = /^(?:defaults|_netdev|nofail|(?:no)?auto|(?:no)?users?|(?:no)?owner|(?:no)?group|comment=.*|[xX]-.*)$/
const OF_BIND =
  /^(?:ro|rw|(?:no)?(?:suid|dev|exec|atime|diratime|symfollow)|(?:no)?relatime|nostrictatime|strictatime)$/

/** Shows the tree of a running instance at the mountpoint too. Errors: not-running, not-found (mount), invalid (options). */
export async function mountInstanceTree(source: InstanceSource, request: MountRequest): Promise<void> {
  const { args, options, directory, signal } = request
  const unknown = options.rest.find((option) => !OF_FSTAB.test(option) && !OF_BIND.test(option))
  if (unknown !== undefined && !args.isSloppy) {
    throw new SheepfsError('invalid', `option ${unknown} is not for the tree of an instance`)
  }
  const { mountpoint } = await chooseMount(clientOf(source), source, options.mount)
  if (mountpoint === directory) return
  const bind = ['bind', ...options.rest.filter((option) => option !== unknown)]
  const flags = args.isUnrecorded ? ['-n'] : []
  await runSystemProgram('mount', [...flags, '-o', bind.join(','), mountpoint, directory], { signal })
}

/**
 * Attaches a volume to a running instance and mounts the file system in it; umount.sheepfs detaches it again, unless it
 * was attached before. Errors: not-running, closed (it stops), those of attaching, of the loop device and of mount(8).
 */
export async function mountInstanceVolume(source: InstanceSource, request: MountRequest): Promise<void> {
  const { options, undo, tell } = request
  const client = clientOf(source)
  const { name } = await chooseMount(client, source, options.mount)
  const wanted = source.volume ?? ''
  const { volume, isNew } = await attach(client, { mount: name, volume: wanted }, options)
  tell(`${volume.name} is attached to mount ${name}`)
  const attached = { instance: source.instance, mount: name, volume: volume.name }
  if (isNew) {
    undo.add(() => detachVolume(attached))
    await noteAttached(attached)
  }
  request.signal.throwIfAborted()
  await mountVolume(volume.path, request, (await isNoted(attached)) ? [detachOption(attached)] : [])
  // one that began to stop meanwhile would wait for this mount, and end it by force
  if ((await client.status()).state === 'stopping') {
    throw new SheepfsError('closed', `instance "${source.instance}" is stopping`)
  }
}

/** A mount that only reads is content with a volume that is attached for writing. */
async function attach(
  client: ControlClient,
  { mount, volume }: { readonly mount: string; readonly volume: string },
  { isReadOnly, breakLock }: MountOptions,
): ReturnType<ControlClient['attach']> {
  const how = breakLock ? { break_lock: true } : {}
  if (!isReadOnly) return client.attach(mount, volume, how)
  try {
    return await client.attach(mount, volume, { ...how, read_only: true })
  } catch (error) {
    if (!isSheepfsError(error, 'busy')) throw error
    return client.attach(mount, volume, how)
  }
}

/** Detaches what `mountInstanceVolume` attached; not when somebody else uses it, or the instance has ended. */
export async function detachVolume(attached: VolumeToDetach): Promise<void> {
  try {
    await clientOf(attached).detach(attached.mount, attached.volume, false)
    await forgetAttached(attached)
  } catch (error) {
    if (!isSheepfsError(error) || !['busy', 'not-found', 'not-running'].includes(error.code)) throw error
  }
}

function clientOf({ instance }: { readonly instance: string }): ControlClient {
  return new ControlClient(instanceFiles(instance, readEnvironment(process.env)).controlSocket)
}

/** The mount that is named, the one with the name of the instance, or the only one. */
async function chooseMount(client: ControlClient, { instance }: InstanceSource, named?: string): Promise<Mount> {
  const mounts = await client.mounts().catch((error: unknown) => {
    if (!isSheepfsError(error, 'not-running')) throw error
    throw new SheepfsError('not-running', `instance "${instance}" does not run: systemctl start sheepfs@${instance}`, {
      cause: error,
    })
  })
  const chosen = mounts.find(({ name }) => name === (named ?? instance))
  const [only, ...others] = mounts
  if (chosen) return chosen
  if (only && others.length === 0 && named === undefined) return only
  const names = mounts.map(({ name }) => name).join(', ')
  const which = named === undefined ? 'has several mounts: choose one with option mount=' : `has no mount "${named}"`
  throw new SheepfsError('not-found', `instance "${instance}" ${which} (it has ${names === '' ? 'none' : names})`)
}
