import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { run, succeed, type Outcome } from '../e2e/stage/program.ts'
import { lintRpm } from './stage/lint-rpm.ts'

const PACKAGING = join(import.meta.dirname, '../../../packaging')
const limit = { timeout: 300_000 }

/** Scriptlets run in a mount namespace of their own, where /run says that systemd runs. */
const IN_NAMESPACE = `
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/sheepfs/cluster1
node -e 'require("net").createServer().listen("/run/sheepfs/cluster1/control.sock", () => process.exit())'
PATH=$2:$PATH sh -e "$1" "$3"`

/** Programs that the scriptlets call, for what they say and to note what they were told. */
const STUBS = {
  systemctl: 'case $1 in list-units) echo "sheepfs@cluster1.service loaded active running" ;; show) echo 0 ;; esac',
  sheepfsctl: `case "$*" in *"mounts --json") echo '[{"name":"one"},{"name":"two"}]' ;; *two) exit 1 ;; esac`,
  'systemd-sysusers': '',
  'systemd-tmpfiles': '',
}

describe('the RPM package', { ...limit, skip: missing('rpmbuild', 'rpmlint', 'sdNotify') }, () => {
  let directory: string
  let rpm: string
  const query = (format: string): Promise<string> => succeed('rpm', ['-qp', '--queryformat', format, rpm])

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sheepfs-rpm-'))
    await succeed(process.execPath, [join(PACKAGING, 'package-rpm.mjs'), directory], { limitMs: 250_000 })
    const built = await readdir(join(directory, 'RPMS'), { recursive: true })
    rpm = join(directory, 'RPMS', built.find((name) => name.endsWith('.rpm')) ?? assert.fail('no package'))
  }, limit)
  after(() => rm(directory, { recursive: true, force: true }), limit)

  /** Runs a scriptlet with the argument that rpm gives it. */
  async function runScriptlet(tag: string, argument: string): Promise<Outcome & { calls: string }> {
    const [script, calls, bin] = [join(directory, tag), join(directory, 'calls'), join(directory, 'bin')]
    const installed = /\S*\/lib\/sheepfs\/restart-instances/g
    const text = (await query(`%{${tag}}`)).replaceAll(installed, join(PACKAGING, 'restart-instances'))
    await writeFile(script, text.replaceAll('/usr/lib/sheepfs/package.json', join(directory, 'package.json')))
    await writeFile(calls, '')
    await mkdir(bin, { recursive: true })
    for (const [name, body] of Object.entries(STUBS)) {
      await writeFile(join(bin, name), `#!/bin/sh\necho "${name} $*" >>'${calls}'\n${body}\n`, { mode: 0o755 })
    }
    const args = ['--mount', '--propagation', 'private', 'sh', '-e', '-c', IN_NAMESPACE, 'sh', script, bin, argument]
    const outcome = await run('unshare', args)
    return { ...outcome, calls: await readFile(calls, 'utf8') }
  }

  test('has the files that the Debian package has', limit, async () => {
    const root = join(directory, 'root')
    await succeed(process.execPath, [join(PACKAGING, 'install.mjs'), root])
    const installed = await readdir(root, { recursive: true, withFileTypes: true })
    const expected = installed
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => join(parentPath, name))
    const files = (await query('[%{FILEMODES:perms} %{FILENAMES}\n]'))
      .split('\n')
      .filter((line) => !/^(d|$)/.test(line))
    const packed = new Set(files.map((line) => line.replace(/^\S+ /, '').replace(/\.(gz|zst|xz)$/, '')))
    assert.deepEqual(
      expected.map((path) => path.slice(root.length)).filter((path) => !packed.has(path)),
      [],
    )
    assert.equal(packed.size, expected.length + ['LICENSE', 'CHANGELOG.md'].length)
    assert.equal(
      (await query('[%{FILEFLAGS:fflags} %{FILENAMES}\n]')).match(/^cn? .*$/gm)?.join(),
      'cn /etc/default/sheepfs',
    )
  })

  test('is nothing that rpmlint has a word against', limit, () => lintRpm(rpm))

  test('needs nothing that its modules bring', limit, async () => {
    const needs = (await succeed('rpm', ['-qp', '--requires', rpm]))
      .split('\n')
      .filter((line) => !/^(rpmlib|config)\(|^$/.test(line))
    assert.deepEqual([...new Set(needs)], ['/bin/sh', 'nodejs >= 20.19', 'systemd', 'util-linux'])
  })

  describe('and its scriptlets', { ...limit, skip: missing('root') }, () => {
    test('make the account and start nothing', limit, async () => {
      const { status, calls } = await runScriptlet('POSTIN', '1')
      assert.equal(status, 0)
      assert.equal(
        calls,
        'systemd-sysusers sheepfs.conf\nsystemd-tmpfiles --create sheepfs.conf\nsystemctl daemon-reload\n',
      )
    })

    test(
      'give every mount a new worker after an upgrade where the daemon cannot be restarted, and tell of one that cannot have it',
      limit,
      async () => {
        const { status, stdout, calls } = await runScriptlet('POSTTRANS', '1')
        assert.equal(status, 0)
        assert.match(calls, /restart one\n.*restart two\n/)
        assert.match(stdout, /^sheepfs: mount two of cluster1 goes on with the old version/)
      },
    )

    test(
      'refuse a removal while an instance runs, but no upgrade, nor the other package in its place',
      limit,
      async () => {
        await writeFile(join(directory, 'package.json'), '  "package": "sheepfs"')
        const refused = await runScriptlet('PREUN', '0')
        assert.equal(refused.status, 1)
        assert.match(refused.stderr, /still running, with its mounts: sheepfs@cluster1\.service/)
        const upgraded = await runScriptlet('PREUN', '1')
        assert.deepEqual([upgraded.status, upgraded.calls], [0, ''])
        await writeFile(join(directory, 'package.json'), '  "package": "sheepfs-bundled"')
        const replaced = await runScriptlet('PREUN', '0')
        assert.deepEqual([replaced.status, replaced.calls], [0, ''])
      },
    )
  })
})
