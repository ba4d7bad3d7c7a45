import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import {
  chmod,
  chown,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { missing, TESTED_ENGINES } from './stage/ability.ts'
import { attachLoop } from './stage/loop.ts'
import { succeed } from './stage/program.ts'
import { addressText } from '../../src/sheep/address.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { control, startSheepfs, type Sheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const VOLUME_SIZE = 16 * 2 ** 20

for (const engine of TESTED_ENGINES) {
  describe(`the tree, ${engine}`, { skip: missing('fuse', 'root'), timeout: 120_000 }, () => {
    const stage = new Stage()
    let sheep: Sheep
    let sheepfs: Sheepfs
    let name: string
    before(async () => {
      sheep = await startSheep(stage)
      name = await sheep.createVdi(VOLUME_SIZE)
      sheepfs = await startSheepfs(stage, { sheep, engine, attach: [name] })
    })
    after(() => stage.close())

    test('attaching a VDI that does not exist is ENOENT', async () => {
      await assert.rejects(control(sheepfs, 'vdi/mount', 'nosuch'), { code: 'ENOENT', syscall: 'write' })
    })

    test('what is written to vdi/mount never reaches a shell', async () => {
      const file = join(await stage.folder(), 'pwned')
      await assert.rejects(control(sheepfs, 'vdi/mount', `x; touch ${file} #`), { code: 'ENOENT', syscall: 'write' })
      await assert.rejects(control(sheepfs, 'vdi/mount', `$(touch ${file})`), { code: 'ENOENT', syscall: 'write' })
      assert.equal(existsSync(file), false)
    })

    test('a volume that is opened with truncation reads as zeros and keeps its size', async () => {
      const before = Buffer.alloc(8192, 'before')
      await writeFile(sheepfs.volume(name), before, { flag: 'r+' })
      await succeed('sh', ['-c', 'echo hello > "$0"', sheepfs.volume(name)])
      const expected = Buffer.alloc(before.length)
      expected.write('hello\n')
      assert.deepEqual(await readSome(sheepfs.volume(name), 0, before.length), expected)
      assert.equal((await stat(sheepfs.volume(name))).size, VOLUME_SIZE)
    })

    test('a volume below a loop device is not truncated', { skip: missing('loop') }, async () => {
      const path = sheepfs.volume(name)
      await writeFile(path, 'mounted', { flag: 'r+' })
      const loop = await attachLoop(stage, path)
      await assert.rejects(truncate(path, 0), { code: 'EBUSY' })
      await assert.rejects(writeFile(path, ''), { code: 'EBUSY' })
      await loop.detach()
      assert.equal((await readSome(path, 0, 7)).toString(), 'mounted')
      await truncate(path, 0)
      assert.deepEqual(await readSome(path, 0, 7), Buffer.alloc(7))
    })

    test('mode and owner of a volume are what they are, and its times are set', async () => {
      const path = sheepfs.volume(name)
      const { mode, uid, gid } = await stat(path)
      await chmod(path, mode)
      await chown(path, uid, gid)
      await utimes(path, 1, 1)
      await assert.rejects(chmod(path, 0o666), { code: 'EPERM' })
      await assert.rejects(chown(path, uid + 1, gid), { code: 'EPERM' })
      await assert.rejects(chown(path, uid, gid + 1), { code: 'EPERM' })
      await assert.rejects(chmod(sheepfs.path('volume'), 0o777), { code: 'EPERM' })
      await assert.rejects(chmod(sheepfs.path('vdi', 'mount'), 0o666), { code: 'EPERM' })
      assert.equal((await stat(path)).mode, mode)
    })

    test('a volume cannot be shrunk', async () => {
      await assert.rejects(truncate(sheepfs.volume(name), 1024), { code: 'EPERM' })
      assert.equal((await stat(sheepfs.volume(name))).size, VOLUME_SIZE)
    })

    test('reading past the end gives nothing and writing there is ENOSPC', async () => {
      assert.equal((await readSome(sheepfs.volume(name), VOLUME_SIZE, 4096)).length, 0)
      assert.equal((await readSome(sheepfs.volume(name), VOLUME_SIZE - 100, 4096)).length, 100)
      const file = await open(sheepfs.volume(name), 'r+')
      try {
        await assert.rejects(file.write(Buffer.alloc(512), 0, 512, VOLUME_SIZE), { code: 'ENOSPC' })
        assert.equal((await file.write(Buffer.alloc(512), 0, 512, VOLUME_SIZE - 100)).bytesWritten, 100)
      } finally {
        await file.close()
      }
    })

    test('a volume comes with vdi/mount and goes with vdi/unmount', async () => {
      const other = await sheep.createVdi(VOLUME_SIZE * 2)
      await control(sheepfs, 'vdi/mount', other)
      assert.equal((await stat(sheepfs.volume(other))).size, VOLUME_SIZE * 2)
      await control(sheepfs, 'vdi/mount', other)
      assert.deepEqual((await readdir(sheepfs.path('volume'))).sort(), [name, other].sort())
      const file = await open(sheepfs.volume(other), 'r')
      await assert.rejects(control(sheepfs, 'vdi/unmount', other), { code: 'EBUSY', syscall: 'write' })
      await file.close()
      await control(sheepfs, 'vdi/unmount', other)
      await assert.rejects(stat(sheepfs.volume(other)), { code: 'ENOENT' })
      await assert.rejects(control(sheepfs, 'vdi/unmount', other), { code: 'ENOENT', syscall: 'write' })
    })

    test('text files have their true size and read alike in any block size', async () => {
      for (const file of ['cluster/info', 'node/list', 'node/info', 'vdi/list', 'config/sheep_info']) {
        const text = await readFile(sheepfs.path(file), 'utf8')
        assert.equal((await stat(sheepfs.path(file))).size, Buffer.byteLength(text), file)
        assert.equal(await succeed('dd', [`if=${sheepfs.path(file)}`, 'bs=7', 'status=none']), text, file)
        assert.equal(await succeed('tail', ['-c', '5', sheepfs.path(file)]), text.slice(-5), file)
      }
      assert.equal(await readFile(sheepfs.path('config/sheep_info'), 'utf8'), `${addressText(sheep.address)}\n`)
      assert.match(await readFile(sheepfs.path('vdi/list'), 'utf8'), new RegExp(name))
    })

    test('the size of a text file follows its text', async () => {
      const list = sheepfs.path('vdi/list')
      const { size } = await stat(list)
      const other = await sheep.createVdi(VOLUME_SIZE)
      while (!(await readFile(list, 'utf8')).includes(other)) await delay(100)
      const now = await stat(list)
      assert.equal(now.size, (await readFile(list)).length)
      assert.ok(now.size > size)
    })

    test('ls, stat, df and du work on all of it', async () => {
      const listing = await succeed('ls', ['-lR', sheepfs.mountpoint])
      for (const file of ['info', 'list', 'mount', 'unmount', 'page_cache', 'object_cache', 'sheep_info', name]) {
        assert.match(listing, new RegExp(`^-r.*\\b${file}$`, 'm'))
      }
      const columns = (await succeed('df', ['--output=size,used,avail', sheepfs.mountpoint])).trim().split('\n').at(-1)
      assert.ok(
        columns
          ?.trim()
          .split(/\s+/)
          .every((column) => Number(column) > 0 || column === '0'),
      )
      await succeed('du', ['-a', sheepfs.mountpoint])
    })

    test('nothing can be created, renamed or removed', async () => {
      await assert.rejects(writeFile(sheepfs.path('volume/new'), 'x'), { code: 'EPERM' })
      await assert.rejects(mkdir(sheepfs.path('new')), { code: 'EPERM' })
      await assert.rejects(rename(sheepfs.volume(name), sheepfs.volume('new')), { code: 'EPERM' })
      await assert.rejects(rm(sheepfs.volume(name)), { code: 'EPERM' })
      assert.equal((await stat(sheepfs.volume(name))).size, VOLUME_SIZE)
    })

    test('a cache switch takes 0 and 1 and refuses nonsense', async () => {
      assert.equal(await readFile(sheepfs.path('config/page_cache'), 'utf8'), '0\n')
      await assert.rejects(control(sheepfs, 'config/page_cache', 'maybe'), { code: 'EINVAL', syscall: 'write' })
      if (engine === 'fuse-native') {
        await assert.rejects(control(sheepfs, 'config/page_cache', '1'), { code: 'ENOTSUP', syscall: 'write' })
        return
      }
      await control(sheepfs, 'config/page_cache', '1')
      assert.equal(await readFile(sheepfs.path('config/page_cache'), 'utf8'), '1\n')
      await control(sheepfs, 'config/page_cache', '0')
    })
  })
}

async function readSome(path: string, position: number, length: number): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
