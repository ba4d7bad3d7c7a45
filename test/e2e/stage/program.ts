import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'

const DEFAULT_LIMIT_MS = 60_000
/** Of what a failed program printed, this much is told. */
const MESSAGE_LIMIT = 2000

/** How a program ended: `status` is null when a signal killed it. */
export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** After that it is killed. */
  readonly limitMs?: number
  readonly input?: string
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** In a session of its own, so that Ctrl-C does not reach it. */
  readonly detached?: boolean
}

/** Runs a program to its end, whatever that is. Errors: it cannot be started, or ran into its limit. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { limitMs = DEFAULT_LIMIT_MS, input = '', ...rest } = options
  const child = start(program, args, { ...rest, stdio: 'pipe' })
  const killer = setTimeout(() => child.kill('SIGKILL'), limitMs)
  const stdout = textOf(child.stdout)
  const stderr = textOf(child.stderr)
  child.stdin?.on('error', () => child.stdin?.destroy()) // it need not read its input
  child.stdin?.end(input)
  try {
    await once(child, 'close')
  } finally {
    clearTimeout(killer)
  }
  if (child.signalCode === 'SIGKILL') throw new Error(`${commandLine(program, args)}: not done within ${limitMs} ms`)
  return { status: child.exitCode, stdout: stdout(), stderr: stderr() }
}

/** Runs a program that must succeed and resolves with what it printed. Errors: as `run`, and any other end. */
export async function succeed(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await run(program, args, options)
  if (status !== 0) {
    const said = `${stderr}${stdout}`.slice(0, MESSAGE_LIMIT)
    throw new Error(`${commandLine(program, args)}: status ${String(status)}: ${said}`)
  }
  return stdout
}

/** Starts a program that stays, with the administrator's programs in its PATH. */
export function start(program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const env = options.env ?? process.env
  const path = `${env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`
  return spawn(program, args, { ...options, env: { ...env, PATH: path } })
}

/** Collects the text a stream brings; the returned function says what has come so far. */
export function textOf(stream: NodeJS.ReadableStream | null): () => string {
  let text = ''
  stream?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return () => text
}

/** Asks a program to end, and kills it after `graceMs`. Resolves when it is gone. */
export async function end(child: ChildProcess, graceMs = 10_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const killer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
  clearTimeout(killer)
}

function commandLine(program: string, args: readonly string[]): string {
  return [program, ...args].join(' ')
}
