import { SheepfsError } from '../../errors.ts'
import { parseOptions } from '../parse-options.ts'

/** The command line of a mount helper, as mount(8) makes it. */
export interface MountArguments {
  readonly source: string
  readonly directory: string
  /** -f: everything but mounting. */
  readonly isFake: boolean
  readonly isVerbose: boolean
  /** -s: unknown options of file systems are ignored. */
  readonly isSloppy: boolean
  /** -n: without a trace in the table of mounts. */
  readonly isUnrecorded: boolean
  readonly options: string
}

export const MOUNT_USAGE = `Usage: mount.sheepfs SOURCE DIR [-fnsv] [-o OPTION[,OPTION]...]
Mounts the tree of an instance of sheepfsd, or the file system in a volume. Called by mount(8); see mount.sheepfs(8).

SOURCE is
  INSTANCE                                the tree of a running instance
  INSTANCE/VDI[@TAG]                      the file system in a volume of it
  sheepdog://HOST[:PORT][,HOST…]/         the tree of a cluster, with a daemon of its own
  sheepdog://HOST[:PORT]/VDI[@TAG]        the file system in a volume, with a daemon of its own

Options besides those of mount(8) and of the file system:
  fstype=TYPE, partition=N, sector_size=512|4096, break_lock,
  allow_suid, allow_dev                   for a volume
  mount=NAME                              which mount of the instance
  page_cache, object_cache, allow_other   with a daemon of its own
`

const OPTIONS = {
  fake: { type: 'boolean', short: 'f' },
  'no-mtab': { type: 'boolean', short: 'n' },
  sloppy: { type: 'boolean', short: 's' },
  verbose: { type: 'boolean', short: 'v' },
  namespace: { type: 'string', short: 'N' },
  options: { type: 'string', short: 'o', multiple: true },
  types: { type: 'string', short: 't' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const

/** Reads the arguments after the program's name. Errors: invalid. */
export function parseMountArguments(args: readonly string[]): MountArguments | 'help' | 'version' {
  const { values, positionals } = parseOptions(args, OPTIONS)
  if (values.help === true) return 'help'
  if (values.version === true) return 'version'
  if (values.namespace !== undefined) {
    throw new SheepfsError('invalid', 'option -N is not supported: enter the namespace with nsenter(1), then mount')
  }
  const [source, directory, ...others] = positionals
  if (source === undefined || directory === undefined || others.length > 0) {
    throw new SheepfsError('invalid', 'expected mount.sheepfs SOURCE DIR [-fnsv] [-o OPTIONS]')
  }
  return {
    source,
    directory,
    isFake: values.fake ?? false,
    isVerbose: values.verbose ?? false,
    isSloppy: values.sloppy ?? false,
    isUnrecorded: values['no-mtab'] ?? false,
    options: (values.options ?? []).join(','),
  }
}
