import type { Command } from 'commander'
import { addOptions, newProgram, readCommandLine, type OptionRow, type OptionValues } from '../command-line.ts'
import { SheepfsError } from '../errors.ts'
import { ClusterFlag } from '../wire/info-ops.ts'
import { SD_PORT } from '../wire/sd-proto.ts'
import { parseInteger, parseRule } from './fault-arguments.ts'
import type { Faults } from './faults.ts'
import { releases, type ReleaseName } from './release.ts'
import type { LambOptions } from './server.ts'

const MAX_PORT = 65535
/** SD_MAX_COPIES. */
const MAX_COPIES = 31

const DESCRIPTION = `A sheepdog cluster of one node, for tests and for trying out. Not for production: there are no replicas, and nothing
is synced to the disk.`

const FAULT_HELP = `
ACTION is drop-before or drop-after (the connection, before or after executing), silence, snapshot (by somebody else,
before executing), delay=MS, or result=NAME (NO_OBJ, HALT, WAIT_FOR_JOIN, ...: not executed).
NAME of op is READ_OBJ, CREATE_AND_WRITE_OBJ, ...; KIND is data, inode, btree, ledger, attribute or vmstate.`

const OPTIONS: Readonly<Record<string, readonly OptionRow[]>> = {
  'Options:': [
    ['--store DIR', 'objects, as sparse files; made when missing, kept when not'],
    ['--host ADDRESS', 'listen here (default 127.0.0.1)'],
    ['--port N', 'and here (default 7000; 0: any free port)'],
    ['--vdi NAME:SIZE...', 'make this VDI when it is missing; SIZE like 512M, 1G, 4T (repeatable)'],
    ['--zone N', 'zone of the node (default: from its address)'],
    ['--gateways N', 'seem to be N sheep on consecutive ports, all serving this store'],
    ['--release 0.7|0.9|1.0', 'pass for this release (0.7 trims zeros and has other node records)'],
    ['--object-cache', 'FLUSH_VDI succeeds, as with the object cache of 0.9'],
  ],
  'How a new store is formatted:': [
    ['--unformatted', 'not at all: dog cluster format can do it'],
    ['--copies N', 'as a number; one node still keeps one copy'],
    ['--block-size-shift N', 'objects of 1 << N bytes, 20 to 31 (default 22)'],
    ['--locking', 'LOCK_VDI really locks'],
    ['--strict', 'without as many zones as copies writes answer HALT'],
    ['--zones N', 'pretend to have N zones, for --strict and for erasure-coded VDIs'],
  ],
  'Faults:': [
    ['--seed N', 'of everything random (default 1)'],
    ['--delay MS', 'every request waits up to MS before it is executed'],
    ['--reorder N', 'answers leave in random order, N at a time'],
    ['--error-payload', 'failed reads carry meaningless bytes'],
    ['--pieces BYTES[:MS]', 'answers leave in pieces, with a pause between them'],
    ['--removal-delay MS', 'objects without references stay this long'],
    ['--snapshot-pause MS', 'a snapshot overwrites the index updates of that time'],
    ['--fault ACTION[,op=NAME][,kind=KIND][,skip=N][,count=N][,probability=P]...', '(repeatable)'],
  ],
}

/** The program as commander reads it. */
export function lambProgram(): Command {
  const program = newProgram('lamb', DESCRIPTION).usage('--store DIR [OPTION]...').addHelpText('after', FAULT_HELP)
  for (const [title, rows] of Object.entries(OPTIONS)) addOptions(program.optionsGroup(title), rows)
  return program
}

/** What a command line asks for. */
export type LambCommand =
  | { readonly command: 'print'; readonly text: string }
  | { readonly command: 'serve'; readonly options: LambOptions; readonly setFaults: (faults: Faults) => void }

