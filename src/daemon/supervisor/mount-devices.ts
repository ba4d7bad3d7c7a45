import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Device, DevicePut } from '../../api/schema/device.ts'
import type { Volume } from '../../api/schema/volume.ts'
import type { Caller } from '../../api/supervisor.ts'
import { errorText, isSheepfsError, SheepfsError, type ErrorCode } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { WAIT_LIMIT_MS, Waiter } from '../../sheep/waiter.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { checkUnused, isMapped } from '../device/block-device.ts'
import { deviceLink, namesOf, presentLink, type NamedTree } from '../device/device-link.ts'
import { carryOut } from '../device/device-order.ts'
import { deviceUsers } from '../device/device-users.ts'
import { readLoops, type LoopState } from '../device/loop-table.ts'
import { runSystemProgram } from '../system/system-program.ts'
import { realWorld } from '../real-world.ts'
import { volumeFolder } from './device-growth.ts'
import type { ManagedMount } from './managed-mount.ts'

/** A volume that is attached temporarily may go between being attached and being opened. */
const ATTACH_TRIES = 5
/** A worker that is about to detach it does so by itself. */
const LEFT_TO_THE_WORKER = new Set<ErrorCode>(['busy', 'not-found', 'closed', 'unreachable', 'timeout'])
const RETRY_PAUSE_MS = 3000
const UDEV_LIMIT_S = 10

/** What is needed of a mount. */
export type MountOfDevices = Pick<
  ManagedMount,
  'name' | 'instance' | 'config' | 'ask' | 'markConfigured' | 'pathOf'
> & { readonly keeper: Pick<ManagedMount['keeper'], 'state'> }

interface MappedVolume {
  readonly volume: string
  readonly loop: LoopState
}

/**
 * The volumes of a mount as block devices. What is mapped is a loop device over the file of a volume that stays until it is
 * detached: the kernel knows all of it, so it outlives every process of sheepfs, and nothing here remembers it.
 */
export class MountDevices {
  readonly #mount: MountOfDevices
  readonly #log: Logger
  /** Why volumes of the configuration are not mapped. */
  readonly #lacks = new Map<string, string>()

  constructor(mount: MountOfDevices, log: Logger) {
    this.#mount = mount
    this.#log = log
  }

