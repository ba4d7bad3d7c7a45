// Builds build/rpm/RPMS/ARCH/sheepfs-VERSION-1.ARCH.rpm of what is built and installed here: npm run package:rpm [DIR]
// Or sheepfs-bundled-…, which brings its own Node.js: npm run package:rpm -- --bundled [DIR]
// With --arch arm64 for such machines, also where this is none.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bundled: { type: 'boolean', default: false },
    define: { type: 'string', multiple: true, default: [] },
    arch: { type: 'string', default: process.arch },
  },
})
const top = resolve(positionals[0] ?? join(root, 'build/rpm'))
const kind = values.bundled ? ['--with', 'bundled'] : []
const machine = values.arch === process.arch ? [] : ['--target', values.arch.replace('arm64', 'aarch64')]
const macros = [
  `_topdir ${top}`,
  `checkout ${root}`,
  `sheepfs_version ${version}`,
  `sheepfs_arch ${values.arch}`,
  ...values.define,
]
const defines = macros.flatMap((macro) => ['--define', macro])

const { status, error } = spawnSync(
  'rpmbuild',
  ['-bb', ...kind, ...machine, ...defines, join(root, 'packaging/rpm/sheepfs.spec')],
  {
    stdio: 'inherit',
  },
)
if (error) console.error('package:rpm: rpmbuild cannot be run: dnf install rpm-build, or apt-get install rpm')
process.exitCode = status ?? 1
