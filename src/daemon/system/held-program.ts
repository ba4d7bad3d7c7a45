import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { SheepfsError, errorText } from '../../errors.ts'
import { oneLine, SYSTEM_ENVIRONMENT } from '../../daemon/system/system-program.ts'

/** How long a program may take to let go: one that waits for a cluster takes longer, and lets go then. */
const RELEASE_LIMIT_MS = 5000

/**
 * A program that holds something until its stdin ends, and says on one line that it has it. However this process ends,
 * nothing stays held.
 */
export class HeldProgram {
  /** The line. */
  readonly said: string
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>

  private constructor(said: string, child: ChildProcess, ended: Promise<unknown>) {
    this.said = said
    this.#child = child
    this.#ended = ended
  }

  /**
   * Resolves when the program has said its line. Errors: not-supported when it is not installed; io, with what it complained
   * of, when it ends without; closed when `signal` aborts: it lets go as soon as it can.
   */
  static async start(program: string, args: readonly string[], signal: AbortSignal): Promise<HeldProgram> {
    const child = spawn(program, args, { env: SYSTEM_ENVIRONMENT, stdio: 'pipe' })
    const ended = once(child, 'close').catch((cause: unknown) => {
      throw new SheepfsError('not-supported', `${program} cannot be run: ${errorText(cause)}`, { cause })
    })
    if (child.pid === undefined) await ended // it has no streams then
    child.stdin.on('error', () => undefined) // it has ended before
    const [said, complaint] = [firstLine(child), text(child.stderr)]
    const aborted = new Promise<undefined>((resolve) => {
      signal.addEventListener(
        'abort',
        () => {
          resolve(undefined)
        },
        { once: true },
      )
      if (signal.aborted) resolve(undefined)
    })
    const line = await Promise.race([said, aborted, ended.then(() => said)])
    if (line !== undefined && line !== '') return new HeldProgram(line, child, ended)
    child.stdin.end()
    for (const end of [child, child.stdout, child.stderr, child.stdin]) if ('unref' in end) end.unref()
    if (line === undefined) throw new SheepfsError('closed', 'interrupted')
    throw new SheepfsError('io', oneLine(await complaint) || `${program} has ended`)
  }

  /** Resolves when the program has let go, or takes too long. Idempotent. */
  async release(): Promise<void> {
    this.#child.stdin?.end()
    await Promise.race([this.#ended, pause(RELEASE_LIMIT_MS, undefined, { ref: false })])
  }
}

/** "" when it ends without one. */
async function firstLine({ stdout }: ChildProcess): Promise<string> {
  let said = ''
  for await (const piece of stdout?.setEncoding('utf8') ?? []) {
    said += String(piece)
    const end = said.indexOf('\n')
    if (end !== -1) return said.slice(0, end)
  }
  return ''
}
