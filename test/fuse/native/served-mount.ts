import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { createInterface, type Interface } from 'node:readline'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Nobody's, in Debian and most others. */
const NOBODY = 65534

/** Limit of every program a test runs. */
const PROGRAM_LIMIT_MS = 20_000

/** Somebody who mounts. */
export interface User {
  readonly name: string
  readonly id: number | undefined
  /** Why a mount cannot be tried as this user; false when it can. */
  readonly skip: string | false
}

/** The users to try as: root and an ordinary one when this is root, else this user. */
export function users(): readonly User[] {
  const skip = missing()
  if (process.getuid?.() !== 0) return [{ name: 'this user', id: undefined, skip }]
  return [
    { name: 'root', id: undefined, skip },
    { name: 'an ordinary user', id: NOBODY, skip: skip !== false ? skip : missingForNobody() },
  ]
}

function missing(): string | false {
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse here'
  return hasProgram('fusermount') ? false : 'fusermount is not installed (package fuse3)'
}

function missingForNobody(): string | false {
  const readable = spawnSync(process.execPath, [join(import.meta.dirname, 'native-server.js'), '--version'], {
    ...{ uid: NOBODY, gid: NOBODY, timeout: PROGRAM_LIMIT_MS },
  })
  return readable.status === null || readable.stderr.includes('Cannot find module')
    ? `an ordinary user may not read ${import.meta.dirname}`
    : false
}

/** True when a program of this name can be run. */
export function hasProgram(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`], { timeout: PROGRAM_LIMIT_MS }).status === 0
}

/** What a program did. */
export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** What the server answers to a command: a value, or the code and message of an error. */
export interface Answer {
  readonly value?: unknown
  readonly code?: string
  readonly message?: string
}

/** A native-server.js at work, in a directory of its own that belongs to its user, who also runs the programs. */
export class ServedMount {
  readonly directory: string
  readonly mountpoint: string
  readonly volume: string
  readonly #user: User
  #server: ChildProcess | undefined
  #answers: AsyncIterator<string> | undefined
  #lines: Interface | undefined

  constructor(user: User) {
    this.#user = user
    this.directory = join(tmpdir(), `sheepfs-native-${randomUUID()}`)
    this.mountpoint = join(this.directory, 'mount')
    this.volume = join(this.mountpoint, 'volume/test')
  }

  /** Makes the directory, for its user alone, with the mountpoint in it. */
  prepare(): void {
    mkdirSync(this.directory, { mode: 0o700 })
    mkdirSync(this.mountpoint)
    const { id } = this.#user
    if (id !== undefined) for (const path of [this.directory, this.mountpoint]) chownSync(path, id, id)
  }

  /** Starts the server; its first answer tells whether the mount is there. */
  async start(options: object = {}): Promise<Answer> {
    const fixed = { mountpoint: this.mountpoint, source: 'memory', allowOther: false, writeBack: false }
    const text = JSON.stringify({ ...fixed, caching: 'direct', ...options })
    const server = spawn(process.execPath, [join(import.meta.dirname, 'native-server.js'), text], {
      ...this.#identity(),
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#server = server
    this.#lines = createInterface({ input: server.stdout })
    this.#answers = this.#lines[Symbol.asyncIterator]()
    return this.answer()
  }

  /** Sends a command to the server and gives its answer. */
  async ask(command: string): Promise<Answer> {
    this.tell(command)
    return this.answer()
  }

  tell(command: string): void {
    this.#server?.stdin?.write(`${command}\n`)
  }

  async answer(): Promise<Answer> {
    const line: unknown = (await this.#answers?.next())?.value
    return typeof line === 'string' ? (JSON.parse(line) as Answer) : { code: 'no answer' }
  }

  /** The exit status of the server, once it has ended. */
  async exit(): Promise<number | null> {
    const server = this.#server
    if (server?.exitCode !== null || server.signalCode !== null) return server?.exitCode ?? null
    return new Promise((resolve) => server.once('exit', resolve))
  }

  /** Runs a program as the user, never through a shell. */
  async run(program: string, ...args: string[]): Promise<Outcome> {
    const options = { ...this.#identity(), cwd: '/', timeout: PROGRAM_LIMIT_MS, killSignal: 'SIGKILL' as const }
    return new Promise((resolve) => {
      const child = execFile(
        program,
        args,
        { ...options, env: { ...process.env, LC_ALL: 'C' } },
        (_, stdout, stderr) => {
          resolve({ status: child.exitCode ?? -1, stdout, stderr })
        },
      )
    })
  }

  /** Starts a program as the user that reads a line from its input before it ends. */
  hold(script: string): ChildProcess {
    return spawn('sh', ['-c', script], { ...this.#identity(), cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] })
  }

  /** Unmounts whatever is left, whoever is in the way, and ends the server. */
  async cleanUp(): Promise<void> {
    const entry = mountEntries().find((line) => line.includes(` ${this.mountpoint} `))
    if (entry !== undefined) {
      abortConnection(entry)
      await this.run('fusermount', '-u', '-z', this.mountpoint)
    }
    if (this.#server?.exitCode === null) {
      this.#server.stdin?.end()
      this.#server.kill('SIGKILL')
      await this.exit()
    }
    this.#lines?.close()
    rmSync(this.directory, { recursive: true, force: true })
  }

  #identity(): { uid?: number; gid?: number } {
    return this.#user.id === undefined ? {} : { uid: this.#user.id, gid: this.#user.id }
  }
}

/** The lines of /proc/self/mountinfo. */
export function mountEntries(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
}

function abortConnection(entry: string): void {
  const minor = /^\d+ \d+ \d+:(\d+) /.exec(entry)?.[1]
  const control = `/sys/fs/fuse/connections/${minor ?? ''}/abort`
  if (existsSync(control)) writeFileSync(control, '1')
}