  async list(): Promise<Device[]> {
    return Promise.all((await this.#mapped()).map((mapped) => this.#present(mapped)))
  }

  /** Errors: not-found. */
  async find(volume: string): Promise<Device> {
    return this.#present(await this.#find(volume))
  }

  /**
   * Attaches a volume, unless it is, for as long as it is mapped, and maps it. Errors: those of attaching, and of
   * `mapVolume`; as a `Waiter` when the caller waits no more: it is undone then as soon as it can be.
   */
  async map(name: string, options: DevicePut, caller: Caller): Promise<{ device: Device; isNew: boolean }> {
    const { text } = parseVolumeName(name)
    const mapped = await this.#wait(caller, (signal) => this.#attachMap(text, options, { ...caller, gone: signal }))
    if (mapped.isNew) await udevIsDone()
    return { device: await this.#present({ volume: text, loop: mapped.loop }), isNew: mapped.isNew }
  }

  /**
   * Maps what the configuration wants. What cannot be mapped is told, and tried until it can be, or is not wanted any more.
   * Never rejects.
   */
  async mapConfigured(): Promise<void> {
    await Promise.all(
      this.#mount.config.devices.map(async (volume) => {
        const error = await this.#mapFailure(volume)
        if (error === undefined) return
        this.#log.error({ volume }, `not mapped to a block device: ${errorText(error)}; tried again until it is`)
        void this.#mapLater(volume)
      }),
    )
  }

  /** Why what is configured is not mapped; undefined when all is. */
  get lack(): string | undefined {
    return [...this.#lacks.values()][0]
  }

  async #mapLater(volume: string): Promise<void> {
    do {
      await pause(RETRY_PAUSE_MS, undefined, { ref: false })
      if (!this.#wants(volume)) break
    } while ((await this.#mapFailure(volume)) !== undefined)
    if (!this.#lacks.delete(volume)) this.#log.info({ volume }, 'mapped to a block device now')
  }

  #wants(volume: string): boolean {
    const { keeper, config } = this.#mount
    return config.devices.includes(volume) && keeper.state !== 'stopping' && keeper.state !== 'ended'
  }

  async #mapFailure(volume: string): Promise<unknown> {
    try {
      await this.map(volume, {}, { waits: false, gone: endless() })
      this.#lacks.delete(volume)
      return undefined
    } catch (error) {
      this.#lacks.set(volume, errorText(error))
      return error
    }
  }

  /** Errors: not-found; as `unmapDevice`; as a `Waiter` when the caller waits no more. */
  async unmap(name: string, caller: Caller): Promise<void> {
    const mapped = await this.#find(name)
    await this.#wait(caller, (signal) => this.#unmap(mapped, signal))
    const detached = this.#mount.ask(caller, 'detach', mapped.volume, { force: false, temporary: true })
    await detached.catch((error: unknown) => {
      if (!isSheepfsError(error) || !LEFT_TO_THE_WORKER.has(error.code)) throw error
    })
  }

  /** Unmaps all, or none when one of them is in use. Errors: busy, saying who uses it; as `unmapDevice`. */
  async unmapAll(): Promise<void> {
    const all = await this.#mapped()
    for (const { volume, loop } of all) await checkUnused(loop).catch(failureOf(volume))
    for (const mapped of all) await this.#unmap(mapped, endless())
  }

  /** What uses the devices loses them: for a mount that is ended by force. Never rejects. */
  async drop(): Promise<void> {
    const all = await this.#mapped()
    await Promise.all(
      all.map(async ({ volume, loop }) => {
        this.#log.warn({ volume }, `${loop.path} is taken away`)
        await carryOut('drop', [this.#mount.pathOf(volume), loop], endless()).catch((error: unknown) => {
          this.#log.warn({ volume }, `${loop.path} is left: ${errorText(error)}`)
        })
      }),
    )
  }

  /** For udev. */
  async tree(): Promise<NamedTree> {
    return { folder: await volumeFolder(this.#mount.config), names: this.#names }
  }

  get #names(): string {
    return namesOf(this.#mount.instance, this.#mount.name)
  }

  async #present({ volume, loop }: MappedVolume): Promise<Device> {
    return {
      volume,
      path: loop.path,
      link: await presentLink(deviceLink(this.#names, volume), loop.path),
      size: loop.size,
      sector_size: loop.sectorSize as Device['sector_size'],
      read_only: loop.isReadOnly,
      partitions: loop.partitions.map(({ path }) => path),
      used_by: [...(await deviceUsers(loop))],
    }
  }

  async #mapped(): Promise<MappedVolume[]> {
    const folder = await volumeFolder(this.#mount.config)
    return (await readLoops()).flatMap((loop) =>
      dirname(loop.file) === folder && isMapped(loop) ? [{ volume: basename(loop.file), loop }] : [],
    )
  }

  async #find(name: string): Promise<MappedVolume> {
    const { text } = parseVolumeName(name)
    const found = (await this.#mapped()).find(({ volume }) => volume === text)
    if (found) return found
    throw new SheepfsError('not-found', `volume "${text}" of mount "${this.#mount.name}" is not mapped`)
  }

  /** Nothing holds a volume until its device is about to be made: one that has gone until then is attached again. */
  async #attachMap(name: string, options: DevicePut, caller: Caller) {
    for (let tries = 1; ; tries++) {
      const volume = await this.#attach(name, options, caller)
      const isReadOnly = options.read_only === true || volume.read_only
      const how = { isReadOnly, sectorSize: options.sector_size }
      try {
        return await carryOut('map', [volume.path, how], caller.gone).catch(failureOf(name))
      } catch (error) {
        if (!isSheepfsError(error, 'io') || tries === ATTACH_TRIES) throw error
      }
    }
  }

  #unmap({ volume, loop }: MappedVolume, signal: AbortSignal): Promise<null> {
    return carryOut('unmap', [this.#mount.pathOf(volume), loop], signal).catch(failureOf(volume))
  }

  /** A device that only reads is content with a volume that is attached for writing. */
  async #attach(name: string, { read_only = false, break_lock = false }: DevicePut, caller: Caller): Promise<Volume> {
    const how = { temporary: true, ...(break_lock && { break_lock }) }
    const attach = async (more: { read_only?: true }): Promise<Volume> => {
      const { volume } = await this.#mount.ask(caller, 'attach', name, { ...how, ...more })
      return this.#mount.markConfigured(volume)
    }
    if (!read_only) return attach({})
    return attach({ read_only: true }).catch((error: unknown) => {
      if (isSheepfsError(error, 'busy')) return attach({})
      throw error
    })
  }

  /** What `work` gives, as long as the caller waits for it; it goes on until it can stop. */
  async #wait<T>({ waits, gone }: Caller, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const waiter = new Waiter({ clock: realWorld.clock, limitMs: waits ? Infinity : WAIT_LIMIT_MS, gone })
    try {
      return await waiter.until(work(waiter.signal))
    } finally {
      waiter.end()
    }
  }
}

/** Resolves when udev has given the names of what is there, or does not in time. Where none runs there is nothing to wait for. */
async function udevIsDone(): Promise<void> {
  if (!existsSync('/run/udev/control')) return
  await runSystemProgram('udevadm', ['settle', `--timeout=${UDEV_LIMIT_S}`]).catch(() => undefined)
}

/** For what goes on also when nobody waits for it. */
function endless(): AbortSignal {
  return new AbortController().signal
}

/** Throws an error on, with the name of the volume. */
function failureOf(volume: string): (error: unknown) => never {
  return (error) => {
    if (!isSheepfsError(error)) throw error
    throw new SheepfsError(error.code, `volume "${volume}": ${error.message}`, { cause: error })
  }
}
