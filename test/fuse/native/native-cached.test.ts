import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ServedMount, users } from './served-mount.ts'

const LIMIT = { timeout: 30_000 }

for (const user of users()) {
  describe(`a cached mount by ${user.name} with fuse-native`, { skip: user.skip, timeout: 60_000 }, () => {
    const mount = new ServedMount(user)
    const { volume } = mount
    const list = join(mount.mountpoint, 'vdi/list')

    before(async () => {
      mount.prepare()
      assert.deepEqual(await mount.start({ caching: 'cached' }), { value: 'mounted' })
    })
    after(() => mount.cleanUp())

    test('a text reads in full whatever size it shows, and anew at each open', LIMIT, async () => {
      assert.equal((await mount.run('cat', list)).stdout, 'a text\nof two lines\n')
      for (const text of ['0', '1', 'x'.repeat(200_000), '2']) {
        await mount.ask(`text=${text}`)
        assert.equal((await mount.run('cat', list)).stdout, text)
        assert.equal((await mount.run('tail', '-c', '1', list)).stdout, text.at(-1))
      }
    })

    test('a control file takes what is written', LIMIT, async () => {
      const control = join(mount.mountpoint, 'config/page_cache')
      for (const value of ['1', '0', '10']) {
        assert.equal((await mount.run('sh', '-c', `echo ${value} > ${control}`)).status, 0)
        assert.equal((await mount.run('cat', control)).stdout, `${value}\n`)
      }
    })

    test('what one writes, another reads', LIMIT, async () => {
      const scratch = join(mount.directory, 'scratch')
      await mount.run('dd', 'if=/dev/urandom', `of=${scratch}`, 'bs=1M', 'count=4')
      for (const blockSize of ['1M', '777']) {
        const written = await mount.run('dd', `if=${scratch}`, `of=${volume}`, `bs=${blockSize}`, 'conv=notrunc,fsync')
        assert.equal(written.status, 0, written.stderr)
        assert.equal((await mount.run('cmp', '-n', String(4 << 20), scratch, volume)).status, 0)
      }
    })

    test('a change of content behind the kernel shows at the next open', LIMIT, async () => {
      await mount.run('head', '-c', '5', volume)
      await mount.ask('change-content=first')
      assert.equal((await mount.run('head', '-c', '5', volume)).stdout, 'first')
      await mount.ask('change-content=other')
      assert.equal((await mount.run('head', '-c', '5', volume)).stdout, 'other')
    })

    test('writing past the end fails with ENOSPC and leaves the size', LIMIT, async () => {
      const past = await mount.run('dd', 'if=/dev/zero', `of=${volume}`, 'bs=1M', 'seek=64', 'count=1', 'conv=notrunc')
      assert.match(past.stderr, /No space left/)
      assert.equal((await mount.run('stat', '-c', '%s', volume)).stdout, '67108864\n')
    })
  })
}
