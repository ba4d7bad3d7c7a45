import assert from 'node:assert/strict'
import { open, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { missing, TESTED_ENGINES, type Need } from './stage/ability.ts'
import { run, succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfs, type Sheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const KIB = 1024
const SIZE = 8 * KIB * KIB
const OLD_BYTE = 0xff
/** Where the source has data: holes at its start, between and at its end, with edges across pages and objects. */
const DATA = [
  { at: 300 * KIB, length: 5000 },
  { at: 2048 * KIB - 1, length: 70_001 },
  { at: 5 * KIB * KIB, length: KIB * KIB },
]

/** What a tool is given. */
interface Job {
  /** A sparse file of the volume's size, or less. */
  readonly source: string
  /** Has the name of the target, its mode and its owner, in a folder of its own. */
  readonly sameName: string
  readonly target: string
}

type Command = readonly [program: string, ...args: string[]]

/** How data gets from a file into a file that is there already. `prepare` makes what the tool reads. */
interface Way {
  readonly name: string
  readonly need?: Need
  readonly prepare?: (job: Job) => Command
  readonly copy: (job: Job) => Command
  /** It cannot work: it makes a file beside the target. */
  readonly isRefused?: boolean
}

const rsync = (...options: string[]): Pick<Way, 'name' | 'need' | 'copy'> => ({
  name: ['rsync', ...options].join(' '),
  need: 'rsync',
  copy: ({ sameName, target }) => ['rsync', ...options, '--ignore-times', sameName, target],
})
const dd = (...options: string[]): Way => ({
  name: ['dd', ...options].join(' '),
  copy: ({ source, target }) => ['dd', `if=${source}`, `of=${target}`, 'status=none', 'bs=64k', ...options],
})
const packed = (program: 'zstd' | 'lz4', options: string[], unpack: (job: Job) => string[]): Way => ({
  name: [program, ...options].join(' '),
  need: program,
  prepare: ({ source }) => [program, '-q', '-f', source, ...(program === 'zstd' ? ['-o'] : []), `${source}.packed`],
  copy: (job) => [program, '-q', ...options, ...unpack(job)],
})

const WAYS: readonly Way[] = [
  ...['auto', 'always', 'never'].map((sparse): Way => ({
    name: `cp --sparse=${sparse}`,
    copy: ({ source, target }) => ['cp', `--sparse=${sparse}`, source, target],
  })),
  { name: 'cp --preserve', copy: ({ sameName, target }) => ['cp', '--preserve', '--sparse=always', sameName, target] },
  { name: 'cat >', copy: ({ source, target }) => ['sh', '-c', 'cat "$0" > "$1"', source, target] },
  { name: 'install', copy: ({ source, target }) => ['install', source, target], isRefused: true },
  ...[
    ['-O', 'raw'],
    ['-n', '-O', 'raw'],
    ['-n', '-S', '0', '-O', 'raw'],
    ['-n', '-W', '-O', 'raw'],
  ].map((options): Way => ({
    name: `qemu-img convert ${options.join(' ')}`,
    need: 'qemuImg',
    copy: ({ source, target }) => ['qemu-img', 'convert', '-f', 'raw', ...options, source, target],
  })),
  ...[['--overwrite'], ['-S', '--overwrite']].map((options): Way => ({
    name: `tar -x ${options.join(' ')}`,
    prepare: ({ source, sameName }) => {
      return ['tar', '-cSf', `${source}.tar`, '-C', dirname(sameName), basename(sameName)]
    },
    copy: ({ source, target }) => ['tar', '-xf', `${source}.tar`, ...options, '-C', dirname(target)],
  })),
  { ...rsync(), isRefused: true },
  rsync('--inplace'),
  rsync('--inplace', '--sparse'),
  rsync('--inplace', '--no-whole-file'),
  rsync('-a', '--inplace', '--sparse'),
  rsync('--append'),
  dd(),
  dd('conv=sparse'),
  dd('conv=notrunc'),
  dd('conv=sparse,notrunc'),
  dd('oflag=direct'),
  dd('oflag=direct', 'conv=sparse'),
  dd('conv=fsync', 'oflag=dsync'),
  packed('zstd', ['-d', '-f'], ({ source, target }) => ['-o', target, `${source}.packed`]),
  packed('zstd', ['-d', '-f', '--sparse'], ({ source, target }) => ['-o', target, `${source}.packed`]),
  packed('lz4', ['-d', '-f', '--sparse'], ({ source, target }) => [`${source}.packed`, target]),
  ...[[], ['--sparse']].map((options): Way => ({
    name: ['ddrescue', '--force', ...options].join(' '),
    need: 'ddrescue',
    copy: ({ source, target }) => ['ddrescue', '--quiet', '--force', ...options, source, target],
  })),
]

for (const engine of TESTED_ENGINES) {
  for (const cache of [
    { name: 'page cache off', args: [] },
    { name: 'page cache on', args: ['-k'] },
  ]) {
    const limits = { skip: missing('fuse', 'root'), timeout: 300_000 }
    describe(`a volume that held 0xff gets what a file would: ${engine}, ${cache.name}`, limits, () => {
      const stage = new Stage()
      let sheep: Sheep
      let sheepfs: Sheepfs
      let volume: string
      let folder: string
      before(async () => {
        sheep = await startSheep(stage)
        const name = await sheep.createVdi(SIZE)
        sheepfs = await startSheepfs(stage, { sheep, engine, args: cache.args, attach: [name] })
        volume = sheepfs.volume(name)
        folder = await stage.folder()
      })
      after(() => stage.close())

      for (const way of WAYS) {
        const skip = way.need === undefined ? false : missing(way.need)
        test(`${way.name}, from a file of its size`, { skip }, () =>
          copyAndCompare(way, { folder, volume, size: SIZE }),
        )
        test(`${way.name}, from a shorter file`, { skip }, () =>
          copyAndCompare(way, { folder, volume, size: 6 * KIB * KIB + 7 }),
        )
      }
    })
  }
}

/** Copies into the volume and into a file that held the same: the volume is as the file, or the tool has told of a failure. */
async function copyAndCompare(
  { copy, prepare, isRefused }: Way,
  { folder, volume, size }: { folder: string; volume: string; size: number },
): Promise<void> {
  const source = join(folder, 'source')
  const sameName = join(await makeFolder(folder, 'same'), basename(volume))
  const target = join(await makeFolder(folder, 'target'), basename(volume))
  await succeed('rm', ['-f', source, sameName, target])
  await makeSource(source, size)
  await succeed('cp', ['--sparse=always', source, sameName])
  await succeed('chmod', ['600', sameName])
  const job = { source, sameName, target: volume }
  if (prepare) await succeed(...split(prepare(job)))

  const old = Buffer.alloc(SIZE, OLD_BYTE)
  await writeFile(target, old, { mode: 0o600 })
  await writeFile(volume, old, { flag: 'r+', flush: true })
  assert.deepEqual(await readFile(volume), old)
  await succeed(...split(copy({ ...job, target })))
  const { status, stderr } = await run(...split(copy(job)))
  assert.equal((await stat(volume)).size, SIZE)
  if (isRefused === true) assert.notEqual(status, 0)
  else if (size === SIZE) assert.equal(status, 0, stderr)
  if (status !== 0) return

  const wanted = Buffer.alloc(SIZE)
  ;(await readFile(target)).copy(wanted)
  const got = await readFile(volume)
  assert.ok(got.equals(wanted), `differs from ${firstDifference(got, wanted)} on`)
}

async function makeFolder(parent: string, name: string): Promise<string> {
  await succeed('mkdir', ['-p', join(parent, name)])
  return join(parent, name)
}

async function makeSource(path: string, size: number): Promise<void> {
  const file = await open(path, 'w')
  await file.truncate(size)
  for (const { at, length } of DATA) {
    await file.write(
      Buffer.alloc(length, 'data of the source, '),
      0,
      Math.max(0, Math.min(length, size - at - 4096)),
      at,
    )
  }
  await file.close()
}

function split([program, ...args]: Command): [string, string[]] {
  return [program, args]
}

function firstDifference(a: Buffer, b: Buffer): number {
  return a.findIndex((byte, at) => byte !== b[at])
}
