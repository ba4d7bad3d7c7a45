import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseMountOptions } from '../../src/cli/mount/mount-options.ts'
import { parseMountSource } from '../../src/cli/mount/mount-source.ts'
import { missing } from '../e2e/stage/ability.ts'
import { run } from '../e2e/stage/program.ts'
import { Stage } from '../e2e/stage/stage.ts'

const ROOT = join(import.meta.dirname, '../../..')
const STAGE = join(ROOT, 'test/packaging/stage')
/** The pages whose commands are for users, in the order in which they are executed. */
const PAGES = ['README.md', 'docs/volumes.md', 'docs/operations.md', 'docs/migrating.md', 'docs/troubleshooting.md']
const NEEDS = missing(
  'root',
  'fuse',
  'loop',
  'mkfs',
  'qemuImg',
  'ip',
  'borg',
  'restic',
  'tgtd',
  'qemuIscsi',
  'sdNotify',
)
/** Pages whose commands have a test of their own. */
const TESTED_ELSEWHERE = ['docs/control-api.md']

/** What the pages presume: an image of a disk with one partition, and more than the rights that a container has. */
const BEFORE = String.raw`
may_resize() { ((0x$(sed -n 's/^CapEff:\s*//p' /proc/self/status) >> 24 & 1)); } # CAP_SYS_RESOURCE
resize2fs() { if may_resize; then command resize2fs "$@"; fi; }
shape() { sed -E 's/[0-9.]+/N/g; s/ +/ /g' "$1"; }
truncate --size=64M raw
mkfs.ext4 -q -E offset=1048576 raw 63M
printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\370\001\0' | dd of=raw bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of=raw bs=1 seek=510 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 raw disk.qcow2
`
/** What docs/migrating.md presumes: a VDI that only tgtd has written to, exported as the page shows it. */
const BEFORE_MIGRATION = String.raw`
sheepfsctl vdi create vm02 64M
head -c 8M /dev/urandom >by-tgt
tgtd --iscsi portal=10.0.0.1:3260
until tgtadm --op show --mode target; do sleep 0.1; done # it tells nobody when it listens
${blocksOf('docs/migrating.md').find(({ text }) => text.startsWith('tgtadm'))?.text ?? ''}qemu-img convert -n -f raw -O raw by-tgt iscsi://10.0.0.1/iqn.2026-11.example:vm02/1
`
/** What must be so at the end. */
const AFTER = `
cmp -n 2097152 by-tgt /srv/sheep/cluster1/volume/vm02
tgt-admin --delete iqn.2026-11.example:vm02
tgtadm --op delete --mode system
test "$(blockdev --getsize64 "$(findmnt -no SOURCE /srv/web01)")" = $((40 << 30))
! may_resize || test "$(stat -f -c %b /srv/web01)" -gt $((30 << 18))
umount /srv/web01
test -z "$(losetup --noheadings --list --output NAME --associated /srv/sheep/cluster1/volume/web01)"
`

interface Block {
  readonly language: string
  readonly text: string
}

/** The pieces of a page that are not prose, in order. */
function blocksOf(page: string): Block[] {
  const blocks = readFileSync(join(ROOT, page), 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)
  return Array.from(blocks, ([, language = '', text = '']) => ({ language, text }))
}

/** The commands of a page. What an `output` block shows is what the commands before it print, but for the numbers. */
function scriptOf(page: string): string {
  const blocks = blocksOf(page)
  return blocks
    .map(({ language, text }, at) => {
      const next = blocks[at + 1]
      if (language !== 'sh') return ''
      if (next?.language !== 'output') return text
      return `{\n${text}} >printed\ncat >promised <<'PROMISED'\n${next.text}PROMISED\ndiff <(shape promised) <(shape printed)\n`
    })
    .join('')
}

test(
  'every command of README.md and of the pages for users works, one after the other',
  { timeout: 480_000, skip: NEEDS },
  async (t) => {
    const stage = new Stage()
    t.after(() => stage.close())
    const [base, folder] = [await stage.folder(), await stage.folder()]
    const before = (page: string): string => (page === 'docs/migrating.md' ? BEFORE_MIGRATION : '')
    const commands = PAGES.map((page) => before(page) + scriptOf(page)).join('\n')
    // one of its two sheep is not there, and doctor says so
    const script = [BEFORE, commands.replace(/^sheepfsctl doctor$/m, '$& || test $? = 8'), AFTER].join('\n')
    await writeFile(join(folder, 'script'), script)
    const args = [join(STAGE, 'private-root.sh'), ROOT, base, join(STAGE, 'systemctl.sh'), join(folder, 'script')]
    const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    const { status, stdout, stderr } = await run('unshare', [...namespaces, 'bash', ...args], { limitMs: 460_000 })
    assert.equal(status, 0, `${stdout}${stderr}`.slice(-4000))
  },
)

test('no page has commands that no test executes', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)]
  const tested = [...PAGES, ...TESTED_ELSEWHERE]
  const untested = pages.filter((page) => page.endsWith('.md') && !tested.includes(page))
  assert.deepEqual(
    untested.filter((page) => blocksOf(page).some(({ language }) => ['sh', 'bash', 'output'].includes(language))),
    [],
  )
})

test('README.md is read in one go', () => {
  const lines = readFileSync(join(ROOT, 'README.md'), 'utf8').trimEnd().split('\n').length
  assert.ok(lines <= 120, `${lines} lines, at most 120 are wanted`)
})

test('the lines for /etc/fstab are understood', () => {
  const fstab = blocksOf('docs/volumes.md').map(({ text }) => text).join('\n') // prettier-ignore
  const manual = readFileSync(join(ROOT, 'packaging/man/mount.sheepfs.8'), 'utf8')
  const lines = `${fstab}${manual}`.split('\n').filter((line) => /^[^#].* sheepfs .* 0 0$/.test(line))
  assert.equal(lines.length, 9)
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
