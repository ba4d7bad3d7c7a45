import { resolve } from 'node:path'
import type { MountInput } from '../api/schema/config.ts'
import type { ReloadStep } from '../api/schema/reload.ts'
import type { Mount } from '../api/schema/mount.ts'
import type { OptionRow } from '../command-line.ts'
import { isSheepfsError, SheepfsError } from '../errors.ts'
import { byteSizeText } from './byte-size.ts'
import { EXIT } from './exit-code.ts'
import { parseEngine } from './parse-engine.ts'
import type { Call, Command } from './sheepfsctl-command.ts'
import { onOffText } from './sheepfsctl-look.ts'
import { tableText } from './table.ts'

const FORCE: OptionRow = ['--force', 'also while files are open: they fail from then on']

/** Commands that change mounts and what is attached to them. */
export const MOUNT_COMMANDS: readonly Command[] = [
  {
    name: 'reload',
    arguments: '',
    summary: 'applies what is different in the configuration; nothing when anything is wrong',
    hasNoMount: true,
    options: [['--dry-run', 'only say what would be done, and what is in the way']],
    run: async (call) => {
      const isDryRun = call.flag('dry-run')
      const reload = await call.client.reload({ isDryRun })
      const done = isDryRun ? '' : 'reloaded\n'
      call.print(
        reload,
        () => reload.steps.map(stepText).join('') + (done || (reload.steps.length > 0 ? '' : 'nothing to do\n')),
      )
      return EXIT.done
    },
  },
  {
    name: 'mount',
    arguments: 'MOUNTPOINT|MOUNT',
    summary: 'mounts until the daemon ends; a name: again what was unmounted',
    hasNoMount: true,
    options: [
      ['--name NAME', 'its name (default: the instance)'],
      ['--sheep ADDRESS...', "host:port, repeatable (default: the instance's)"],
      ['--volume VOLUME...', 'attached from the start, repeatable'],
      ['--engine auto|kernel|fuse-native', 'what speaks to the kernel'],
      ['--page-cache on|off', 'let the kernel cache volume data'],
      ['--object-cache on|off', "use the cluster's object cache"],
      ['--allow-other', 'let other users in'],
      ['--io-timeout forever|SECONDS', 'how long I/O waits for the cluster'],
    ],
    run: async (call) => {
      const mount = (await mountAgain(call)) ?? (await call.client.addMount(mountInput(call)))
      call.print(mount, () => `mounted ${mount.name} at ${mount.mountpoint}\n`)
      return EXIT.done
    },
  },
  {
    name: 'unmount',
    arguments: 'MOUNT...',
    summary: 'flushes and unmounts',
    hasNoMount: true,
    options: [FORCE],
    run: (call) =>
      call.forEach(async (name) => {
        await call.client.removeMount(name, call.flag('force'))
        call.print({ unmounted: name }, () => `unmounted ${name}\n`)
      }),
  },
  {
    name: 'restart',
    arguments: 'MOUNT...',
    summary: 'a new worker under the running mount: an upgrade without unmounting',
    hasNoMount: true,
    run: (call) =>
      call.forEach(async (name) => {
        const mount = await call.client.restartMount(name)
        const { pid, generation } = mount.worker ?? { pid: 0, generation: 0 }
        call.print(mount, () => `${name} is served by worker ${pid}, number ${generation}\n`)
      }),
  },
  {
    name: 'volumes',
    arguments: '',
    summary: 'attached volumes',
    run: async (call) => {
      const volumes = await call.client.volumes(await call.mount())
      const titles = ['VOLUME', { number: 'SIZE' }, { number: 'OPEN' }, 'MODE', 'LOCKED', 'PATH', '']
      const rows = volumes.map((volume) => [
        volume.name,
        byteSizeText(volume.size),
        String(volume.open_files),
        volume.read_only ? 'ro' : 'rw',
        volume.locked ? 'yes' : 'no',
        volume.path,
        volume.stale ? 'STALE: not what was attached any more (deleted, rolled back, another cluster), detach it' : '',
      ])
      call.print(volumes, () => tableText(titles, rows))
      return EXIT.done
    },
  },
  {
    name: 'attach',
    arguments: 'VOLUME...',
    summary: 'makes VDIs (VDI, VDI@TAG or VDI@ID) files below the mountpoint',
    options: [
      ['--read-only', 'refuse writing'],
      ['--break-lock', 'take the lock of the VDI from a client that is gone for good'],
    ],
    run: attach,
  },
  {
    name: 'detach',
    arguments: 'VOLUME...',
    summary: 'flushes volumes and takes them away',
    options: [FORCE],
    run: async (call) => {
      const mount = await call.mount()
      return call.forEach(async (volume) => {
        await call.client.detach(mount, volume, call.flag('force'))
        call.print({ detached: volume }, () => `detached ${volume}\n`)
      })
    },
  },
  {
    name: 'cache',
    arguments: '',
    summary: 'shows or switches the caches; the page cache for files opened afterwards',
    options: [
      ['--page on|off', 'the page cache of the kernel'],
      ['--object on|off', 'the object cache of the cluster (up to sheepdog 0.9)'],
    ],
    run: switchCaches,
  },
  {
    name: 'sheep',
    arguments: '[ADDRESS...]',
    summary: 'shows the sheep in use, or uses others from now on',
    run: async (call) => {
      const mount = await call.mount()
      const addresses = [...call.args]
      const sheep =
        addresses.length > 0 ? await call.client.putSheep(mount, { addresses }) : await call.client.sheep(mount)
      call.print(sheep, () => sheep.addresses.map((a) => `${a}${a === sheep.gateway ? '  in use' : ''}\n`).join(''))
      return EXIT.done
    },
  },
  {
    name: 'io-timeout',
    arguments: 'forever|SECONDS',
    summary: 'how long I/O waits for a cluster that is away before it fails',
    run: async (call) => {
      const mount = await call.client.patchMount(await call.mount(), { io_timeout: parseIoTimeout(call.argument(0)) })
      call.print(mount, () => `${mount.name} waits ${waitText(mount.io_timeout)}\n`)
      return EXIT.done
    },
  },
]

