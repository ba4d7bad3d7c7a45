import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run, start, type Outcome } from '../../e2e/stage/program.ts'
import { Announcer } from './announcer.ts'
import { cgroupRoot } from './can-boot.ts'

const SCRIPTS = join(import.meta.dirname, '../../../../test/system/stage')
/** Of a system, on a machine that does other things too. */
const BOOT_LIMIT_MS = 90_000
const SHUTDOWN_LIMIT_MS = 150_000
const COMMAND_LIMIT_MS = 120_000
const POLL_MS = 100
/** What PID 1 lets programs see, and nothing of the test runner. */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
/** Without --norc a bash whose stdin is a socket reads ~/.bashrc, and whatever somebody has there runs with every command. */
const SHELL = ['bash', '--norc', '-e', '-o', 'pipefail', '-c'] as const
const REMOTE_FS = '/etc/systemd/system/multi-user.target.wants/remote-fs.target'
/** What belongs to the kernel that the machine shares with this one. */
const MASKED = [
  ...['systemd-udevd.service', 'systemd-udevd-control.socket', 'systemd-udevd-kernel.socket'],
  ...[
    'systemd-udev-trigger.service',
    'systemd-modules-load.service',
    'systemd-binfmt.service',
    'kmod-static-nodes.service',
  ],
  ...['systemd-logind.service', 'getty.target', 'console-getty.service'],
]

/** A process, and its number on this machine. */
export interface Started {
  readonly announcer: Announcer
  readonly pid: number
}

/**
 * A system with systemd as PID 1 and a network of its own, over a throw-away copy of this machine's root, that can be
 * booted again and again. Block devices are those of this machine.
 */
export class Machine {
  readonly #base: string
  readonly #cgroups: string
  readonly #holder: ChildProcess
  readonly #holderPid: number
  readonly #token = randomUUID()
  readonly #beside: Announcer[] = []
  #boots = 0
  #cgroup = ''
  #system: Started | undefined

  private constructor({ base, cgroups }: { base: string; cgroups: string }, holder: ChildProcess, holderPid: number) {
    this.#base = base
    this.#cgroups = cgroups
    this.#holder = holder
    this.#holderPid = holderPid
  }

