import { SheepfsError } from '../../errors.ts'
import { parseOptions } from '../parse-options.ts'

/** The command line of an unmount helper, as umount(8) makes it. */
export interface UmountArguments {
  readonly directory: string
  /** For umount(8), which does the unmounting: of -f, -l, -n, -r, -v. */
  readonly flags: readonly string[]
}

export const UMOUNT_USAGE = `Usage: umount.sheepfs DIR [-flnrv]
Unmounts the file system in a volume and waits until its loop device is free. Called by umount(8).
`

const OPTIONS = {
  force: { type: 'boolean', short: 'f' },
  lazy: { type: 'boolean', short: 'l' },
  'no-mtab': { type: 'boolean', short: 'n' },
  'read-only': { type: 'boolean', short: 'r' },
  verbose: { type: 'boolean', short: 'v' },
  types: { type: 'string', short: 't' },
  namespace: { type: 'string', short: 'N' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const

/** Reads the arguments after the program's name. Errors: invalid. */
export function parseUmountArguments(args: readonly string[]): UmountArguments | 'help' | 'version' {
  const { values, positionals } = parseOptions(args, OPTIONS)
  if (values.help === true) return 'help'
  if (values.version === true) return 'version'
  const [directory, ...others] = positionals
  if (directory === undefined || others.length > 0) {
    throw new SheepfsError('invalid', 'expected umount.sheepfs DIR [-flnrv]')
  }
  const { force, lazy, verbose } = values
  const flags = Object.entries({
    '-f': force,
    '-l': lazy,
    '-n': values['no-mtab'],
    '-r': values['read-only'],
    '-v': verbose,
  })
  return { directory, flags: flags.flatMap(([flag, isGiven]) => (isGiven === true ? [flag] : [])) }
}
