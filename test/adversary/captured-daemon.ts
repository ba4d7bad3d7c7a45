import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { run, succeed } from '../e2e/stage/program.ts'
import { startLamb, type Sheep } from '../e2e/stage/sheep.ts'
import { startSheepfsd, tableOf, type MountTable, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import type { Stage } from '../e2e/stage/stage.ts'
import type { Order } from './captured-process.ts'

export const CAPTURED = 'captured'
const OTHER = 'other'
const SIZE = 2 ** 20
const PRECIOUS = 'root:*:19000:0:99999:7:::\n'
const PRELOADED = pathToFileURL(join(import.meta.dirname, 'captured-process.js')).href
/** Of the host, and none of a daemon's business. */
const HOST_FILES = ['/etc/passwd', '/etc/shadow', '/etc/hostname']

interface Options {
  readonly daemon: Sheepfsd
  readonly sheep: Sheep
  readonly captured: MountTable
  readonly other: { readonly path: string; readonly content: string; readonly pid: number }
  readonly orders: string
  readonly victim: string
}

/** A daemon with two mounts, of which the worker of one obeys this test. */
export class CapturedDaemon {
  readonly daemon: Sheepfsd
  readonly mountpoint: string
  /** In the captured mount. */
  readonly volume = 'bait'
  /** A file of the host that only root may read or write. */
  readonly victim: string
  readonly #options: Options
  readonly #host: string

  private constructor(options: Options) {
    this.#options = options
    this.daemon = options.daemon
    this.mountpoint = options.captured.mountpoint
    this.victim = options.victim
    this.#host = this.#hostFiles()
  }

  static async start(stage: Stage): Promise<CapturedDaemon> {
    const sheep = await startLamb(stage)
    const [folder, orders] = [await stage.folder(), await stage.folder()]
    const victim = join(folder, 'shadow')
    writeFileSync(victim, PRECIOUS, { mode: 0o600 })
    const volume = await sheep.createVdi(SIZE)
    const other = await tableOf(stage, OTHER, sheep, [volume])
    const variables = {
      ...{ NODE_OPTIONS: `--import=${PRELOADED}`, SHEEPFS_TEST_CAPTURED: CAPTURED, SHEEPFS_TEST_ORDERS: orders },
      SHEEPFS_LOG_FORMAT: 'json',
    }
    const daemon = await startSheepfsd(stage, { mounts: [other], variables })
    await daemon.client.createVdi(OTHER, { name: 'bait', size: SIZE })
    const captured = { ...(await tableOf(stage, CAPTURED, sheep, ['bait'])), page_cache: true, allow_other: true }
    const path = join(other.mountpoint, 'volume', volume)
    await succeed('dd', ['if=/dev/urandom', `of=${path}`, 'bs=64k', 'count=16', 'conv=notrunc,fsync'])
    const pid = await daemon.workerPid(OTHER)
    const scene = new CapturedDaemon({
      ...{ daemon, sheep, captured, orders, victim, other: { path, content: await sumOf(path), pid } },
    })
    stage.defer(() => daemon.client.removeMount(CAPTURED, true).catch(() => undefined))
    return scene
  }

  /** Takes the worker of the captured mount again, of a new mount when it was used before. */
  async capture(): Promise<void> {
    const { client } = this.daemon
    await client.removeMount(CAPTURED, true).catch(() => undefined)
    const { name, mountpoint, sheep, volumes } = this.#options.captured
    await client.addMount({
      ...{ name, mountpoint, page_cache: true, allow_other: true },
      ...{ sheep: sheep as string[], volumes: volumes as string[] },
    })
    await this.daemon.serving(CAPTURED)
  }

  /** The pid of the captured worker. */
  async pid(): Promise<number> {
    return this.daemon.workerPid(CAPTURED)
  }

  /** Resolves when the captured worker has done it, with the lies it has told; undefined: it has died of it. */
  async order(order: Order): Promise<number | undefined> {
    const socket = connect(join(this.#options.orders, String(await this.pid())))
    socket.on('error', () => undefined)
    socket.write(`${JSON.stringify(order)}\n`)
    const answer: unknown[] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
    socket.destroy()
    return answer[0] instanceof Buffer ? Number(answer[0].toString()) : undefined
  }

  /** The supervisor, the other mount and the files of the host are as before. */
  async checkUnharmed(after: string): Promise<void> {
    await this.#check(after).catch((cause: unknown) => {
      throw new Error(`${after}: ${String(cause)}\n${this.daemon.log().slice(-4000)}`, { cause })
    })
  }

  async #check(after: string): Promise<void> {
    const { daemon, other } = this.#options
    assert.equal(daemon.child.exitCode, null, after)
    const { mounts } = await daemon.client.status()
    const found = mounts.find(({ name }) => name === OTHER)
    assert.deepEqual([found?.state, found?.worker?.pid], ['serving', other.pid], after)
    assert.match(await daemon.client.metrics(), /^sheepfs_open_files\{mount="other"\} \d+$/m, after)
    assert.equal(await sumOf(other.path), other.content, after)
    assert.equal(this.#hostFiles(), this.#host, after)
  }

  /** What a user of the tree, and root, may do to it, whatever comes of it. */
  async use(): Promise<void> {
    const volume = join(this.mountpoint, 'volume')
    const bait = join(volume, this.volume)
    const commands = [
      `stat ${bait}`, // before a listing tells the kernel of it
      `ls -la ${volume}`,
      `ls -la ${bait}/`,
      `head -c 10M ${bait} | sha256sum`,
      `cat ${join(this.mountpoint, 'cluster', 'info')}`,
      `dd if=/dev/zero of=${bait} bs=4k count=1 conv=notrunc`,
      `truncate -s 0 ${bait}`,
      `chmod 0777 ${bait}`,
      bait,
      `df ${this.mountpoint}`,
    ]
    for (const command of commands)
      await run('timeout', ['--signal=KILL', '5', 'sh', '-c', command]).catch(() => undefined)
  }

  #hostFiles(): string {
    return [this.victim, ...HOST_FILES]
      .map((path) => {
        const { mode, uid, gid, size, mtimeMs } = statSync(path)
        return JSON.stringify([path, mode, uid, gid, size, mtimeMs, readFileSync(path, 'base64')])
      })
      .join('\n')
  }
}

/** Read past the page cache. */
async function sumOf(path: string): Promise<string> {
  return succeed('sh', ['-c', `dd if=${path} bs=64k iflag=direct status=none | sha256sum`])
}
