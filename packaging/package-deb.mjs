// Builds build/sheepfs_VERSION_ARCH.deb of what is built and installed here: npm run package:deb
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const source = join(root, 'build', `sheepfs-${version}`)

rmSync(source, { recursive: true, force: true })
mkdirSync(source, { recursive: true })
for (const name of ['dist', 'node_modules']) symlinkSync(join(root, name), join(source, name))
for (const name of [
  'packaging',
  'systemd',
  'etc',
  'docs',
  'README.md',
  'package.json',
  'package-lock.json',
  'CHANGELOG.md',
]) {
  cpSync(join(root, name), join(source, name), { recursive: true })
}
cpSync(join(root, 'packaging/debian'), join(source, 'debian'), { recursive: true })
const maintainer = /^Maintainer: (.*)$/m.exec(readFileSync(join(source, 'debian/control'), 'utf8'))?.[1]
const date = new Date().toUTCString().replace('GMT', '+0000')
const entry = `sheepfs (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- ${maintainer}  ${date}\n`
writeFileSync(join(source, 'debian/changelog'), entry)

const { status, error } = spawnSync('dpkg-buildpackage', ['--build=binary', '--no-sign'], {
  cwd: source,
  stdio: 'inherit',
})
if (error) console.error('package:deb: dpkg-buildpackage cannot be run: apt-get install dpkg-dev debhelper')
process.exitCode = status ?? 1
