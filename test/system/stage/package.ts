import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programVersion } from '../../../src/program-version.ts'
import { succeed } from '../../e2e/stage/program.ts'
import type { Machine } from './machine.ts'

const ROOT = join(import.meta.dirname, '../../../..')
const BUILD_LIMIT_MS = 200_000

/** Not small, but soon there. */
const COMPRESSION = { DPKG_DEB_COMPRESSOR_TYPE: 'gzip', DPKG_DEB_COMPRESSOR_LEVEL: '1' }

/** Builds a Debian package of what is here, below `folder`, and resolves with its path. */
export async function buildPackage(name: 'sheepfs' | 'sheepfs-bundled', folder = join(ROOT, 'build')): Promise<string> {
  const args = [join(ROOT, 'packaging/package-deb.mjs'), folder]
  const isBundled = name === 'sheepfs-bundled'
  await succeed(process.execPath, isBundled ? [...args, '--bundled'] : args, {
    limitMs: BUILD_LIMIT_MS,
    env: isBundled ? { ...process.env, ...COMPRESSION } : process.env,
  })
  const prefix = `${name}_${programVersion()}_` // others may be there, of other versions
  const file = (await readdir(folder)).find((file) => file.startsWith(prefix) && file.endsWith('.deb'))
  if (file === undefined) throw new Error('package-deb.mjs has built no package')
  return join(folder, file)
}

/** The same package under the next version, written to `path` of the machine. */
export async function placeNextVersion(machine: Machine, deb: string, path: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-next-'))
  await succeed('dpkg-deb', ['--raw-extract', deb, folder])
  await succeed('sed', ['-i', 's/^Version: .*/&+next/', join(folder, 'DEBIAN/control')])
  await succeed('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '--build', folder, machine.path(path)])
  await rm(folder, { recursive: true })
}

/**
 * Makes the program that runs this test the Node.js of the booted machine, also where another one is installed, and its
 * package manager know of it where it comes from no package.
 */
export async function provideNode(machine: Machine): Promise<void> {
  const { stdout: installed } = await machine.run('dpkg-query', '--show', '--showformat=${Status} ${Version}', 'nodejs')
  if (!/ installed (2\d|[3-9]\d)\./.test(installed)) await installNodePackage(machine)
  const program = machine.path('/usr/bin/node')
  await rm(program, { force: true }) // it may be a link
  await copyFile(process.execPath, program)
}

/** The package has nothing in it: it is there for those who depend on it. */
async function installNodePackage(machine: Machine): Promise<void> {
  const arch = await machine.succeed('dpkg', '--print-architecture')
  const control = `Package: nodejs\nVersion: ${process.versions.node}\nArchitecture: ${arch}\nMaintainer: test <test@localhost>\nDescription: Node.js of this test\n`
  await machine.write('/var/tmp/nodejs/DEBIAN/control', control)
  await machine.sh('cd /var/tmp && dpkg-deb --root-owner-group --build nodejs && dpkg --install nodejs.deb')
}
