import { type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run, start, succeed, textOf, type Outcome } from '../../e2e/stage/program.ts'

const BOOT = join(import.meta.dirname, '../../../../test/system/stage/boot.sh')
const BOOT_LIMIT_MS = 90_000
const SHUTDOWN_LIMIT_MS = 180_000
const POLL_MS = 200

/** What a booted system of a developer's machine need not start. */
const MASKED = [
  ...['console-getty.service', 'getty.target', 'systemd-logind.service', 'systemd-udev-trigger.service'],
  ...['postgresql.service', 'tgt.service', 'docker.service', 'containerd.service', 'docker.socket', 'cron.service'],
  ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'systemd-binfmt.service', 'man-db.timer', 'e2scrub_all.timer'],
]

/** Why no system can be booted here; false when one can. */
export async function cannotBoot(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'only root can boot a system in namespaces'
  if (!existsSync('/lib/systemd/systemd')) return 'systemd is not installed'
  if (!(await readFile('/proc/filesystems', 'utf8')).includes('overlay')) return 'the kernel has no overlayfs'
  return (await cgroupRoot()) === undefined ? 'there is no cgroup v2 file system' : false
}

/** A system with systemd as PID 1, over a throw-away copy of this machine's root, that can be booted again and again. */
export class Machine {
  readonly #base: string
  readonly #cgroup: string
  #process: ChildProcess | undefined
  #console: () => string = () => ''
  #pid: number | undefined

  private constructor(base: string, cgroup: string) {
    this.#base = base
    this.#cgroup = cgroup
  }

  /** Sets the root up; nothing runs yet. */
  static async create(): Promise<Machine> {
    const base = await mkdtemp('/var/tmp/sheepfs-machine-')
    const machine = new Machine(base, join((await cgroupRoot()) ?? '', basename(base)))
    for (const name of ['upper', 'work', 'root']) await mkdir(join(base, name))
    const folders = `lowerdir=/,upperdir=${join(base, 'upper')},workdir=${join(base, 'work')}`
    await succeed('mount', ['-t', 'overlay', 'overlay', '-o', folders, join(base, 'root')])
    for (const unit of MASKED) {
      await rm(machine.path(`/etc/systemd/system/${unit}`), { force: true })
      await symlink('/dev/null', machine.path(`/etc/systemd/system/${unit}`))
    }
    await machine.write('/etc/machine-id', '')
    await machine.write('/etc/fstab', '')
    return machine
  }

  /** Where a path of the machine is on this one. */
  path(path: string): string {
    return join(this.#base, 'root', path)
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(this.path(path)), { recursive: true })
    await writeFile(this.path(path), text)
  }

  async copy(source: string, path: string): Promise<void> {
    await copyFile(source, this.path(path))
  }

  /** Resolves when the boot is complete. Errors: it is not in time, with the end of the console. */
  async boot(): Promise<void> {
    const child = start('bash', [BOOT, this.path(''), this.#cgroup], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)]
    this.#console = () => stdout() + stderr()
    const endMs = performance.now() + BOOT_LIMIT_MS
    while (performance.now() < endMs && child.exitCode === null) {
      const { stdout: children } = await run('pgrep', ['-P', String(child.pid)])
      this.#pid = Number(children.trim().split('\n')[0])
      if (this.#pid > 0 && /^(running|degraded)/.test((await this.run('systemctl', 'is-system-running')).stdout)) return
      await sleep(POLL_MS)
    }
    throw new Error(`the system did not come up: ${this.#console().slice(-3000)}`)
  }

  /** Runs a program in the machine. */
  async run(program: string, ...args: readonly string[]): Promise<Outcome> {
    if (this.#pid === undefined) throw new Error('the machine is not booted')
    return run('nsenter', ['--target', String(this.#pid), '--all', '--', program, ...args], { limitMs: 120_000 })
  }

  /** Runs a program in the machine that must succeed and resolves with what it printed, without the last newline. */
  async succeed(program: string, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(program, ...args)
    if (status === 0) return stdout.replace(/\n$/, '')
    throw new Error(`${[program, ...args].join(' ')}: status ${String(status)}: ${stderr}${stdout}`)
  }

  /** Resolves when a shell command succeeds. Errors: it does not within the limit, with what it last said. */
  async eventually(command: string, limitMs = 60_000): Promise<void> {
    const endMs = performance.now() + limitMs
    for (;;) {
      const { status, stdout, stderr } = await this.run('bash', '-c', command)
      if (status === 0) return
      if (performance.now() >= endMs) throw new Error(`not within ${limitMs} ms: ${command}: ${stdout}${stderr}`)
      await sleep(POLL_MS)
    }
  }

  /** Shuts down in order and resolves with how long that took, ms. Errors: it took too long. */
  async shutDown(): Promise<number> {
    const child = this.#process
    if (!child) return 0
    const began = performance.now()
    const exited = child.exitCode === null ? once(child, 'exit') : Promise.resolve()
    await this.run('systemctl', 'start', '--no-block', '--job-mode=replace-irreversibly', 'poweroff.target')
    const isDown = await Promise.race([exited.then(() => true), sleep(SHUTDOWN_LIMIT_MS, false, { ref: false })])
    this.#process = undefined
    this.#pid = undefined
    if (!isDown) {
      await this.#kill(child)
      throw new Error(`no shutdown within ${SHUTDOWN_LIMIT_MS} ms: ${this.#console().slice(-3000)}`)
    }
    return performance.now() - began
  }

  /** Ends everything and removes it. */
  async destroy(): Promise<void> {
    if (this.#process) await this.#kill(this.#process)
    await run('umount', ['--lazy', this.path('')])
    await run('find', [this.#cgroup, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+'])
    await rm(this.#base, { recursive: true, force: true })
  }

  async #kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    await run('bash', ['-c', `echo 1 > "$1/cgroup.kill"`, '-', this.#cgroup])
    await Promise.race([exited, sleep(10_000, undefined, { ref: false })])
  }
}

async function cgroupRoot(): Promise<string | undefined> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' '))
  return mounts.find(([, , type]) => type === 'cgroup2')?.[1]
}
