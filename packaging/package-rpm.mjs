// Builds build/rpm/RPMS/ARCH/sheepfs-VERSION-1.ARCH.rpm of what is built and installed here: npm run package:rpm [DIR]
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const top = resolve(process.argv[2] ?? join(root, 'build/rpm'))
const macros = { _topdir: top, checkout: root, sheepfs_version: version }
const defines = Object.entries(macros).flatMap(([name, value]) => ['--define', `${name} ${value}`])

const { status, error } = spawnSync('rpmbuild', ['-bb', ...defines, join(root, 'packaging/rpm/sheepfs.spec')], {
  stdio: 'inherit',
})
if (error) console.error('package:rpm: rpmbuild cannot be run: dnf install rpm-build, or apt-get install rpm')
process.exitCode = status ?? 1
