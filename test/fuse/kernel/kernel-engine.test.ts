import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { open, readFile, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { attachLoop } from '../../e2e/stage/loop.ts'
import { run, succeed } from '../../e2e/stage/program.ts'
import { mountMemory, WITH_MOUNT } from './memory-mount.ts'

const MEBIBYTE = 1 << 20
const TRUNCATING_PROGRAM = join(import.meta.dirname, 'truncating-program.js')
/** Of volume/test. */
const SIZE = 16 * MEBIBYTE

test('ls, stat, df and cat show the tree', WITH_MOUNT, async (t) => {
  const { path, volume } = await mountMemory(t)
  assert.equal(await succeed('ls', [path]), 'config\nvdi\nvolume\n')
  assert.match(await succeed('ls', ['-l', join(path, 'volume')]), /^total 4\n-rw-r--r-- 1 .* 16777216 .* test\n$/)
  assert.equal(await succeed('stat', ['-c', '%s %b %o %a %Y', volume]), `16777216 8 1048576 644 1709164800\n`)
  assert.equal(await succeed('cat', [join(path, 'vdi/list')]), 'a text\nof two lines\n')
  const { blocks, bfree, bsize } = await statfs(path)
  assert.deepEqual([blocks * bsize, bfree * bsize], [3 * 2 ** 44, 2 ** 44])
  const missing = await run('cat', [join(path, 'volume/nosuch')])
  assert.match(missing.stderr, /No such file/)
})

test('a control file takes what is written to it, and nothing else can be made', WITH_MOUNT, async (t) => {
  const { path, tree } = await mountMemory(t)
  await succeed('sh', ['-c', 'echo 1 > "$1"', 'sh', join(path, 'config/page_cache')])
  assert.equal(tree.pageCache.text, '1\n')
  for (const [program, ...names] of [
    ['touch', 'new'],
    ['mkdir', 'new'],
    ['rm', 'volume/test'],
    ['mv', 'vdi', 'new'],
  ] as const) {
    const { stderr } = await run(
      program,
      names.map((name) => join(path, name)),
    )
    assert.match(stderr, /not permitted/i, program)
  }
})

for (const caching of ['direct', 'cached'] as const) {
  for (const blockSize of ['777', '4k', '64k', '1M', '3M']) {
    test(`dd bs=${blockSize} writes what cmp reads, ${caching}`, WITH_MOUNT, async (t) => {
      const { stage, volume, tree } = await mountMemory(t, { caching, size: 2 * MEBIBYTE, writeBack: true })
      const data = randomBytes(2 * MEBIBYTE)
      const source = join(await stage.folder(), 'data')
      await writeFile(source, data)
      await succeed('dd', [`if=${source}`, `of=${volume}`, `bs=${blockSize}`, 'conv=notrunc,fsync'])
      assert.ok(tree.volume.content.equals(data))
      assert.ok(tree.volume.syncs > 0)
      await succeed('cmp', [source, volume])
      await succeed('dd', [`if=${volume}`, `of=${source}.copy`, `bs=${blockSize}`])
      assert.ok((await readFile(`${source}.copy`)).equals(data))
    })
  }
}

test('O_DIRECT requests of 1 MiB arrive whole', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t)
  await succeed('dd', ['if=/dev/zero', `of=${volume}`, 'bs=1M', 'count=4', 'oflag=direct', 'conv=notrunc'])
  assert.equal(tree.volume.requests, 4)
})

test('direct writes of several programs are in flight at once', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t)
  tree.volume.latencyMs = 50
  const args = ['if=/dev/zero', `of=${volume}`, 'bs=4k', 'count=4', 'conv=notrunc']
  await Promise.all(Array.from({ length: 8 }, (_, index) => succeed('dd', [...args, `seek=${index * 4}`])))
  assert.ok(tree.parallelism.most >= 3, `${tree.parallelism.most} at once`)
})

test('the page cache with write-back joins small writes', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t, { caching: 'cached', writeBack: true })
  const file = await open(volume, 'r+')
  for (let index = 0; index < 64; index++) await file.write(Buffer.alloc(4096, index + 1), 0, 4096, index * 4096)
  const before = tree.volume.requests
  await file.sync()
  const { requests, content } = tree.volume
  assert.ok(requests >= 1 && requests <= 4, `${requests} requests`)
  assert.equal(before, 0)
  assert.equal(content[63 * 4096], 64)
  await file.close()
})

test('the page cache answers a second read, also after another open', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t, { caching: 'cached' })
  await succeed('cat', [volume])
  const first = tree.volume.requests
  assert.ok(first > 0)
  await succeed('cat', [volume])
  assert.equal(tree.volume.requests, first)
})

test('fallocate punches holes and zeroes', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t)
  tree.volume.content.fill(1)
  await succeed('fallocate', ['-p', '-o', '512', '-l', '8192', volume])
  await succeed('fallocate', ['-z', '-o', '65536', '-l', '4096', volume])
  assert.deepEqual(tree.volume.zeroed, [
    { position: 512, length: 8192, release: true },
    { position: 65536, length: 4096, release: false },
  ])
  assert.match((await run('fallocate', ['-l', '1G', volume])).stderr, /No space left/)
})

test('a copy skips the holes', WITH_MOUNT, async (t) => {
  const { volume, tree, stage } = await mountMemory(t, { size: 64 * MEBIBYTE })
  tree.volume.content.fill(7, 32 * MEBIBYTE, 33 * MEBIBYTE)
  const copy = join(await stage.folder(), 'copy')
  await succeed('cp', ['--sparse=auto', volume, copy])
  assert.ok((await readFile(copy)).equals(tree.volume.content))
  const { blocks } = await stat(copy)
  assert.ok(blocks * 512 <= 2 * MEBIBYTE, `${blocks} blocks`)
})

