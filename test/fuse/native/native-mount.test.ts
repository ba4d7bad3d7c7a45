import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ServedMount, hasProgram, mountEntries, users } from './served-mount.ts'

const LIMIT = { timeout: 30_000 }

for (const user of users()) {
  describe(`a tree that ${user.name} mounts with fuse-native`, { skip: user.skip, timeout: 60_000 }, () => {
    const mount = new ServedMount(user)
    const { volume } = mount
    const list = join(mount.mountpoint, 'vdi/list')
    const scratch = join(mount.directory, 'scratch')

    before(async () => {
      mount.prepare()
      assert.deepEqual(await mount.start(), { value: 'mounted' })
      assert.equal((await mount.run('dd', 'if=/dev/urandom', `of=${scratch}`, 'bs=1M', 'count=8')).status, 0)
    })
    after(() => mount.cleanUp())

    test('shows in the mount table with its source and type', LIMIT, () => {
      const entry = mountEntries().find((line) => line.includes(` ${mount.mountpoint} `))
      assert.match(entry ?? '', / - fuse\.sheepfs memory /)
    })

    test('lists directories, sizes, inodes and times', LIMIT, async () => {
      const root = await mount.run('ls', '-1', mount.mountpoint)
      assert.equal(root.stdout, 'config\nvdi\nvolume\n')
      const long = await mount.run('ls', '-lin', '--time-style=+%F', join(mount.mountpoint, 'volume'))
      assert.match(long.stdout, / *10 -rw-r--r-- 1 \d+ \d+ 67108864 2024-02-29 test\n/)
      const stat = await mount.run('stat', '-c', '%s %b %o %F', volume)
      assert.equal(stat.stdout, '67108864 8 1048576 regular file\n')
    })

    test('shows the space of a cluster beyond 16 TiB', LIMIT, async () => {
      const df = await mount.run('df', '-B', '1', '--output=size,avail', mount.mountpoint)
      assert.deepEqual(df.stdout.trim().split(/\s+/).slice(-2).map(Number), [3 * 2 ** 44, 2 ** 44])
    })

    test('a text that shows size 0 reads in full, and anew at each open', LIMIT, async () => {
      assert.equal((await mount.run('cat', list)).stdout, 'a text\nof two lines\n')
      await mount.ask('text=another and longer text of one line')
      assert.equal((await mount.run('cat', list)).stdout, 'another and longer text of one line')
    })

    test('a control file takes what is written', LIMIT, async () => {
      const control = join(mount.mountpoint, 'config/page_cache')
      assert.equal((await mount.run('sh', '-c', `echo 1 > ${control}`)).status, 0)
      assert.equal((await mount.run('cat', control)).stdout, '1\n')
    })

    for (const blockSize of ['1M', '4k', '777']) {
      test(`dd with bs=${blockSize} writes and reads back the same bytes`, LIMIT, async () => {
        await mount.run('dd', `if=/dev/zero`, `of=${volume}`, 'bs=1M', 'count=9', 'conv=notrunc')
        const count = blockSize === '1M' ? 8 : 900
        const wrote = await mount.run('dd', `if=${scratch}`, `of=${volume}`, `bs=${blockSize}`, `count=${count}`)
        assert.equal(wrote.status, 0, wrote.stderr)
        const read = await mount.run('dd', `if=${volume}`, `of=${scratch}.back`, `bs=${blockSize}`, `count=${count}`)
        assert.equal(read.status, 0, read.stderr)
        const length = { '1M': 8 << 20, '4k': 900 << 12, '777': 900 * 777 }[blockSize] ?? 0
        assert.equal((await mount.run('cmp', '-n', String(length), scratch, `${scratch}.back`)).status, 0)
      })
    }

    test('tail -c reads the end', LIMIT, async () => {
      await mount.run('sh', '-c', `printf theend | dd of=${volume} bs=1 seek=$((67108864-6)) conv=notrunc`)
      assert.equal((await mount.run('tail', '-c', '6', volume)).stdout, 'theend')
    })

    test('truncation to 0 leaves zeros, to the same size everything, to less is refused', LIMIT, async () => {
      const shown = (bytes: number): Promise<string> =>
        mount.run('sh', '-c', `head -c ${bytes} ${volume} | tr '\\0' .`).then(({ stdout }) => stdout)
      const fill = `printf 'old content' | dd of=${volume} conv=notrunc status=none`
      for (const truncation of [`: > ${volume}`, `truncate -s 0 ${volume}`]) {
        const { status, stderr } = await mount.run('sh', '-c', `${fill} && head -c 1 ${volume} && ${truncation}`)
        assert.equal(status, 0, stderr)
        assert.equal(await shown(11), '...........', truncation)
      }
      assert.equal((await mount.run('sh', '-c', `${fill} && echo hello > ${volume}`)).status, 0)
      assert.equal((await mount.run('truncate', '-s', '64M', volume)).status, 0)
      assert.match((await mount.run('truncate', '-s', '1K', volume)).stderr, /Operation not permitted/)
      assert.equal((await mount.run('stat', '-c', '%s', volume)).stdout, '67108864\n')
      assert.equal(await shown(11), 'hello\n.....')
    })

    test('what somebody else has open is not truncated to 0', LIMIT, async () => {
      for (const truncation of ['true > "$0"', 'truncate -s 0 "$0"']) {
        const { status, stderr } = await mount.run('sh', '-c', `exec 3< "$0"; sh -c '${truncation}' "$0"`, volume)
        assert.notEqual(status, 0, truncation)
        assert.match(stderr, /busy/i, truncation)
      }
    })

    test('mode and owner stay: what they are is taken, and so are times', LIMIT, async () => {
      const owner = (await mount.run('stat', '-c', '%u:%g', volume)).stdout.trim()
      for (const [program, ...args] of [
        ['chmod', '644', volume],
        ['chown', owner, volume],
        ['touch', volume],
      ] as const) {
        const { status, stderr } = await mount.run(program, ...args)
        assert.equal(status, 0, stderr)
      }
      for (const [program, ...args] of [
        ['chmod', '755', mount.mountpoint],
        ['chmod', '600', volume],
        ['chown', '1', volume],
      ] as const) {
        const { status, stderr } = await mount.run(program, ...args)
        if (args[1] === mount.mountpoint) assert.equal(status, 0, stderr)
        else assert.match(stderr, /Operation not permitted/)
      }
    })

    test('names cannot be made, moved or removed', LIMIT, async () => {
      const folder = join(mount.mountpoint, 'volume')
      const attempts = [
        ['touch', join(folder, 'new')],
        ['mkdir', join(folder, 'new')],
        ['rm', '-f', volume],
        ['mv', volume, join(folder, 'new')],
        ['ln', volume, join(folder, 'new')],
        ['ln', '-s', 'x', join(folder, 'new')],
        ['rmdir', join(mount.mountpoint, 'vdi')],
      ] as const
      for (const [program, ...args] of attempts) {
        const { status, stderr } = await mount.run(program, ...args)
        assert.notEqual(status, 0, program)
        assert.match(stderr, /Operation not permitted/, program)
      }
      assert.match((await mount.run('cat', join(folder, 'none'))).stderr, /No such file/)
    })

    test('writing past the end fails with ENOSPC, reading there gives nothing', LIMIT, async () => {
      const past = await mount.run('dd', 'if=/dev/zero', `of=${volume}`, 'bs=1M', 'seek=64', 'count=1', 'conv=notrunc')
      assert.match(past.stderr, /No space left/)
      const across = await mount.run(
        'dd',
        `if=${scratch}`,
        `of=${volume}`,
        'bs=3M',
        'seek=21',
        'count=2',
        'conv=notrunc',
      )
      assert.match(across.stderr, /No space left/)
      assert.equal((await mount.run('dd', `if=${volume}`, 'bs=1M', 'skip=64')).stdout, '')
      assert.equal((await mount.run('stat', '-c', '%s', volume)).stdout, '67108864\n')
    })

    test('fsync reaches the volume', LIMIT, async () => {
      const { value: earlier } = await mount.ask('counts')
      await mount.run('dd', `if=${scratch}`, `of=${volume}`, 'bs=4k', 'count=1', 'conv=notrunc,fsync')
      const { value: later } = await mount.ask('counts')
      assert.equal(syncsOf(later), syncsOf(earlier) + 1)
    })

    test('reads run in parallel', LIMIT, async () => {
      await mount.ask('latency=50')
      const reads = Array.from({ length: 8 }, (_, i) =>
        mount.run('dd', `if=${volume}`, 'bs=4k', 'count=4', `skip=${i}`),
      )
      assert.deepEqual(
        (await Promise.all(reads)).map(({ status }) => status),
        Array<number>(8).fill(0),
      )
      await mount.ask('latency=0')
      const { value } = await mount.ask('counts')
      assert.ok(mostOf(value) > 1, `at most ${mostOf(value)} at once`)
    })

    const noFio = hasProgram('fio') ? false : 'fio is not installed'
    test('fio verifies random reads and writes of 8 jobs', { ...LIMIT, skip: noFio }, async () => {
      const fixed = ['--name=verify', `--filename=${volume}`, '--rw=randrw', '--bsrange=512-256k', '--verify=crc32c']
      const jobs = [
        '--numjobs=8',
        '--size=2M',
        '--offset_increment=2M',
        '--thread',
        '--verify_fatal=1',
        '--verify_state_save=0',
      ]
      const { status, stderr } = await mount.run('fio', ...fixed, ...jobs)
      assert.equal(status, 0, stderr)
    })

    const noMkfs = hasProgram('mkfs.ext4') ? false : 'mkfs.ext4 is not installed'
    if (user.name === 'root') {
      test('an ext4 file system lives on a loop device over it', { ...LIMIT, skip: noMkfs }, async () => {
        const loop = (await mount.run('losetup', '--find', '--show', volume)).stdout.trim()
        assert.match(loop, /^\/dev\/loop/)
        try {
          const made = await mount.run('mkfs.ext4', '-q', '-F', loop)
          assert.equal(made.status, 0, made.stderr)
          const checked = await mount.run('e2fsck', '-f', '-n', loop)
          assert.equal(checked.status, 0, checked.stdout)
          const { code, message } = await mount.ask('unmount')
          assert.equal(code, 'busy')
          assert.ok(message?.includes(loop), message)
        } finally {
          await mount.run('losetup', '-d', loop)
        }
      })
    }

    test('an open file outlives its name', LIMIT, async () => {
      const reader = mount.hold(`exec 3<${volume}; echo open; read _; stat -L -c %s /dev/fd/3; head -c 5 <&3 | wc -c`)
      await once(reader.stdout ?? reader, 'data')
      await mount.ask('detach')
      reader.stdin?.end('go\n')
      const output = (await reader.stdout?.toArray())?.join('')
      await mount.ask('attach')
      assert.equal(output, '67108864\n5\n')
    })

    test('unmounting is refused while a file is open, says who has it, and the mount works on', LIMIT, async () => {
      const holder = mount.hold(`exec 3<${volume}; echo open; read _; head -c 3 <&3`)
      await once(holder.stdout ?? holder, 'data')
      const { code, message } = await mount.ask('unmount')
      assert.equal(code, 'busy')
      assert.match(message ?? '', new RegExp(`in use by sh \\(pid ${holder.pid ?? 0}\\)`))
      assert.equal((await mount.run('head', '-c', '6', volume)).status, 0)
      holder.stdin?.end('go\n')
      await once(holder, 'exit')
    })

    test('unmounting leaves nothing behind, and the process ends by itself', LIMIT, async () => {
      mount.tell('unmount')
      const answers = [await mount.answer(), await mount.answer()]
      assert.deepEqual(new Set(answers.map(({ value }) => value)), new Set(['ended', null]))
      assert.equal(await mount.exit(), 0)
      assert.ok(mountEntries().every((line) => !line.includes(mount.mountpoint)))
    })
  })
}

function syncsOf(counts: unknown): number {
  return (counts as { syncs: number }).syncs
}

function mostOf(counts: unknown): number {
  return (counts as { most: number }).most
}
