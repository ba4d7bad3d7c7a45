import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseMountOptions } from '../../src/cli/mount/mount-options.ts'
import { parseMountSource } from '../../src/cli/mount/mount-source.ts'
import { missing } from '../e2e/stage/ability.ts'
import { run } from '../e2e/stage/program.ts'
import { Stage } from '../e2e/stage/stage.ts'

const ROOT = join(import.meta.dirname, '../../..')
const STAGE = join(ROOT, 'test/packaging/stage')

/** What the page presumes: an image of a disk with one partition, and more than the rights that a container has. */
const BEFORE = String.raw`
may_resize() { ((0x$(sed -n 's/^CapEff:\s*//p' /proc/self/status) >> 24 & 1)); } # CAP_SYS_RESOURCE
resize2fs() { if may_resize; then command resize2fs "$@"; fi; }
truncate --size=64M raw
mkfs.ext4 -q -E offset=1048576 raw 63M
printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\370\001\0' | dd of=raw bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of=raw bs=1 seek=510 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 raw disk.qcow2
`
/** What must be so at the end. */
const AFTER = `
test "$(blockdev --getsize64 "$(findmnt -no SOURCE /srv/web01)")" = $((40 << 30))
! may_resize || test "$(stat -f -c %b /srv/web01)" -gt $((30 << 18))
umount /srv/web01
test -z "$(losetup --noheadings --list --output NAME --associated /srv/sheep/cluster1/volume/web01)"
`

/** The pieces of a page in one language, in order. */
async function blocksOf(page: string, language: string): Promise<string[]> {
  const text = await readFile(join(ROOT, page), 'utf8')
  return Array.from(text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms')), ([, block = '']) => block)
}

test(
  'every command of README.md works, one after the other',
  { timeout: 480_000, skip: missing('root', 'fuse', 'loop', 'mkfs', 'qemuImg', 'ip', 'sdNotify') },
  async (t) => {
    const stage = new Stage()
    t.after(() => stage.close())
    const [base, folder] = [await stage.folder(), await stage.folder()]
    const commands = (await blocksOf('README.md', 'sh')).join('\n')
    // one of its two sheep is not there, and doctor says so
    const script = [BEFORE, commands.replace(/^sheepfsctl doctor$/m, '$& || test $? = 8'), AFTER].join('\n')
    await writeFile(join(folder, 'script'), script)
    const args = [join(STAGE, 'private-root.sh'), ROOT, base, join(STAGE, 'systemctl.sh'), join(folder, 'script')]
    const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    const { status, stdout, stderr } = await run('unshare', [...namespaces, 'bash', ...args], { limitMs: 460_000 })
    assert.equal(status, 0, `${stdout}${stderr}`.slice(-4000))
  },
)

test('the lines for /etc/fstab are understood', async () => {
  const fstab = (await blocksOf('README.md', 'text')).find((block) => block.includes('_netdev')) ?? ''
  const manual = await readFile(join(ROOT, 'packaging/man/mount.sheepfs.8'), 'utf8')
  const lines = `${fstab}${manual}`.split('\n').filter((line) => line.endsWith(' 0 0'))
  assert.equal(lines.length, 8)
  for (const line of lines) {
    const [source = '', directory = '', type, options = ''] = line.split(/\s+/)
    const { rest } = parseMountOptions(options, parseMountSource(source))
    assert.deepEqual([type, directory.startsWith('/')], ['sheepfs', true], line)
    const known = ['_netdev', 'nofail', 'noauto', 'noatime', 'ro', 'noload']
    assert.deepEqual(
      rest.filter((option) => !known.includes(option)),
      [],
      line,
    )
  }
})
