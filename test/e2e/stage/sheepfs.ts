import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findMount } from '../../../src/fuse/mount-table.ts'
import { end, run, textOf } from './program.ts'
import type { Sheep } from './sheep.ts'
import type { Stage } from './stage.ts'

/** The program under test. */
export const SHEEPFS = join(import.meta.dirname, '../../../src/cli/sheepfs.js')

const START_LIMIT_MS = 30_000

export interface SheepfsOptions {
  readonly sheep: Sheep
  readonly engine?: 'kernel' | 'fuse-native'
  /** VDIs to attach. */
  readonly attach?: readonly string[]
  /** Further arguments. */
  readonly args?: readonly string[]
  /** An existing directory instead of a new one. */
  readonly mountpoint?: string
  /** Put before node on the command line: a program that starts another. */
  readonly prefix?: readonly string[]
}

/** A running `sheepfs -f`. */
export interface Sheepfs {
  readonly mountpoint: string
  readonly child: ChildProcess
  /** The path below the mountpoint. */
  path(...names: string[]): string
  /** The path of an attached volume. */
  volume(name: string): string
  /** Ends it with SIGTERM. Errors: it leaves the mount behind. */
  stop(): Promise<void>
}

/** The arguments of `options` up to the mountpoint. */
export function sheepfsArguments(options: SheepfsOptions): string[] {
  const { sheep, engine = 'kernel', attach = [], args = [] } = options
  const volumes = attach.flatMap((name) => ['--attach', name])
  return [SHEEPFS, '-a', sheep.address.host, '-p', String(sheep.address.port), '--engine', engine, ...volumes, ...args]
}

/** Starts `sheepfs -f` and resolves when it is mounted. */
export async function startSheepfs(stage: Stage, options: SheepfsOptions): Promise<Sheepfs> {
  const mountpoint = options.mountpoint ?? (await stage.mountpoint())
  const command = [...(options.prefix ?? []), process.execPath, ...sheepfsArguments(options), '-f', mountpoint]
  const child = stage.start('env', command)
  const output = textOf(child.stderr)
  textOf(child.stdout)
  const stop = async (): Promise<void> => {
    await end(child)
    if (await removeMount(mountpoint)) throw new Error(`sheepfs left ${mountpoint} mounted: ${output()}`)
  }
  stage.defer(stop)
  await isServing(child, output)
  return {
    mountpoint,
    child,
    path: (...names) => join(mountpoint, ...names),
    volume: (name) => join(mountpoint, 'volume', name),
    stop,
  }
}

/** Resolves when the log says that it is mounted: from then on signals unmount it. */
async function isServing(child: ChildProcess, output: () => string): Promise<void> {
  const limit = AbortSignal.timeout(START_LIMIT_MS)
  const exited = once(child, 'exit')
  while (!output().includes('"msg":"mounted"')) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`sheepfs ended: ${output()}`)
    await Promise.race([exited, once(child.stderr ?? child, 'data', { signal: limit })])
  }
}

/** Writes one value to a control file, as `echo` does. */
export async function control(sheepfs: Sheepfs, file: string, value: string): Promise<void> {
  await writeFile(sheepfs.path(file), `${value}\n`, { flag: 'r+' })
}

/** Makes sure that nothing is mounted there, also when what served it hangs. True when there was something. */
export async function removeMount(mountpoint: string): Promise<boolean> {
  const mount = await findMount(mountpoint)
  if (mount === undefined) return false
  // requests that nobody will answer keep their callers for ever, and a kill does not reach those
  await writeFile(`/sys/fs/fuse/connections/${mount.minor}/abort`, '1').catch((error: unknown) => error)
  await run('umount', ['--lazy', mountpoint])
  return true
}

/** Most memory the process ever had, in bytes. */
export async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
}