for (const [caching, writeBack] of [
  ['direct', false],
  ['cached', false],
  ['cached', true],
] as const) {
  const way = `${caching}${writeBack ? ', written back' : ''}`
  test(`what was there before a truncation to nothing is in no cache: ${way}`, WITH_MOUNT, async (t) => {
    const { volume, tree } = await mountMemory(t, { caching, writeBack })
    tree.volume.content.fill(9)
    const contents: Buffer[] = []
    t.mock.method(tree.volume, 'tellSize', () => contents.push(Buffer.from(tree.volume.content)))
    const told = JSON.parse(await succeed(process.execPath, [TRUNCATING_PROGRAM, volume])) as object
    const shownSize = SIZE + Number(writeBack) // nobody is there to tell the kernel of the true one
    assert.deepEqual(told, { before: [9, 9, 9, 9], after: [0, 0, 0, 0], atEnd: [0], shownSize })
    assert.deepEqual(contents, [Buffer.alloc(SIZE), Buffer.alloc(SIZE)])
    assert.deepEqual(tree.volume.content, Buffer.alloc(SIZE))
  })
}

test('another process keeps a volume from being truncated to nothing', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t)
  tree.volume.content.fill(9)
  for (const truncation of [': > "$0"', 'truncate -s 0 "$0"']) {
    const { stderr } = await run('sh', ['-c', `exec 3< "$0"; sh -c '${truncation}' "$0"`, volume])
    assert.match(stderr, /busy/i)
  }
  assert.equal(tree.volume.content[0], 9)
  await succeed('sh', ['-c', 'echo hello > "$1"', 'sh', volume])
  assert.equal(tree.volume.content.toString('latin1', 0, 7), 'hello\n\0')
  assert.match((await run('truncate', ['-s', '1K', volume])).stderr, /not permitted/)
  await succeed('truncate', ['-s', '16M', volume])
  assert.equal(tree.volume.content.toString('latin1', 0, 7), 'hello\n\0')
})

test('writing past the end says so, reading past it gives nothing', WITH_MOUNT, async (t) => {
  const { volume } = await mountMemory(t)
  const write = await run('dd', ['if=/dev/zero', `of=${volume}`, 'bs=4k', 'seek=4096', 'count=1', 'conv=notrunc'])
  assert.match(write.stderr, /No space left/)
  assert.equal(await succeed('dd', [`if=${volume}`, 'bs=4k', 'skip=4096', 'status=none']), '')
})

for (const caching of ['direct', 'cached'] as const) {
  test(`ext4 lives on a loop device over a file, ${caching}`, WITH_MOUNT, async (t) => {
    const { volume, stage, tree } = await mountMemory(t, { caching, writeBack: true, size: 64 * MEBIBYTE })
    const loop = await attachLoop(stage, volume)
    const { device } = loop
    await succeed('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0', device])
    assert.ok(tree.volume.zeroed.some(({ release }) => release))
    const directory = await stage.mountpoint()
    await succeed('mount', [device, directory])
    const data = randomBytes(8 * MEBIBYTE)
    await writeFile(join(directory, 'data'), data)
    await succeed('umount', [directory])
    await succeed('mount', [device, directory])
    assert.ok((await readFile(join(directory, 'data'))).equals(data))
    await succeed('umount', [directory])
    await succeed('e2fsck', ['-fn', device])
    await loop.detach()
  })
}

test('a new size shows at once when the kernel is told', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t)
  assert.equal((await stat(volume)).size, 16 * MEBIBYTE)
  tree.volume.content = Buffer.alloc(32 * MEBIBYTE)
  tree.emit({ kind: 'attributes', node: tree.volume.id, size: 32 * MEBIBYTE })
  assert.equal((await stat(volume)).size, 32 * MEBIBYTE)
})

test('new content shows when the kernel is told, also while a cached read waits', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t, { caching: 'cached', size: 4 * MEBIBYTE })
  await succeed('cat', [volume])
  tree.volume.content.fill(1)
  tree.emit({ kind: 'content', node: tree.volume.id })
  await until(async () => (await readFile(volume))[0] === 1)
  tree.emit({ kind: 'content', node: tree.volume.id })
  tree.volume.latencyMs = 200
  const reading = readFile(volume)
  await until(() => Promise.resolve(tree.parallelism.now > 0))
  tree.volume.content.fill(2)
  tree.emit({ kind: 'content', node: tree.volume.id })
  await reading
  await until(async () => (await readFile(volume))[0] === 2)
})

test('a name that is removed is gone at once', WITH_MOUNT, async (t) => {
  const { volume, tree } = await mountMemory(t)
  await stat(volume)
  tree.volumes.remove('test')
  tree.emit({ kind: 'entry-removed', parent: tree.volumes.id, name: 'test', node: tree.volume.id })
  await until(() =>
    stat(volume).then(
      () => false,
      (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT',
    ),
  )
})

test('a program that is interrupted while it waits leaves the mount unharmed', WITH_MOUNT, async (t) => {
  const { volume, tree, stage } = await mountMemory(t)
  tree.volume.latencyMs = 300
  const reader = stage.start('cat', [volume])
  await until(() => Promise.resolve(tree.parallelism.now > 0))
  reader.kill('SIGKILL')
  await new Promise((resolve) => reader.once('exit', resolve))
  tree.volume.latencyMs = 0
  await succeed('cat', [volume])
})

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(5)
}