  /** Sets the root up, as a freshly installed system that starts nothing of its own; nothing runs yet. */
  static async create(): Promise<Machine> {
    const base = await mkdtemp('/var/tmp/sheepfs-machine-')
    const isolation = ['--mount', '--pid', '--fork', '--kill-child', '--net', '--propagation', 'private']
    const cgroups = join((await cgroupRoot()) ?? '', basename(base))
    const holder = start('unshare', [...isolation, 'bash', join(SCRIPTS, 'hold.sh'), base, cgroups])
    const machine = new Machine({ base, cgroups }, holder, Number(await new Announcer(holder).said(/^holds (\d+)$/m)))
    await rm(machine.path('/etc/systemd/system'), { recursive: true })
    for (const level of await readdir(machine.path('/etc'))) {
      if (/^rc.\.d$/.test(level)) await rm(machine.path(`/etc/${level}`), { recursive: true })
    }
    await mkdir(machine.path('/etc/systemd/system/multi-user.target.wants'), { recursive: true })
    await symlink('/lib/systemd/system/remote-fs.target', machine.path(REMOTE_FS)) // as in every installation
    for (const unit of MASKED) await symlink('/dev/null', machine.path(`/etc/systemd/system/${unit}`))
    await rm(machine.path('/var/lib/man-db/auto-update'), { force: true }) // it takes longer than an installation
    await machine.write('/.sheepfs-machine', machine.#token)
    await machine.write('/etc/machine-id', '')
    await machine.write('/etc/fstab', '')
    await mkdir(machine.path('/var/log/journal'), { recursive: true })
    return machine
  }

  /** Where a path of the machine is on this one. */
  path(path: string): string {
    return join(`/proc/${this.#holderPid}/root`, this.#base, 'root', path)
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(this.path(path)), { recursive: true })
    await writeFile(this.path(path), text)
  }

  async copy(source: string, path: string): Promise<void> {
    await copyFile(source, this.path(path))
  }

  /** Resolves when the boot is complete. Errors: it is not in time, with what failed. */
  async boot(): Promise<void> {
    // of its own: controllers that a system has enabled in a cgroup keep processes out of it
    this.#cgroup = `${this.#cgroups}.${++this.#boots}`
    await mkdir(join(this.#cgroup, 'commands'), { recursive: true })
    const args = [join(SCRIPTS, 'boot.sh'), join(this.#base, 'root'), this.#cgroup, this.#token]
    const { announcer } = await this.startBeside('bash', ['--norc', ...args])
    this.#system = { announcer, pid: Number(await announcer.said(/^boots (\d+)$/m)) }
    this.#holder.stdin?.write(`${this.#system.pid}\n`)
    await this.eventually('[[ $(systemctl is-system-running) =~ running|degraded ]]', BOOT_LIMIT_MS)
  }

  /**
   * Starts a program of this machine, booted or not, in the network of the machine. It ends with the machine at the latest.
   * @param args what is called `FOLDER` is a folder that goes with the machine
   */
  async startBeside(program: string, args: readonly string[]): Promise<Started> {
    const where = ['--target', String(this.#holderPid), '--mount', '--pid', '--net']
    const announce = 'read -r pid _ </proc/self/stat; echo "runs $pid"; exec "$@"'
    const command = [program, ...args].map((arg) => (arg === 'FOLDER' ? join(this.#base, 'beside') : arg))
    const announcer = new Announcer(
      start('nsenter', [...where, '--', 'bash', '--norc', '-c', announce, '-', ...command]),
    )
    this.#beside.push(announcer)
    return { announcer, pid: Number(await announcer.said(/^runs (\d+)$/m)) }
  }

  /** Runs a program in the machine. */
  async run(program: string, ...args: readonly string[]): Promise<Outcome> {
    if (!this.#system) throw new Error('the machine is not booted')
    const join = 'echo 0 >"$1/commands/cgroup.procs"; shift; exec nsenter "$@"'
    const where = ['--target', String(this.#system.pid), '--all', '--']
    return run('bash', ['--norc', '-c', join, '-', this.#cgroup, ...where, program, ...args], {
      limitMs: COMMAND_LIMIT_MS,
      env: ENVIRONMENT,
    })
  }

  /** Runs a program in the machine that must succeed and resolves with what it printed, without the last newline. */
  async succeed(program: string, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(program, ...args)
    if (status === 0) return stdout.replace(/\n$/, '')
    const command = [program, ...args].join(' ')
    throw new Error(`${command}: status ${String(status)}: ${stderr}${stdout}\n${await this.#journal()}`)
  }

  /** Runs a shell command in the machine that must succeed, and stops at what fails in it. */
  async sh(command: string): Promise<string> {
    return this.succeed(...SHELL, command)
  }

  /** Resolves when a shell command succeeds. Errors: it does not within the limit, with what it last said. */
  async eventually(command: string, limitMs = 60_000): Promise<void> {
    const endMs = performance.now() + limitMs
    for (;;) {
      const { status, stdout, stderr } = await this.run(...SHELL, command)
      if (status === 0) return
      if (performance.now() >= endMs) {
        throw new Error(`not within ${limitMs} ms: ${command}: ${stderr}${stdout}\n${await this.#journal()}`)
      }
      await sleep(POLL_MS)
    }
  }

  /** Shuts down in order and resolves with how long that took, ms. Errors: it took too long. */
  async shutDown(): Promise<number> {
    if (!this.#system) throw new Error('the machine is not booted')
    const { announcer } = this.#system
    const began = performance.now()
    const exited = once(announcer.process, 'exit')
    await this.run('systemctl', 'start', '--no-block', '--job-mode=replace-irreversibly', 'poweroff.target')
    const isDown = await Promise.race([exited.then(() => true), sleep(SHUTDOWN_LIMIT_MS, false, { ref: false })])
    if (!isDown) throw new Error(`no shutdown within ${SHUTDOWN_LIMIT_MS} ms:\n${await this.#journal()}`)
    this.#system = undefined
    return performance.now() - began
  }

  /** Ends everything and removes it. */
  async destroy(): Promise<void> {
    const exited = once(this.#holder, 'exit')
    for (const { process } of this.#beside) process.kill('SIGKILL')
    this.#holder.stdin?.end()
    await exited
  }

  /** What to tell when something has failed. */
  async #journal(): Promise<string> {
    return (await run('journalctl', ['--directory', this.path('/var/log/journal'), '--no-pager', '--lines=40'])).stdout
  }
}
