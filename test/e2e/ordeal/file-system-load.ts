import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { attachLoop, mountDevice, type Loop } from '../stage/loop.ts'
import { succeed } from '../stage/program.ts'
import type { Stage } from '../stage/stage.ts'

/** Below what the mount can do, so that there is load all the time. */
const ROUND = [
  '--name=load',
  '--filename=load',
  '--size=24m',
  '--bs=4k',
  '--rw=randwrite',
  '--rate=,6m',
  '--end_fsync=1',
]
const VERIFY = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', '--minimal']
const WAYS = {
  direct: ['--ioengine=libaio', '--iodepth=8', '--direct=1'],
  cached: ['--ioengine=psync', '--fsync=64'],
} as const
const ROUND_LIMIT_MS = 300_000

/** fio with verification on ext4 on a loop device on a volume, round after round until it is stopped. */
export class FileSystemLoad {
  readonly #loop: Loop
  readonly #directory: string
  readonly #way: keyof typeof WAYS
  #round = 0
  #isStopped = false
  #running: Promise<void> | undefined

  private constructor(loop: Loop, directory: string, way: keyof typeof WAYS) {
    this.#loop = loop
    this.#directory = directory
    this.#way = way
  }

  /** Makes a file system on the volume at `path`, and begins. */
  static async start(stage: Stage, path: string, way: keyof typeof WAYS): Promise<FileSystemLoad> {
    const loop = await attachLoop(stage, path)
    await succeed('mkfs.ext4', ['-q', loop.device])
    const load = new FileSystemLoad(loop, await mountDevice(stage, loop.device), way)
    load.#running = load.#run()
    load.#running.catch(() => undefined) // `stop` tells
    return load
  }

  /**
   * Ends the load and looks at what it has left, anew from the cluster. Errors: an I/O error at any time, a block that is
   * not as it was written, anything that e2fsck finds. Nothing of it is left then.
   */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
    await succeed('umount', [this.#directory])
    await writeFile('/proc/sys/vm/drop_caches', '3')
    await succeed('e2fsck', ['-fn', this.#loop.device])
    await succeed('mount', [this.#loop.device, this.#directory])
    await this.#fio(['--verify_only=1', ...WAYS.direct])
    await succeed('umount', [this.#directory])
    await this.#loop.detach()
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#round++
      await this.#fio(WAYS[this.#way])
    }
  }

  async #fio(args: readonly string[]): Promise<void> {
    const fixed = [...ROUND, ...VERIFY, `--randseed=${this.#round}`]
    await succeed('fio', [...fixed, ...args], { limitMs: ROUND_LIMIT_MS, cwd: this.#directory })
  }
}

/** The path of a volume. */
export function volumePath(mountpoint: string, volume: string): string {
  return join(mountpoint, 'volume', volume)
}
