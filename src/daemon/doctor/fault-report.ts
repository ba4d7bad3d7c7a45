import { open, readFile, rm } from 'node:fs/promises'
import { release, version as kernelVersion } from 'node:os'
import { MOUNT_TYPE, readMountTable } from '../../fuse/mount-table.ts'
import { runToEnd } from '../../fuse/run-to-end.ts'
import { errorText, SheepfsError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { versionLine } from '../../program-version.ts'
import { readLoops } from '../device/loop-table.ts'
import { checkStart } from './check-start.ts'
import type { Patient } from './doctor.ts'
import { findingText, type Finding } from './finding.ts'

const PROGRAM_LIMIT_MS = 10_000
const JOURNAL_LINES = 2000
const UNIT_PROPERTIES = [
  ...['Id', 'ActiveState', 'SubState', 'Result', 'NRestarts', 'ExecMainStatus', 'ActiveEnterTimestamp'],
  ...['FileDescriptorStoreMax', 'NFileDescriptorStore', 'MemoryCurrent', 'TasksCurrent', 'FragmentPath', 'DropInPaths'],
]

/** What a section is called, and how its text is got. */
type Section = readonly [title: string, text: () => Promise<string> | string]

/**
 * Writes all that somebody far away wants to see of a fault into a new file, which only its owner may read: nothing that
 * volumes hold, and of the configuration only what sheepfs understands of it. What cannot be had is said in its place.
 * Errors: exists, not-found (the directory), not-permitted, io.
 */
export async function writeFaultReport(path: string, patient: Patient, findings: readonly Finding[]): Promise<void> {
  const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw openError(path, error)
  })
  try {
    for (const [title, text] of sectionsOf(patient, findings)) {
      const found = await Promise.resolve()
        .then(text)
        .catch((error: unknown) => `cannot be had: ${errorText(error)}`)
      await file.write(printable(`==== ${title}\n${found.trimEnd()}\n\n`))
    }
  } catch (cause) {
    await rm(path, { force: true })
    throw new SheepfsError('io', `"${path}" cannot be written: ${errorText(cause)}`, { cause })
  } finally {
    await file.close()
  }
}

function openError(path: string, cause: unknown): SheepfsError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'EEXIST') return new SheepfsError('exists', `"${path}" is there already: expected a new file`, { cause })
  if (code === 'ENOENT') return new SheepfsError('not-found', `the directory of "${path}" does not exist`, { cause })
  const kind = code === 'EACCES' || code === 'EPERM' ? 'not-permitted' : 'io'
  return new SheepfsError(kind, `"${path}" cannot be made: ${errorText(cause)}`, { cause })
}

function sectionsOf(patient: Patient, findings: readonly Finding[]): Section[] {
  const { instance = '*', status } = patient
  const unit = `sheepfs@${instance}.service`
  return [
    ['versions', () => `${versionLine('sheepfsctl')}${process.execPath}\n${new Date().toISOString()}`],
    ['kernel', () => `Linux ${release()} ${process.arch}, ${kernelVersion()}`],
    ['distribution', () => readFile('/etc/os-release', 'utf8')],
    ['systemd', () => program('systemctl', '--version')],
    ['doctor', () => findings.map(findingText).join('')],
    ['status', () => (status instanceof Error ? status.message : jsonText(status))],
    ['configuration and environment', () => settingsText(patient)],
    ['mounts and loop devices of sheepfs', mountsText],
    ['units', () => program('systemctl', 'list-units', '--all', '--plain', '--full', '--no-pager', 'sheepfs*')],
    ['unit', () => program('systemctl', 'show', `--property=${UNIT_PROPERTIES.join(',')}`, unit)],
    ['journal', () => program('journalctl', '--no-pager', `--lines=${JOURNAL_LINES}`, `--unit=${unit}`)],
  ]
}

function program(name: string, ...args: readonly string[]): Promise<string> {
  return runToEnd(name, args, PROGRAM_LIMIT_MS)
}

async function settingsText({ instance, variables }: Patient): Promise<string> {
  if (instance === undefined) return 'no instance was named'
  const { config, environment } = await checkStart({ instance, variables })
  return jsonText({ configuration: config ?? 'not understood, see doctor', environment })
}

/** As the kernel has them; none of them is touched. */
async function mountsText(): Promise<string> {
  const [mounts, loops] = [await readMountTable(), await readLoops()]
  const trees = mounts.filter(({ type }) => type === MOUNT_TYPE)
  const ofVolumes = loops.filter(({ file }) => trees.some(({ mountpoint }) => file.startsWith(`${mountpoint}/`)))
  const onVolumes = mounts.filter(({ source }) => ofVolumes.some(({ path }) => source.startsWith(path)))
  return [...trees, ...onVolumes, ...ofVolumes].map((line) => JSON.stringify(line)).join('\n')
}

function jsonText(value: unknown): string {
  return JSON.stringify(value, undefined, 2)
}
