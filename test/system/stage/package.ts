import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { succeed } from '../../e2e/stage/program.ts'
import type { Machine } from './machine.ts'

const ROOT = join(import.meta.dirname, '../../../..')
const BUILD_LIMIT_MS = 200_000

/** Builds the Debian package of what is here and resolves with its path. */
export async function buildPackage(): Promise<string> {
  await succeed(process.execPath, [join(ROOT, 'packaging/package-deb.mjs')], { limitMs: BUILD_LIMIT_MS })
  const name = (await readdir(join(ROOT, 'build'))).find((file) => file.endsWith('.deb'))
  if (name === undefined) throw new Error('package-deb.mjs has built no package')
  return join(ROOT, 'build', name)
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
 * Makes the machine's package manager know of Node.js where it is not installed from a package: a package with the
 * program that runs this test.
 */
export async function provideNode(machine: Machine): Promise<void> {
  const status = await succeed('dpkg-query', ['--show', '--showformat=${Status} ${Version}', 'nodejs']).catch(() => '')
  if (/ installed (2\d|[3-9]\d)\./.test(status)) return
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-node-'))
  const arch = (await succeed('dpkg', ['--print-architecture'])).trim()
  const control = `Package: nodejs\nVersion: ${process.versions.node}\nArchitecture: ${arch}\nMaintainer: test <test@localhost>\nDescription: Node.js of this test\n`
  await mkdir(join(folder, 'DEBIAN'))
  await mkdir(join(folder, 'usr/bin'), { recursive: true })
  await writeFile(join(folder, 'DEBIAN/control'), control)
  await copyFile(process.execPath, join(folder, 'usr/bin/node'))
  await succeed('dpkg-deb', ['--root-owner-group', '-Znone', '--build', folder, machine.path('/var/tmp/nodejs.deb')])
  await rm(folder, { recursive: true })
}
