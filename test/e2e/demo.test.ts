import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { missing } from './stage/ability.ts'
import { end, start, succeed, textOf } from './stage/program.ts'
import { UNPRIVILEGED } from './stage/unprivileged.ts'

const SCRIPT = join(import.meta.dirname, '../../../scripts/demo.mjs')
const NEEDS = missing('fuse', 'root', 'loop', 'mkfs', 'fusermount')
const STOP_LIMIT_MS = 60_000
const KILLED = 'kill -9'

/** A demo that runs. */
class Demo {
  readonly #child
  readonly #stdout: () => string
  readonly #stderr: () => string

  constructor(t: TestContext, prefix: readonly string[] = []) {
    this.#child = start('env', [...prefix, process.execPath, SCRIPT], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#stdout = textOf(this.#child.stdout)
    this.#stderr = textOf(this.#child.stderr)
    t.after(() => end(this.#child, STOP_LIMIT_MS))
  }

  /** Resolves with what `pattern` finds in what it has said. Errors: it ends without. */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const [, found] = pattern.exec(this.#stdout()) ?? []
      if (found !== undefined) return found
      assert.equal(this.#child.exitCode, null, this.text)
      const heard = new AbortController()
      const { signal } = heard
      await Promise.race([
        once(this.#child.stdout ?? this.#child, 'data', { signal }),
        once(this.#child, 'close', { signal }),
      ])
      heard.abort()
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  get text(): string {
    return this.#stdout() + this.#stderr()
  }

  /** Resolves with its exit code when it has ended, and nothing of it is there: no folder, mount, device or process. */
  async gone(): Promise<number | null> {
    if (this.#child.exitCode === null) await once(this.#child, 'close')
    const home = await this.says(/^Everything is in (\S+sheepfs-demo-\S+), /m)
    assert.ok(!existsSync(home), this.text)
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    assert.ok(!`${mounts}${await succeed('losetup', ['--list'])}`.includes(home), this.text)
    const left = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && directoryOf(name).startsWith(home))
    assert.deepEqual(left, [], this.text)
    return this.#child.exitCode
  }
}

/** The working directory of a process; of one that is gone, none. */
function directoryOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

describe('npm run demo', { skip: NEEDS, timeout: 180_000, concurrency: true }, () => {
  test('shows a worker that is killed, which nobody notices, and leaves nothing behind', async (t) => {
    const demo = new Demo(t)
    assert.equal(await demo.gone(), 0, demo.text)
    const commands = Array.from(demo.text.matchAll(/^# (\w+(?: [a-z]+)?)/gm), ([, command]) => command)
    const wanted = ['lamb', 'sheepfsd demo', 'sheepfsctl vdi', 'sheepfsctl attach', 'sheepfsctl map', 'mkfs', 'mount']
    assert.deepEqual(wanted.filter((command) => !commands.includes(command)), [], demo.text) // prettier-ignore
    assert.match(demo.text, /kill -9 \d+\n\(dd has written \d+ KiB of 16 MiB\)\n# wait\n16777216 bytes .*copied/)
    assert.match(demo.text, /^demo +serving +\S+ +\d+ +2 /m)
  })

  test('shows an ordinary user what root is not needed for, and says what is left out, and why', async (t) => {
    const demo = new Demo(t, UNPRIVILEGED)
    assert.equal(await demo.gone(), 0, demo.text)
    assert.match(demo.text, /^\$ cmp .* tree\/volume\/web01\n\n== Left out: the block device .*only root may/m)
    assert.match(demo.text, /^== Left out: a worker that is killed.*only root may/m)
    assert.ok(!demo.text.includes(KILLED))
  })

  test('leaves nothing behind after Ctrl-C, whatever is going on', async (t) => {
    const demo = new Demo(t)
    await demo.says(/(kill -9)/)
    demo.signal('SIGINT')
    demo.signal('SIGINT')
    assert.equal(await demo.gone(), 130, demo.text)
    assert.match(demo.text, /demo: interrupted by SIGINT/)
  })

  test('leaves nothing behind when its daemon is killed below a file system', async (t) => {
    const demo = new Demo(t)
    const daemon = await demo.says(/sheepfsd\[(\d+)\]: ready/)
    await demo.says(/(kill -9)/)
    process.kill(Number(daemon), 'SIGKILL')
    assert.equal(await demo.gone(), 1, demo.text)
  })
})
