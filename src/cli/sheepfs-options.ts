import type { EngineChoice } from '../daemon/choose-engine.ts'
import { SheepfsError } from '../errors.ts'
import { parseEngine } from './parse-engine.ts'
import { parseOptions } from './parse-options.ts'

/** What the command line of sheepfs says, as text; what it means is for whoever mounts. */
export interface SheepfsOptions {
  readonly mountpoint: string
  readonly address: string
  readonly port: string
  readonly pageCache: boolean
  readonly objectCache: boolean
  readonly foreground: boolean
  readonly debug: boolean
  readonly allowOther: boolean
  readonly engine: EngineChoice
  readonly attach: readonly string[]
  readonly breakLock: boolean
  readonly source: string
}

export const SHEEPFS_USAGE = `Usage: sheepfs [OPTION]... MOUNTPOINT
Mounts a Sheepdog cluster: its volumes as files, and its state.

  -a, --address ADDRESS    a sheep, or several separated by commas (default: 127.0.0.1)
  -p, --port PORT          its TCP port (default: 7000)
  -k, --pagecache          let the kernel cache volumes and write back
  -o, --objectcache        use the object cache of the gateway (clusters up to 0.9)
  -f, --foreground         stay in the foreground
  -d, --debug              tell everything, in the foreground
  -h, --help               print this and exit
      --attach VDI[@TAG]   attach a VDI or a snapshot of it; may be repeated
      --break-lock         take the lock of these VDIs from a client that is gone for good
      --engine ENGINE      auto, kernel or fuse-native (default: auto)
      --allow-other        let other users in; file permissions still hold
      --source NAME        what mount(8) shows as the source (default: sheepfs)
      --version            print the version and exit

With the mount at MNT, "echo VDI > MNT/vdi/mount" attaches a VDI as MNT/volume/VDI,
"echo VDI > MNT/vdi/unmount" detaches it. Unmount with umount(8) or fusermount -u.
Root's mount is served by the user SHEEPFS_WORKER_USER (default: sheepfs, else nobody).
`

const OPTIONS = {
  address: { type: 'string', short: 'a', default: '127.0.0.1' },
  port: { type: 'string', short: 'p', default: '7000' },
  pagecache: { type: 'boolean', short: 'k' },
  objectcache: { type: 'boolean', short: 'o' },
  foreground: { type: 'boolean', short: 'f' },
  debug: { type: 'boolean', short: 'd' },
  help: { type: 'boolean', short: 'h' },
  attach: { type: 'string', multiple: true },
  'break-lock': { type: 'boolean' },
  engine: { type: 'string', default: 'auto' },
  'allow-other': { type: 'boolean' },
  source: { type: 'string', default: 'sheepfs' },
  version: { type: 'boolean' },
} as const

/** Reads the arguments after the program's name; a wish to read help or version instead. Errors: invalid. */
export function parseSheepfsOptions(args: readonly string[]): SheepfsOptions | 'help' | 'version' {
  const { values, positionals } = parseOptions(args, OPTIONS)
  if (values.help === true) return 'help'
  if (values.version === true) return 'version'
  const [mountpoint, ...rest] = positionals
  if (mountpoint === undefined)
    throw new SheepfsError('invalid', 'no mountpoint given: expected sheepfs [OPTION]... MOUNTPOINT')
  if (rest.length > 0)
    throw new SheepfsError('invalid', `one mountpoint is expected, but "${rest.join('", "')}" follows it`)
  const debug = values.debug ?? false
  return {
    mountpoint,
    address: values.address,
    port: values.port,
    pageCache: values.pagecache ?? false,
    objectCache: values.objectcache ?? false,
    foreground: debug || (values.foreground ?? false),
    debug,
    allowOther: values['allow-other'] ?? false,
    engine: parseEngine(values.engine),
    attach: values.attach ?? [],
    breakLock: values['break-lock'] ?? false,
    source: values.source,
  }
}
