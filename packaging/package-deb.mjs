// Builds build/sheepfs_VERSION_ARCH.deb of what is built and installed here: npm run package:deb [DIR]
// Or build/sheepfs-bundled_VERSION_ARCH.deb, which brings its own Node.js: npm run package:deb -- --bundled [DIR]
// With --arch arm64 for such machines, also where this is none.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { bundled: { type: 'boolean', default: false }, arch: { type: 'string', default: process.arch } },
})
const name = values.bundled ? 'sheepfs-bundled' : 'sheepfs'
const source = join(resolve(positionals[0] ?? join(root, 'build')), `${name}-${version}`)

rmSync(source, { recursive: true, force: true })
mkdirSync(source, { recursive: true })
for (const folder of ['dist', 'node_modules']) symlinkSync(join(root, folder), join(source, folder))
mkdirSync(join(root, 'build/runtime'), { recursive: true })
mkdirSync(join(source, 'build'))
symlinkSync(join(root, 'build/runtime'), join(source, 'build/runtime'))
for (const part of [
  'packaging',
  'systemd',
  'etc',
  'docs',
  'README.md',
  'package.json',
  'package-lock.json',
  'CHANGELOG.md',
]) {
  cpSync(join(root, part), join(source, part), { recursive: true })
}
cpSync(join(root, 'packaging/debian'), join(source, 'debian'), { recursive: true })
const [about, ...packages] = readFileSync(join(source, 'debian/control'), 'utf8').split('\n\n')
const wanted = packages.find((stanza) => stanza.startsWith(`Package: ${name}\n`))
writeFileSync(join(source, 'debian/control'), `${about}\n\n${wanted}\n`)
const maintainer = /^Maintainer: (.*)$/m.exec(about)?.[1]
const date = new Date().toUTCString().replace('GMT', '+0000')
const entry = `sheepfs (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- ${maintainer}  ${date}\n`
writeFileSync(join(source, 'debian/changelog'), entry)

const machine = `--host-arch=${values.arch.replace('x64', 'amd64')}`
const { status, error } = spawnSync('dpkg-buildpackage', ['--build=binary', '--no-sign', machine], {
  cwd: source,
  stdio: 'inherit',
})
if (error) console.error('package:deb: dpkg-buildpackage cannot be run: apt-get install dpkg-dev debhelper')
process.exitCode = status ?? 1
