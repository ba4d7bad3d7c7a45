import assert from 'node:assert/strict'
import { constants } from 'node:fs'
import { open, stat, truncate, writeFile } from 'node:fs/promises'
import { after, before, describe, test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { missing } from './stage/ability.ts'
import { attachLoop } from './stage/loop.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const PAUSE_MS = 20

interface Mode {
  readonly name: string
  readonly engine: 'kernel' | 'fuse-native'
  readonly args: readonly string[]
  /** What is written to config/page_cache once it is mounted. */
  readonly switchTo?: '0' | '1'
}

const MODES: readonly Mode[] = [
  { name: 'kernel, page cache off', engine: 'kernel', args: [] },
  { name: 'kernel, page cache switched on', engine: 'kernel', args: [], switchTo: '1' },
  { name: 'kernel, page cache on', engine: 'kernel', args: ['-k'] },
  { name: 'kernel, page cache switched off', engine: 'kernel', args: ['-k'], switchTo: '0' },
  { name: 'fuse-native, page cache off', engine: 'fuse-native', args: [] },
  { name: 'fuse-native, page cache on', engine: 'fuse-native', args: ['-k'] },
]

/** Ways to change a volume. Each ends when the change is acknowledged. */
const CHANGES: Readonly<Record<string, (file: string, stage: Stage) => Promise<unknown>>> = {
  write: (file) => write(file, 0),
  'a write with O_SYNC': (file) => write(file, constants.O_SYNC),
  'a write with O_DIRECT': (file) => dd(file, 'oflag=direct'),
  'asynchronous writes with O_DIRECT': (file) => fio(file, '--ioengine=libaio', '--direct=1', '--iodepth=16'),
  'mmap and msync': (file) => fio(file, '--ioengine=mmap', '--end_fsync=1'),
  'a write to a loop device': async (file, stage) => {
    const loop = await attachLoop(stage, file)
    await dd(loop.device, 'oflag=direct')
    await loop.detach()
  },
  'punching a hole': (file) => succeed('fallocate', ['--punch-hole', '--offset=0', '--length=1MiB', file]),
  zeroing: (file) => succeed('fallocate', ['--zero-range', '--offset=0', '--length=64KiB', file]),
  'truncating to nothing': (file) => truncate(file, 0),
  'opening with O_TRUNC': async (file) => (await open(file, constants.O_WRONLY | constants.O_TRUNC)).close(),
  growing: async (file) => succeed('truncate', [`--size=${(await stat(file)).size + MIB}`, file]),
}

/** By engine and cache: what it refuses. */
const REFUSED: readonly (readonly [mode: RegExp, change: string])[] = [
  [/fuse-native/, 'punching a hole'],
  [/fuse-native/, 'zeroing'],
  [/fuse-native, page cache off/, 'mmap and msync'],
]

async function write(path: string, flags: number): Promise<void> {
  const file = await open(path, constants.O_RDWR | flags)
  await file.write(Buffer.alloc(4096, 1))
  await file.close()
}

function dd(path: string, ...flags: readonly string[]): Promise<string> {
  return succeed('dd', ['if=/dev/zero', `of=${path}`, 'bs=64k', 'count=1', 'conv=notrunc', 'status=none', ...flags])
}

function fio(path: string, ...options: readonly string[]): Promise<string> {
  const job = ['--name=change', '--rw=write', '--bs=4k', '--size=256k', '--overwrite=1', '--allow_file_create=0']
  return succeed('fio', [...job, `--filename=${path}`, ...options])
}

async function timesOf(path: string): Promise<{ modified: bigint; changed: bigint }> {
  const { mtimeNs, ctimeNs } = await stat(path, { bigint: true })
  return { modified: mtimeNs, changed: ctimeNs }
}

/** Resolves when both times have moved on from `before`, with how long that took; the limit of the test ends it. */
async function untilMoved(
  t: TestContext,
  path: string,
  before: { modified: bigint; changed: bigint },
): Promise<number> {
  const since = performance.now()
  for (;;) {
    const { modified, changed } = await timesOf(path)
    if (modified > before.modified && changed > before.changed) return performance.now() - since
    if (t.signal.aborted)
      assert.fail(`times of ${path} have not moved: ${before.modified} to ${modified}, ${before.changed} to ${changed}`)
    await delay(PAUSE_MS)
  }
}

describe('mtime and ctime of a volume', { skip: missing('fuse', 'root', 'loop', 'fio'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  for (const { name, engine, args, switchTo } of MODES) {
    test(`are moved by whatever changes it: ${name}`, { timeout: 60_000 }, async (t) => {
      const volume = await sheep.createVdi(8 * MIB)
      const sheepfs = await startSheepfs(stage, { sheep, engine, attach: [volume], args })
      if (switchTo !== undefined) await writeFile(sheepfs.path('config/page_cache'), switchTo)
      const path = sheepfs.volume(volume)
      for (const [what, change] of Object.entries(CHANGES)) {
        if (REFUSED.some(([mode, refused]) => mode.test(name) && refused === what)) continue
        const before = await timesOf(path)
        await change(path, stage)
        const tookMs = await untilMoved(t, path, before)
        t.diagnostic(`${what}: ${Math.round(tookMs)} ms`)
      }
      await sheepfs.stop()
    })
  }
})
