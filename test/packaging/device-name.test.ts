import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { deviceLink, namesOf, writeTrees } from '../../src/daemon/device/device-link.ts'
import { volumeName } from '../../src/tree/volume-name.ts'
import { succeed } from '../e2e/stage/program.ts'

const PROGRAM = join(import.meta.dirname, '../../../systemd/device-name')
const limit = { timeout: 60_000 }
/** Shells whose printf, reading and expansion differ: /bin/sh is one of them. */
const SHELLS = ['dash', 'bash'].filter((shell) => existsSync(`/bin/${shell}`))
/** What udev takes in the name of a link. */
const OF_UDEV = /^(?:[A-Za-z0-9#+\-.:=@_/\u0080-\u{10ffff}]|\\x[0-9A-F]{2})+$/u

/** What the program says of loop7 over `file`, in each shell. */
async function stage(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'device-name-'))
  t.after(() => rm(folder, { recursive: true }))
  const loop = join(folder, 'block/loop7/loop')
  await mkdir(loop, { recursive: true })
  for (const instance of ['a', 'b']) await mkdir(join(folder, instance))
  const ask = async (file: string, offset = 0, sizeLimit = 0): Promise<string> => {
    await writeFile(join(loop, 'backing_file'), `${file}\n`)
    await writeFile(join(loop, 'offset'), `${offset}\n`)
    await writeFile(join(loop, 'sizelimit'), `${sizeLimit}\n`)
    const settings = [`SHEEPFS_TEST_SYS=${folder}`, `SHEEPFS_RUNTIME_DIR=${folder}`]
    const said = await Promise.all(SHELLS.map((shell) => succeed('env', [...settings, shell, PROGRAM, 'loop7'])))
    assert.equal(new Set(said).size, 1, said.join())
    return (said[0] ?? '').replace(/^SHEEPFS_NAME=|\n$/g, '')
  }
  return { folder, ask }
}

test('a device has the name that the daemon tells of, whatever its volume is called', limit, async (t) => {
  const { folder, ask } = await stage(t)
  await writeTrees(join(folder, 'a/trees'), [
    { folder: '/srv/a b\\/volume', names: namesOf('a', 'a') },
    { folder: '/srv/two/volume', names: namesOf('a', 'two') },
  ])
  const ascii = String.fromCharCode(...Array.from({ length: 127 }, (_, code) => code + 1))
  for (const vdi of [ascii, '-rf', '..', 'ü€\u{1f411}', "a'b", '\\x20', '%n$(id)', ' lead and trail ']) {
    const { text } = volumeName(Buffer.from(vdi), Buffer.from('a/b c'))
    const name = await ask(`/srv/a b\\/volume/${text}`)
    assert.equal(`/dev/disk/by-sheepdog/${name}`, deviceLink('a', text))
    assert.match(name, OF_UDEV)
  }
  assert.equal(await ask('/srv/two/volume/web01'), 'a:two/web01')
})

test('what is no whole volume of a daemon has no name', limit, async (t) => {
  const { folder, ask } = await stage(t)
  await writeTrees(join(folder, 'b/trees'), [{ folder: '/srv/b/volume', names: 'b' }])
  assert.equal(await ask('/srv/b/volume/x'), 'b/x')
  assert.equal(await ask('/srv/b/volume/x', 512), '')
  assert.equal(await ask('/srv/b/volume/x', 0, 512), '')
  for (const file of ['/srv/b/volume', '/srv/b/x', '/srv/b/volume/x/y', '/volume/x', 'x', '/srv/c.img']) {
    assert.equal(await ask(file), '', file)
  }
})

test(
  'the mounts of a daemon are told of as a whole, and one whose path cannot be written is left out',
  limit,
  async (t) => {
    const { folder, ask } = await stage(t)
    const path = join(folder, 'a/trees')
    for (let i = 0; i < 10; i++) {
      await Promise.all(
        [1, 2].map(() =>
          writeTrees(path, [
            { folder: '/a\tb', names: 'a' },
            { folder: '/c', names: `a:${i}` },
          ]),
        ),
      )
    }
    assert.equal(await ask('/c/x'), 'a:9/x')
    assert.deepEqual(await readdir(join(folder, 'a')), ['trees'])
  },
)
