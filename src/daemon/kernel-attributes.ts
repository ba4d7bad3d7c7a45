import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { errorText } from '../errors.ts'
import { inOwnScope } from '../fuse/own-scope.ts'
import type { Logger } from '../log.ts'
import { SYSTEM_ENVIRONMENT } from './system/system-program.ts'

/** Volumes that are told of by one process. */
const AT_ONCE = 256
/** A process that waits longer waits for a tree that does not answer. */
const LIMIT_MS = 10_000
const PROGRAM = fileURLToPath(new URL('attribute-setter.js', import.meta.url))

/** A mount whose kernel is to be told something. */
export interface ToldMount {
  readonly mountpoint: string
  /** Minor number of its st_dev; undefined while it is not mounted. */
  readonly minor: number | undefined
}

/** Of one volume. */
export interface AttributeChange {
  readonly volume: string
  readonly size?: number
  /** mtime, ms since 1970 */
  readonly modifiedMs?: number
}

/** What the process is given on its stdin, as JSON. */
export interface AttributeOrder {
  readonly mountpoint: string
  readonly minor: number
  readonly changes: readonly AttributeChange[]
}

/**
 * Makes the kernel take what it does not know of a volume: the size, when that has grown without it, and the time of a
 * change. On a mount that writes back the kernel owns both and believes nobody; it only learns of them by truncate(2),
 * which then changes nothing in the tree, and utimensat(2) (docs/fuse-kernel-protocol.md#9).
 */
export class KernelAttributes {
  readonly #mount: () => ToldMount
  readonly #log: Logger
  readonly #limitMs: number
  /** By volume, in the order in which they changed. */
  readonly #changes = new Map<string, AttributeChange>()
  #telling: Promise<void> | undefined
  #child: ChildProcess | undefined

  /** @param mount what it is when the kernel is told */
  constructor(mount: () => ToldMount, log: Logger, limitMs = LIMIT_MS) {
    this.#mount = mount
    this.#log = log
    this.#limitMs = limitMs
  }

  /** Never fails, and does not wait for it. */
  setSize(volume: string, size: number): void {
    if (Number.isSafeInteger(size) && size >= 0) this.#set(volume, { size })
  }

  /** mtime, ms since 1970. Never fails, and does not wait for it. */
  setModified(volume: string, modifiedMs: number): void {
    if (Number.isFinite(modifiedMs)) this.#set(volume, { modifiedMs })
  }

  /** Resolves when the kernel was told of all that was set, or will not listen. */
  async whenTold(): Promise<void> {
    let limit: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => (limit = setTimeout(resolve, this.#limitMs).unref()))
    await Promise.race([this.#telling, late])
    clearTimeout(limit)
  }

  /** What waits is not set any more. */
  stop(): void {
    this.#changes.clear()
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  #set(volume: string, change: Omit<AttributeChange, 'volume'>): void {
    if (!isPlainName(volume)) return
    this.#changes.set(volume, { ...this.#changes.get(volume), ...change, volume })
    this.#telling ??= this.#tellAll()
  }

  /** One process at a time; never rejects. One that is killed ends when the tree answers it. */
  async #tellAll(): Promise<void> {
    await Promise.resolve() // what is set in the same turn goes together
    while (this.#changes.size > 0) {
      const changes = [...this.#changes.values()].slice(0, AT_ONCE)
      for (const { volume } of changes) this.#changes.delete(volume)
      const { mountpoint, minor } = this.#mount()
      if (minor === undefined) continue
      const outcome = await this.#run({ mountpoint, minor, changes }).catch(errorText)
      if (outcome === 'late') this.#setAgain(changes)
      else if (outcome !== '') this.#log.warn(`the kernel does not know all sizes and times: ${outcome}`)
    }
    this.#telling = undefined
  }

  /** Nothing that has changed since. */
  #setAgain(changes: readonly AttributeChange[]): void {
    this.#log.warn(`the kernel did not take sizes and times within ${this.#limitMs / 1000} s: it is told again`)
    for (const change of changes) {
      this.#changes.set(change.volume, { ...change, ...this.#changes.get(change.volume) })
    }
  }

  /**
   * A process of its own: who serves the mount would answer itself, and no thread of this one may hang in it. Resolves with
   * what it complains of; 'late': it took too long.
   */
  #run(order: AttributeOrder): Promise<string> {
    return new Promise((resolve, reject) => {
      const { program, args } = inOwnScope(process.execPath, [PROGRAM])
      const child = spawn(program, args, { env: SYSTEM_ENVIRONMENT, stdio: ['pipe', 'ignore', 'pipe'] })
      child.once('error', reject)
      if (child.pid === undefined) return // it has no streams then
      let isLate = false
      const limit = setTimeout(() => (isLate = child.kill('SIGKILL')), this.#limitMs).unref()
      let complaint = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text))
      child.stdin.on('error', () => undefined) // it has ended, and its status says how
      child.once('close', (status) => {
        clearTimeout(limit)
        const isStopped = this.#child !== child
        this.#child = undefined
        if (status === 0 || isStopped) resolve('')
        else resolve(isLate ? 'late' : complaint.trim() || 'its process was killed')
      })
      child.stdin.end(JSON.stringify(order))
      this.#child = child
    })
  }
}

/** A name that leads nowhere but into the directory it is looked for in. */
function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)
}
