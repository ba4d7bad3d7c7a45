import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { run, succeed } from '../e2e/stage/program.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { lintRpm } from './stage/lint-rpm.ts'
import { buildPackage } from '../system/stage/package.ts'

const ROOT = join(import.meta.dirname, '../../..')
const IN_ROOT = join(ROOT, 'test/packaging/stage/root-without-node.sh')
const { packages } = JSON.parse(readFileSync(join(ROOT, 'packaging/runtime/package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>>
}
const PINNED = packages[`node_modules/node-linux-${process.arch}`]?.version ?? 'none'

/** Runs in a root without Node.js, where $1 is the package with its own and $2 the other. */
const scriptFor = (bundled: string, other: string, sum: string): string => `
install() { dpkg --install --force-depends --force-unsafe-io "$1"; } # no package brings the Node.js of this machine
alone() { ! dpkg-query --show --showformat='\${db:Status-Status}' "$1" | grep -x installed; }
command -v node && exit 1

install /tmp/${bundled}
for program in sheepfs sheepfsd sheepfsctl lamb mount.sheepfs umount.sheepfs; do
  [[ $("$program" --version) == "$program "*' (Node.js ${PINNED})' ]]
done
echo '${sum} /usr/lib/sheepfs/bin/node' | sha256sum --check # as it is published
grep -F 'Node.js ${PINNED} (node-linux-' /usr/share/doc/sheepfs/third-party-licenses.txt
grep -F 'Copyright Node.js contributors' /usr/share/doc/sheepfs/third-party-licenses.txt
grep -F 'fuse-2.9.9.tar.gz' /usr/share/doc/sheepfs/third-party-licenses.txt
grep -F 'GNU LESSER GENERAL PUBLIC LICENSE' /usr/share/doc/sheepfs/third-party-licenses.txt

coproc lamb { exec lamb --store /tmp/lamb; }
pid=$lamb_PID
read -r line <&"\${lamb[0]}" # it listens
mkdir /mnt/sheep
sheepfs --address 127.0.0.1 /mnt/sheep
grep -q running /mnt/sheep/cluster/info
{ sheepfsctl --instance none doctor || true; } | grep -x 'ok  *Node.js: ${PINNED} at /usr/lib/sheepfs/bin/node'

echo '# mine' >>/etc/default/sheepfs
echo 'sheep = ["10.0.0.1"]' >/etc/sheepfs/cluster1.toml
kept() { tail -1 /etc/default/sheepfs | grep mine && test -e /etc/sheepfs/cluster1.toml && grep -q running /mnt/sheep/cluster/info; }

install /tmp/${other}
alone sheepfs-bundled
dpkg --purge sheepfs-bundled
test ! -e /usr/lib/sheepfs/bin
[[ $(head -1 /usr/bin/sheepfsd) == '#!/usr/bin/node' ]]
dpkg --verify sheepfs | grep -v /etc/default/sheepfs && exit 1
kept

install /tmp/${bundled}
alone sheepfs
dpkg --purge sheepfs
dpkg --verify sheepfs-bundled | grep -v /etc/default/sheepfs && exit 1
sheepfsd --version
kept

umount /mnt/sheep
kill "$pid"
dpkg --purge sheepfs-bundled
find /etc /usr /run -name '*sheepfs*' | grep . && exit 1
echo done
`

async function stageFolders(t: TestContext): Promise<[string, string]> {
  const stage = new Stage()
  t.after(() => stage.close())
  return [await stage.folder(), await stage.folder()]
}

/** Of the Node.js that npm has: sha256. */
async function publishedSum(): Promise<string> {
  const program = join(ROOT, `build/runtime/node-linux-${process.arch}-${PINNED}/bin/node`)
  return createHash('sha256')
    .update(await readFile(program))
    .digest('hex')
}

test(
  'the package that brings its own Node.js runs where there is none, and takes the place of the other one, and back',
  { timeout: 480_000, skip: missing('root', 'fuse', 'dh', 'ip', 'lintian', 'sdNotify') },
  async (t) => {
    const [base, folder] = await stageFolders(t)
    const bundled = await buildPackage('sheepfs-bundled', folder)
    const other = await buildPackage('sheepfs', folder)
    await writeFile(join(folder, 'script'), scriptFor(basename(bundled), basename(other), await publishedSum()))
    const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    const args = [...namespaces, 'bash', IN_ROOT, base, join(folder, 'script'), bundled, other]
    const { status, stdout, stderr } = await run('unshare', args, { limitMs: 240_000 })
    assert.deepEqual([status, stdout.trimEnd().split('\n').at(-1)], [0, 'done'], `${stdout}${stderr}`.slice(-4000))
    // what is spelled wrongly in Node.js is not ours, and takes longest to find
    const lintian = ['-X', 'binaries/spelling', '--fail-on=error,warning', bundled]
    const checked = await run('lintian', lintian, { limitMs: 200_000 })
    assert.equal(checked.status, 0, checked.stdout)
  },
)

test(
  'the RPM package brings it too',
  { timeout: 300_000, skip: missing('rpmbuild', 'rpmlint', 'sdNotify') },
  async (t) => {
    const [folder] = await stageFolders(t)
    const args = [join(ROOT, 'packaging/package-rpm.mjs'), '--bundled', '--define', '_binary_payload w1.gzdio', folder]
    await succeed(process.execPath, args, { limitMs: 280_000 })
    const built = await readdir(join(folder, 'RPMS'), { recursive: true })
    const rpm = join(folder, 'RPMS', built.find((name) => name.includes('sheepfs-bundled-')) ?? 'none')
    const query = async (...what: readonly string[]) => (await succeed('rpm', ['-qp', ...what, rpm])).split('\n')
    const needs = await query('--requires')
    assert.deepEqual(
      [needs.some((need) => need.startsWith('nodejs')), needs.includes('libstdc++.so.6()(64bit)')],
      [false, true],
    )
    assert.deepEqual(await query('--conflicts'), ['sheepfs', ''])
    assert.ok((await query('--provides')).some((name) => name.startsWith('sheepfs = ')))
    const files = await query('--queryformat', '[%{FILENAMES} %{FILEDIGESTS}\n]')
    assert.ok(files.includes(`/usr/lib/sheepfs/bin/node ${await publishedSum()}`))
    await lintRpm(rpm)
  },
)

/** What the packages declare of the libraries of the system: https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html. */
const DECLARED = 'libc6 (>= 2.28), libgcc-s1 (>= 3.4), libstdc++6 (>= 7)'
const NEWEST = { GLIBC: '2.28', GCC: '3.4', GLIBCXX: '3.4.23', CXXABI: '1.3.11' } as const
const LIBRARY = /^(lib(c|m|dl|pthread|gcc_s|stdc\+\+)\.so|ld-linux-aarch64\.so)\.\d$/
const ELF = Buffer.from('\x7fELF')
const BINARIES = ['@serialport+bindings-cpp.armv8.glibc.node', 'koffi.node', 'node']

/** Asserts that a binary is for arm64 and needs nothing but what is declared. */
async function assertForArm64(file: string): Promise<void> {
  const text = await succeed('readelf', ['--wide', '--file-header', '--dynamic', '--version-info', file])
  assert.match(text, /Machine: +AArch64$/m, file)
  const libraries = Array.from(text.matchAll(/\(NEEDED\).*\[(.*)\]/g), ([, name = '']) => name)
  assert.notDeepEqual(libraries, [])
  assert.deepEqual(libraries.filter((name) => !LIBRARY.test(name)), [], file) // prettier-ignore
  for (const [, name = '', version = ''] of text.matchAll(/Name: ([A-Z]+)_([\d.]+)/g)) {
    const newest = NEWEST[name as keyof typeof NEWEST]
    assert.ok(version.localeCompare(newest, 'en', { numeric: true }) <= 0, `${file}: ${name}_${version}`)
  }
}

/** The programs and libraries below a folder, of whatever machine. */
async function binariesBelow(folder: string): Promise<string[]> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  const paths = files.map(({ parentPath, name }) => join(parentPath, name))
  return paths.filter((path) => {
    const [descriptor, magic] = [openSync(path, 'r'), Buffer.alloc(4)]
    readSync(descriptor, magic)
    closeSync(descriptor)
    return magic.equals(ELF)
  })
}

describe('for arm64 it is built on any machine', { skip: missing('dh', 'rpmbuild'), timeout: 500_000 }, () => {
  const build = (kind: string, args: readonly string[]): Promise<string> =>
    succeed(process.execPath, [join(ROOT, 'packaging', kind), '--bundled', '--arch', 'arm64', ...args], {
      limitMs: 240_000,
      env: { ...process.env, DPKG_DEB_COMPRESSOR_TYPE: 'none' },
    })

  test('a Debian package, of which every binary is for arm64 and needs only what is declared', async (t) => {
    const [folder] = await stageFolders(t)
    await build('package-deb.mjs', [folder])
    const deb = join(folder, (await readdir(folder)).find((name) => name.endsWith('_arm64.deb')) ?? 'none')
    const depends = await succeed('dpkg-deb', ['--field', deb, 'Depends'])
    assert.ok(depends.includes(DECLARED), depends)
    const source = (await readdir(folder)).find((name) => name.startsWith('sheepfs-bundled-')) ?? 'none'
    const binaries = await binariesBelow(join(folder, source, 'debian/sheepfs-bundled')) // what the package was made of
    assert.deepEqual(binaries.map((path) => basename(path)).toSorted(), BINARIES)
    for (const path of binaries) await assertForArm64(path)
  })

  test('an RPM package, of which every binary is for arm64', async (t) => {
    const [folder] = await stageFolders(t)
    await build('package-rpm.mjs', ['--define', '_binary_payload w0.gzdio', folder])
    const built = await readdir(join(folder, 'RPMS/aarch64'))
    const rpm = join(folder, 'RPMS/aarch64', built.find((name) => name.endsWith('.aarch64.rpm')) ?? 'none')
    const files = await succeed('rpm', ['-qp', '--queryformat', '[%{FILENAMES}\t%{FILECLASS}\n]', rpm])
    const binaries = files.split('\n').filter((line) => line.includes('\tELF '))
    assert.equal(binaries.length, BINARIES.length, files)
    assert.deepEqual(binaries.filter((line) => !/\tELF 64-bit LSB .*, ARM aarch64, /.test(line)), []) // prettier-ignore
  })
})

test('its Node.js is pinned with its integrity, one with long support, for every machine that packages are for', () => {
  const control = readFileSync(join(ROOT, 'packaging/debian/control'), 'utf8')
  const [, machines = ''] = /^Package: sheepfs-bundled\nArchitecture: (.*)$/m.exec(control) ?? []
  const names = machines.split(' ').map((machine) => `node_modules/node-linux-${machine.replace('amd64', 'x64')}`)
  const pinned = Object.entries(packages).filter(([path]) => path !== '')
  assert.deepEqual(pinned.map(([path]) => path).toSorted(), names.toSorted())
  for (const [path, { version = '', integrity = '' }] of pinned) {
    assert.ok(integrity.startsWith('sha512-'), path)
    assert.ok(['22', '24'].includes(version.split('.')[0] ?? ''), `${path} ${version}`)
  }
})

test('what it brings is not fetched again, and works without a network', { timeout: 120_000 }, async () => {
  const script = `import { fetchRuntime } from ${JSON.stringify(join(ROOT, 'packaging/runtime.mjs'))}
    fetchRuntime(); process.env.PATH = '/nowhere'; console.log(fetchRuntime())`
  const folder = await succeed(process.execPath, ['--input-type=module', '--eval', script], { limitMs: 100_000 })
  assert.equal(await succeed(join(folder.trimEnd(), 'bin/node'), ['--version']), `v${PINNED}\n`)
})
