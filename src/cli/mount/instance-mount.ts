import { ControlClient } from '../../api/client.ts'
import { chooseMount } from '../../api/default-mount.ts'
import type { Mount } from '../../api/schema/mount.ts'
import type { Volume } from '../../api/schema/volume.ts'
import { instanceFiles, readEnvironment } from '../../daemon/config/environment.ts'
import { SheepfsError, isSheepfsError, type ErrorCode } from '../../errors.ts'
import { bindFlags } from './mount-flags.ts'
import type { MountOptions } from './mount-options.ts'
import type { MountRequest } from './mount-request.ts'
import type { InstanceSource } from './mount-source.ts'
import type { HeldProgram } from '../../daemon/system/held-program.ts'
import { holdVolume } from '../../daemon/device/volume-file.ts'
import { detachOption, findMountAt, type VolumeToDetach } from '../../daemon/system/remembered-mounts.ts'
import { runSystemProgram } from '../../daemon/system/system-program.ts'
import { withVolumeLock } from '../../daemon/device/volume-lock.ts'
import { mountLoop, takeVolume } from './volume-mount.ts'

/** Options of fstab that are for whoever reads fstab, and those that a bind mount can have. */
const OF_FSTAB = /^(?:defaults|_netdev|nofail|(?:no)?auto|(?:no)?users?|(?:no)?owner|(?:no)?group|comment=.*|[xX]-.*)$/
const OF_BIND =
  /^(?:ro|rw|(?:no)?(?:suid|dev|exec|atime|diratime|symfollow)|(?:no)?relatime|nostrictatime|strictatime)$/

/** Of a volume that comes and goes, as others mount and unmount it. */
const ATTACH_TRIES = 5
const LEFT_TO_THE_DAEMON = new Set<ErrorCode>(['busy', 'not-found', 'not-running', 'closed'])

/** Shows the tree of a running instance at the mountpoint too. Errors: not-running, not-found (mount), invalid (options). */
export async function mountInstanceTree(source: InstanceSource, request: MountRequest): Promise<void> {
  const { args, options, directory, signal } = request
  const unknown = options.rest.find((option) => !OF_FSTAB.test(option) && !OF_BIND.test(option))
  if (unknown !== undefined && !args.isSloppy) {
    throw new SheepfsError('invalid', `option ${unknown} is not for the tree of an instance`)
  }
  const { mountpoint } = await mountOf(clientOf(source), source, options.mount)
  if (mountpoint === directory) return
  const tree = await findMountAt(mountpoint)
  if (!tree) throw new SheepfsError('not-running', `the tree of instance "${source.instance}" is not mounted`)
  const present = await findMountAt(directory)
  if (present?.['maj:min'] === tree['maj:min'] && present.source === tree.source) return
  const rest = options.rest.filter((option) => option !== unknown)
  const bind = ['bind', ...bindFlags(rest, tree)]
  const flags = args.isUnrecorded ? ['-n'] : []
  await runSystemProgram('mount', [...flags, '-o', bind.join(','), mountpoint, directory], { signal })
}

/**
 * Attaches a volume to a running instance and mounts the file system in it. The volume goes with its last user, unless it is
 * attached for good. Errors: not-running, closed (it stops), those of attaching, of the loop device and of mount(8).
 */
export async function mountInstanceVolume(source: InstanceSource, request: MountRequest): Promise<void> {
  const { signal, undo, tell } = request
  const client = clientOf(source)
  const { name } = await mountOf(client, source, request.options.mount)
  const { volume, held } = await attachOpen(client, { mount: name, volume: source.volume ?? '' }, request)
  const attached = { instance: source.instance, mount: name, volume: volume.name }
  undo.add(async () => {
    await held.release()
    await detachVolume(attached)
  })
  tell(`${volume.name} is attached to mount ${name}`)
  signal.throwIfAborted()
  const isReadOnly = request.options.isReadOnly || volume.read_only
  const loop = await withVolumeLock(volume.path, signal, () => takeVolume(volume.path, request, isReadOnly))
  await mountLoop(loop, request, volume.temporary ? [detachOption(attached)] : [])
  // one that began to stop meanwhile would wait for this mount, and end it by force
  if ((await client.status()).state === 'stopping') {
    throw new SheepfsError('closed', `instance "${source.instance}" is stopping`)
  }
  await held.release()
}

/** Attaches a volume and opens it, so that it stays attached. It may be detached in between, when another mount of it ends. */
async function attachOpen(
  client: ControlClient,
  wanted: { readonly mount: string; readonly volume: string },
  { options, signal }: MountRequest,
): Promise<{ volume: Volume; held: HeldProgram }> {
  for (let tries = 1; ; tries++) {
    const { volume } = await attach(client, wanted, options)
    try {
      return { volume, held: await holdVolume(volume.path, signal) }
    } catch (error) {
      if (!isSheepfsError(error, 'io') || tries === ATTACH_TRIES) throw error
    }
  }
}

/** A mount that only reads is content with a volume that is attached for writing. */
async function attach(
  client: ControlClient,
  { mount, volume }: { readonly mount: string; readonly volume: string },
  { isReadOnly, breakLock }: MountOptions,
): ReturnType<ControlClient['attach']> {
  const how = { temporary: true, ...(breakLock ? { break_lock: true } : {}) }
  if (!isReadOnly) return client.attach(mount, volume, how)
  try {
    return await client.attach(mount, volume, { ...how, read_only: true })
  } catch (error) {
    if (!isSheepfsError(error, 'busy')) throw error
    return client.attach(mount, volume, how)
  }
}

/**
 * Resolves when a volume that nobody uses any more is detached. The daemon does that by itself, so this is only for who wants
 * to see it done: it is left to the daemon what somebody else uses, or one that cannot be reached.
 */
export async function detachVolume({ instance, mount, volume }: VolumeToDetach): Promise<void> {
  try {
    await clientOf({ instance }).detachTemporary(mount, volume)
  } catch (error) {
    if (!isSheepfsError(error) || !LEFT_TO_THE_DAEMON.has(error.code)) throw error
  }
}

function clientOf({ instance }: { readonly instance: string }): ControlClient {
  return new ControlClient(instanceFiles(instance, readEnvironment(process.env)).controlSocket)
}

async function mountOf(client: ControlClient, { instance }: InstanceSource, named?: string): Promise<Mount> {
  const mounts = await client.mounts().catch((error: unknown) => {
    if (!isSheepfsError(error, 'not-running')) throw error
    throw new SheepfsError('not-running', `instance "${instance}" does not run: systemctl start sheepfs@${instance}`, {
      cause: error,
    })
  })
  return chooseMount(mounts, { instance, named, how: 'option mount=' })
}