/** Reads a command line, without the program's name. Errors: `invalid`, naming the option. */
export function parseArguments(args: readonly string[]): LambCommand {
  const { text, values } = readCommandLine(lambProgram(), args)
  if (values === undefined) return { command: 'print', text }
  const store = values.text('store')
  if (store === undefined) throw new SheepfsError('invalid', '--store is missing: name a directory for the objects')
  const rules = values.list('fault').map(parseRule)
  const [pieceBytes = 0, pieceDelayMs = 0] = (values.text('pieces') ?? '0')
    .split(':')
    .map((part) => parseInteger('pieces', part))
  const setFaults = (faults: Faults): void => {
    for (const rule of rules) faults.addRule(rule)
    faults.delayMs = number(values, 'delay') ?? 0
    faults.reorder = number(values, 'reorder') ?? 0
    faults.errorPayload = values.flag('error-payload')
    faults.pieceBytes = pieceBytes
    faults.pieceDelayMs = pieceDelayMs
    faults.removalDelayMs = number(values, 'removal-delay') ?? 0
    faults.snapshotPauseMs = number(values, 'snapshot-pause') ?? 0
  }
  return { command: 'serve', options: { store, ...lambOptions(values) }, setFaults }
}

/** Bytes of a size like 4096, 512M or 1G. */
export function parseSize(text: string): number {
  const match = /^(\d+)([KMGTP]?)$/i.exec(text)
  const exponent = ['', 'K', 'M', 'G', 'T', 'P'].indexOf(match?.[2]?.toUpperCase() ?? '')
  const size = Number(match?.[1]) * 1024 ** exponent
  if (!Number.isSafeInteger(size))
    throw new SheepfsError('invalid', `size "${text}": expected a number like 512M or 1G`)
  return size
}

function lambOptions(values: OptionValues): Omit<LambOptions, 'store'> {
  const shift = number(values, 'block-size-shift', [20, 31])
  const copies = number(values, 'copies', [1, MAX_COPIES])
  const port = number(values, 'port', [0, MAX_PORT])
  const isLocking = values.flag('locking')
  const isStrict = values.flag('strict')
  return {
    host: values.text('host'),
    port,
    gateways: number(values, 'gateways', [1, MAX_PORT + 1 - (port ?? SD_PORT)]),
    vdis: values.list('vdi').map(parseVdi),
    zone: number(values, 'zone'),
    zones: number(values, 'zones'),
    release: parseRelease(values.text('release')),
    hasObjectCache: values.flag('object-cache'),
    seed: number(values, 'seed'),
    isUnformatted: values.flag('unformatted'),
    format: {
      ...(copies === undefined ? {} : { copies }),
      ...(shift === undefined ? {} : { blockSizeShift: shift }),
      flags: ClusterFlag.AUTO_VNODES | (isLocking ? ClusterFlag.LOCKING : 0) | (isStrict ? ClusterFlag.STRICT : 0),
    },
  }
}

function parseVdi(text: string): { name: string; size: number } {
  const colon = text.lastIndexOf(':')
  if (colon < 1) throw new SheepfsError('invalid', `--vdi ${text}: expected NAME:SIZE, as in test:1G`)
  return { name: text.slice(0, colon), size: parseSize(text.slice(colon + 1)) }
}

function parseRelease(name: string | undefined): ReleaseName | undefined {
  if (name === undefined || isRelease(name)) return name
  throw new SheepfsError('invalid', `--release ${name}: expected one of ${Object.keys(releases).join(', ')}`)
}

function isRelease(name: string): name is ReleaseName {
  return Object.hasOwn(releases, name)
}

function number(
  values: OptionValues,
  option: string,
  [least, most]: readonly [number, number] = [0, Infinity],
): number | undefined {
  const text = values.text(option)
  if (text === undefined) return undefined
  const value = parseInteger(option, text)
  if (value >= least && value <= most) return value
  throw new SheepfsError('invalid', `--${option} ${value}: expected ${least} to ${most}`)
}
