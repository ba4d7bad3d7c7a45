import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { ServedMount, mountEntries, users } from './served-mount.ts'

const LIMIT = { timeout: 30_000 }

for (const user of users()) {
  describe(`fuse-native and ${user.name}`, { skip: user.skip, timeout: 120_000 }, () => {
    let mount = new ServedMount(user)
    beforeEach(() => {
      mount = new ServedMount(user)
      mount.prepare()
    })
    afterEach(() => mount.cleanUp())

    test('a mount that somebody unmounts outside ends, and so does its process', LIMIT, async () => {
      await mount.start()
      assert.equal((await mount.run('fusermount', '-u', mount.mountpoint)).status, 0)
      assert.deepEqual(await mount.answer(), { value: 'ended' })
      assert.equal(await mount.exit(), 0)
    })

    test('a mount that is unmounted lazily lasts until its last file is closed', LIMIT, async () => {
      await mount.start()
      const holder = mount.hold(`exec 3<${mount.volume}; echo open; read _; head -c 3 <&3 | wc -c`)
      await once(holder.stdout ?? holder, 'data')
      await mount.run('fusermount', '-u', '-z', mount.mountpoint)
      assert.equal((await mount.ask('unmount')).code, 'busy')
      holder.stdin?.end('go\n')
      assert.deepEqual(await mount.answer(), { value: 'ended' })
      assert.equal(await mount.exit(), 0)
    })

    const hasControl = user.name === 'root' || mountEntries().some((line) => line.includes(' - fusectl '))
    const noControl = hasControl ? false : 'fusectl is not mounted'
    test('abort fails what is in flight and leaves nothing mounted', { ...LIMIT, skip: noControl }, async () => {
      await mount.start()
      await mount.ask('latency=1500')
      const reading = mount.run('dd', `if=${mount.volume}`, 'bs=4k', 'count=1')
      while (nowOf((await mount.ask('counts')).value) === 0);
      assert.deepEqual(await mount.ask('abort'), { value: null })
      assert.match((await reading).stderr, /Software caused connection abort|endpoint is not connected/)
      assert.ok(mountEntries().every((line) => !line.includes(mount.mountpoint)))
      assert.deepEqual(await mount.answer(), { value: 'ended' })
      assert.equal(await mount.exit(), 0)
    })

    test('a name with a blank and a symbolic link on the way are mounted where they lead', LIMIT, async () => {
      const link = join(mount.directory, 'a link')
      symlinkSync(mount.mountpoint, link)
      assert.deepEqual(await mount.start({ mountpoint: link }), { value: 'mounted' })
      mount.tell('unmount')
      await mount.answer()
      assert.equal(await mount.exit(), 0)
    })

    test('says that a mountpoint is missing, no directory, or in use', LIMIT, async () => {
      const none = await mount.start({ mountpoint: join(mount.directory, 'none') })
      assert.deepEqual([none.code, /"(.*)" does not exist/.test(none.message ?? '')], ['not-found', true])
      const file = join(mount.directory, 'file')
      writeFileSync(file, '')
      assert.equal((await mount.start({ mountpoint: file })).code, 'invalid')
      const proc = await mount.start({ mountpoint: '/proc' })
      assert.deepEqual([proc.code, proc.message?.includes('is in use')], ['busy', true])
    })

    if (user.name !== 'root') {
      test('says that nothing can be mounted without fusermount', LIMIT, async () => {
        const path = process.env['PATH']
        process.env['PATH'] = mount.directory
        const answer = await mount.start()
        process.env['PATH'] = path
        assert.equal(answer.code, 'not-supported')
        assert.match(answer.message ?? '', /install the package fuse3/)
      })

      test('says what an ordinary user lacks', LIMIT, async () => {
        chmodSync(mount.mountpoint, 0o500)
        const answer = await mount.start()
        assert.equal(answer.code, 'not-permitted')
        assert.match(answer.message ?? '', /must be writable/)
      })
    }

    if (user.name !== 'root' && !allowsOther()) {
      test('allow_other needs user_allow_other in /etc/fuse.conf', LIMIT, async () => {
        const answer = await mount.start({ allowOther: true })
        assert.equal(answer.code, 'not-permitted')
        assert.match(answer.message ?? '', /"user_allow_other"/)
      })
    }

    test('a source and a mountpoint too long for fuse-native are refused, not cut', LIMIT, async () => {
      assert.equal((await mount.start({ source: 'x'.repeat(900) })).code, 'name-too-long')
    })
  })
}

function allowsOther(): boolean {
  return existsSync('/etc/fuse.conf') && /^user_allow_other$/m.test(readFileSync('/etc/fuse.conf', 'utf8'))
}

function nowOf(counts: unknown): number {
  return (counts as { now: number }).now
}