function stepText({ mount, text, effect }: ReloadStep): string {
  const what = mount === null ? text : `${mount}: ${text}`
  return effect === 'daemon-restart' ? `${what}: takes effect after a restart of the daemon\n` : `${what}\n`
}

/** Where a mount is named that is not there: mounts it again. Undefined when that is the name of a directory. */
async function mountAgain(call: Call): Promise<Mount | undefined> {
  const name = call.argument(0)
  if (name.includes('/')) return undefined
  const present = (await call.client.mounts()).find((mount) => mount.name === name)
  if (present && present.state !== 'failed') {
    throw new SheepfsError('exists', `mount "${name}" is there already; a directory of that name is ./${name}`)
  }
  return call.client.restartMount(name).catch((error: unknown) => {
    if (isSheepfsError(error, 'not-found')) return undefined
    throw error
  })
}

function mountInput(call: Call): MountInput {
  const [name, engine, ioTimeout] = [call.text('name'), call.text('engine'), call.text('io-timeout')]
  const [pageCache, objectCache] = [call.onOff('page-cache'), call.onOff('object-cache')]
  const sheep = call.list('sheep')
  return {
    mountpoint: resolve(call.argument(0)),
    volumes: call.list('volume'),
    allow_other: call.flag('allow-other'),
    ...(name !== undefined && { name }),
    ...(sheep.length > 0 && { sheep }),
    ...(engine !== undefined && { engine: parseEngine(engine) }),
    ...(pageCache !== undefined && { page_cache: pageCache }),
    ...(objectCache !== undefined && { object_cache: objectCache }),
    ...(ioTimeout !== undefined && { io_timeout: parseIoTimeout(ioTimeout) }),
  }
}

function parseIoTimeout(text: string): 'forever' | number {
  if (text === 'forever') return text
  const seconds = Number(text)
  if (text !== '' && Number.isFinite(seconds) && seconds >= 0) return seconds
  throw new SheepfsError('invalid', `"${text}" is not a timeout: expected forever, or a number of seconds`)
}

function waitText(ioTimeout: 'forever' | number): string {
  return ioTimeout === 'forever' ? 'for the cluster for ever' : `${ioTimeout} s for the cluster`
}

async function attach(call: Call): Promise<number> {
  const mount = await call.mount()
  const how = {
    ...(call.flag('read-only') && { read_only: true }),
    ...(call.flag('break-lock') && { break_lock: true }),
  }
  return call.forEach(async (name) => {
    const { volume, isNew } = await call.client.attach(mount, name, how)
    const what = isNew ? 'attached' : 'was attached already:'
    call.print(volume, () => `${what} ${volume.path}${volume.read_only ? ' (read-only)' : ''}\n`)
  })
}

async function switchCaches(call: Call): Promise<number> {
  const mount = await call.mount()
  const [page, object] = [call.onOff('page'), call.onOff('object')]
  const patch = {
    ...(page !== undefined && { page_cache: page }),
    ...(object !== undefined && { object_cache: object }),
  }
  const isChange = Object.keys(patch).length > 0
  const cache = isChange ? await call.client.patchCache(mount, patch) : await call.client.cache(mount)
  const count = cache.open_files_in_old_mode
  const old = count === 0 ? '' : `files that are open in the old mode until they are closed: ${count}\n`
  const write = cache.write_back ? ' (write-back)' : ' (write-through)'
  const pages = cache.page_cache ? `on${write}` : 'off'
  call.print(cache, () => `page cache ${pages}, object cache ${onOffText(cache.object_cache)}\n${old}`)
  return EXIT.done
}
