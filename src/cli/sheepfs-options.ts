import type { Command } from 'commander'
import { newProgram, readCommandLine, type OptionRow } from '../command-line.ts'
import type { EngineChoice } from '../daemon/choose-engine.ts'
import { SheepfsError } from '../errors.ts'
import { parseEngine } from './parse-engine.ts'

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

const AFTER_HELP = `
With the mount at MNT, "echo VDI > MNT/vdi/mount" attaches a VDI as MNT/volume/VDI,
"echo VDI > MNT/vdi/unmount" detaches it. Unmount with umount(8) or fusermount -u.
Root's mount is served by the user SHEEPFS_WORKER_USER (default: sheepfs, else nobody).`

const OPTIONS: readonly OptionRow[] = [
  ['-a, --address ADDRESS', 'a sheep, or several separated by commas (default: 127.0.0.1)'],
  ['-p, --port PORT', 'its TCP port (default: 7000)'],
  ['-k, --pagecache', 'let the kernel cache volumes and write back'],
  ['-o, --objectcache', 'use the object cache of the gateway (clusters up to 0.9)'],
  ['-f, --foreground', 'stay in the foreground'],
  ['-d, --debug', 'tell everything, in the foreground'],
  ['--attach VDI[@TAG]...', 'attach a VDI or a snapshot of it; may be repeated'],
  ['--break-lock', 'take the lock of these VDIs from a client that is gone for good'],
  ['--engine auto|kernel|fuse-native', 'what speaks to the kernel (default: auto)'],
  ['--allow-other', 'let other users in; file permissions still hold'],
  ['--source NAME', 'what mount(8) shows as the source (default: sheepfs)'],
]

/** The program as commander reads it. */
export function sheepfsProgram(): Command {
  const program = newProgram('sheepfs', 'Mounts a Sheepdog cluster: its volumes as files, and its state.', OPTIONS)
  return program.usage('[OPTION]... MOUNTPOINT').argument('[MOUNTPOINT...]').addHelpText('after', AFTER_HELP)
}

/** Reads the arguments after the program's name; a text when they only want that printed. Errors: invalid. */
export function parseSheepfsOptions(args: readonly string[]): SheepfsOptions | string {
  const program = sheepfsProgram()
  const { text, values } = readCommandLine(program, args)
  if (values === undefined) return text
  const [mountpoint, ...rest] = program.args
  if (mountpoint === undefined)
    throw new SheepfsError('invalid', 'no mountpoint given: expected sheepfs [OPTION]... MOUNTPOINT')
  if (rest.length > 0)
    throw new SheepfsError('invalid', `one mountpoint is expected, but "${rest.join('", "')}" follows it`)
  const debug = values.flag('debug')
  return {
    mountpoint,
    address: values.text('address') ?? '127.0.0.1',
    port: values.text('port') ?? '7000',
    pageCache: values.flag('pagecache'),
    objectCache: values.flag('objectcache'),
    foreground: debug || values.flag('foreground'),
    debug,
    allowOther: values.flag('allow-other'),
    engine: parseEngine(values.text('engine') ?? 'auto'),
    attach: values.list('attach'),
    breakLock: values.flag('break-lock'),
    source: values.text('source') ?? 'sheepfs',
  }
}
