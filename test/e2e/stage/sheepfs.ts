import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
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

/** The sheep may be whatever has the address of one. */
type AnySheep = Omit<SheepfsOptions, 'sheep'> & { readonly sheep: Pick<Sheep, 'address'> }

/** A running `sheepfs -f`. */
export interface Sheepfs {
  readonly mountpoint: string
  readonly child: ChildProcess
  /** The process that serves the mount. */
  workerPid(): Promise<number>
  /** Kills all that is of it, at one moment: what it has locked stays locked, and the mount is dead. */
  kill(): Promise<void>
  /** The path below the mountpoint. */
  path(...names: string[]): string
  /** The path of an attached volume. */
  volume(name: string): string
  /** Ends it with SIGTERM. Errors: it leaves the mount behind. */
  stop(): Promise<void>
}

/** What root has to say for an engine that serves with its rights; nothing to others. */
export function rightsFor(engine: SheepfsOptions['engine']): string[] {
  return engine === 'fuse-native' ? ['SHEEPFS_WORKER_USER=root'] : []
}

/** The arguments of `options` up to the mountpoint. */
export function sheepfsArguments(options: AnySheep): string[] {
  const { sheep, engine = 'kernel', attach = [], args = [] } = options
  const volumes = attach.flatMap((name) => ['--attach', name])
  return [SHEEPFS, '-a', sheep.address.host, '-p', String(sheep.address.port), '--engine', engine, ...volumes, ...args]
}

/** Starts `sheepfs -f` and resolves when it is mounted. */
export async function startSheepfs(stage: Stage, options: AnySheep): Promise<Sheepfs> {
  const mountpoint = options.mountpoint ?? (await stage.mountpoint())
  const rights = rightsFor(options.engine)
  const command = [
    ...rights,
    ...(options.prefix ?? []),
    process.execPath,
    ...sheepfsArguments(options),
    '-f',
    mountpoint,
  ]
  const child = stage.start('env', command)
  const output = textOf(child.stderr)
  textOf(child.stdout)
  const stop = async (): Promise<void> => {
    await end(child)
    if (await removeMount(mountpoint)) throw new Error(`sheepfs left ${mountpoint} mounted: ${output()}`)
  }
  stage.defer(stop)
  await isServing(child, output)
  const workerPid = async (): Promise<number> => {
    const [pid] = await workersOf(child.pid ?? 0)
    if (pid === undefined) throw new Error(`sheepfs has no worker: ${output()}`)
    return pid
  }
  const kill = async (): Promise<void> => {
    const killed = once(child, 'exit')
    for (const pid of [child.pid ?? 0, await workerPid()]) process.kill(pid, 'SIGKILL')
    await killed
  }
  return {
    ...{ mountpoint, child, workerPid, kill },
    path: (...names) => join(mountpoint, ...names),
    volume: (name) => join(mountpoint, 'volume', name),
    stop,
  }
}

/** Its children that are workers. */
export async function workersOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`)
  const lists = await Promise.all(tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8')))
  const children = lists.join('').trim().split(' ').map(Number)
  const titles = await Promise.all(children.map((child) => readFile(`/proc/${child}/comm`, 'utf8').catch(() => '')))
  return children.filter((_, at) => titles[at]?.startsWith('sheepfs-worker'))
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
