import assert from 'node:assert/strict'
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readConfig } from '../../src/daemon/config/config.ts'
import { checkTrusted } from '../../src/daemon/config/trusted-path.ts'

const CONFIG = 'sheep = ["10.0.0.1"]\n[[mount]]\nmountpoint = "/srv/m"\n'
const AS_ROOT = { skip: process.geteuid?.() === 0 ? false : 'only root gives files away' }

async function place(t: TestContext): Promise<{ folder: string; file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'a/b'), { recursive: true })
  const file = join(folder, 'a/b/c.toml')
  await writeFile(file, CONFIG)
  return { folder, file }
}

const refused = (pattern: RegExp) => (error: Error & { code?: string }) => {
  assert.equal(error.code, 'not-permitted')
  assert.match(error.message, pattern)
  return true
}

test('a configuration that everybody may write, or replace, is refused with what to do', async (t) => {
  const { folder, file } = await place(t)
  const read = () => readConfig({ file, instance: 'c' })
  await read()
  for (const open of [file, join(folder, 'a/b'), join(folder, 'a')]) {
    await chmod(open, 0o777)
    await assert.rejects(read(), refused(new RegExp(`may be written by everybody: run "chmod go-w ${open}"`)))
    await chmod(open, 0o755)
  }
  await chmod(join(folder, 'a'), 0o1777) // as /tmp
  await read()
})

test('of a directory that is written to, nobody else is a writer, sticky or not', async (t) => {
  const { folder } = await place(t)
  await chmod(join(folder, 'a/b'), 0o1777)
  await assert.rejects(checkTrusted(join(folder, 'a/b')), refused(/everybody/))
})

test('the files of another user or group are refused, also behind a link', AS_ROOT, async (t) => {
  const { folder, file } = await place(t)
  const link = join(folder, 'link.toml')
  await symlink(file, link)
  await checkTrusted(link)
  await chown(file, 4711, 0)
  await assert.rejects(checkTrusted(link), refused(/its owner, user 4711: run "chown root /))
  await chown(file, 0, 4711)
  await chmod(file, 0o664)
  await assert.rejects(checkTrusted(file), refused(/group 4711/))
  await chmod(file, 0o644)
  await checkTrusted(file)
})
