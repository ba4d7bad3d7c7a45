import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { errorText, plainLine, SheepfsError } from '../../errors.ts'
import { inOwnScope } from '../../fuse/own-scope.ts'
import { SYSTEM_ENVIRONMENT } from '../system/system-program.ts'
import { fromWireError } from '../wire-error.ts'
import type { WireError } from '../worker-protocol.ts'
import type { MapOptions } from './block-device.ts'
import type { LoopState } from './loop-table.ts'

const PROGRAM = fileURLToPath(new URL('device-process.js', import.meta.url))

/** What is done about the device of a volume, whose path is the first argument; they go through JSON. */
export interface DeviceWork {
  /** Errors: as `mapVolume`; io, when what is there is no volume. */
  map(path: string, how: Omit<MapOptions, 'signal'>): { readonly loop: LoopState; readonly isNew: boolean }
  /** Errors: as `unmapDevice`. */
  unmap(path: string, loop: LoopState): null
  /** Errors: as `dropDevice`. */
  drop(path: string, loop: LoopState): null
}

type Kind = keyof DeviceWork

/** What the process is given. */
export type DeviceOrder = { [K in Kind]: { readonly kind: K; readonly args: Parameters<DeviceWork[K]> } }[Kind]

/** What it says. */
export type DeviceOutcome = { readonly result: ReturnType<DeviceWork[Kind]> } | { readonly error: WireError }

/**
 * Has a process of its own do it, which may wait for the cluster in the kernel, where no signal ends it. When `signal` aborts,
 * or this process ends, it is undone as soon as it can be. Errors: those of the work; as `signal` has it; io, when the process
 * is killed.
 */
export async function carryOut<K extends Kind>(
  kind: K,
  args: Parameters<DeviceWork[K]>,
  signal: AbortSignal,
): Promise<ReturnType<DeviceWork[K]>> {
  signal.throwIfAborted()
  const { program, args: words } = inOwnScope(process.execPath, [PROGRAM, JSON.stringify({ kind, args })])
  const child = spawn(program, words, { env: { ...process.env, ...SYSTEM_ENVIRONMENT }, stdio: 'pipe' })
  const ended = once(child, 'close').catch((cause: unknown) => {
    throw new SheepfsError('not-supported', `${program} cannot be run: ${errorText(cause)}`, { cause })
  })
  if (child.pid === undefined) await ended // it has no streams then
  const onAbort = (): void => void child.stdin.end()
  child.stdin.on('error', () => undefined) // it has ended before
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const [said, complaint] = await Promise.all([text(child.stdout), text(child.stderr), ended])
    const outcome = parseOutcome(said, complaint)
    if ('result' in outcome) return outcome.result as ReturnType<DeviceWork[K]>
    signal.throwIfAborted()
    throw fromWireError(outcome.error)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function parseOutcome(said: string, complaint: string): DeviceOutcome {
  try {
    return JSON.parse(said) as DeviceOutcome
  } catch (cause) {
    throw new SheepfsError('io', plainLine(complaint).trim() || 'the process for its device was killed', { cause })
  }
}
