import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { run, succeed } from '../e2e/stage/program.ts'
import { HOSTILE_LINES, ODD_LINES, type Line } from './fstab-lines.ts'

const GENERATOR = join(import.meta.dirname, '../../../systemd/sheepfs-generator')
const SYSTEMD_GENERATOR = '/usr/lib/systemd/system-generators/systemd-fstab-generator'
const NO_SYSTEMD = existsSync('/usr/bin/systemd-escape') ? false : 'systemd is not installed'
/** A shell each whose echo, expansion and reading differ: /bin/sh is one of them. */
const SHELLS = ['dash', 'bash'].filter((shell) => existsSync(`/bin/${shell}`))

const LINES: readonly Line[] = [...ODD_LINES, ...HOSTILE_LINES]
const OWN = LINES.filter(({ isForeign }) => isForeign !== true)

describe('the generator for fstab', { skip: NO_SYSTEMD }, () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sheepfsgenerator'))
    await mkdir(join(folder, 'real'))
    await symlink('real', join(folder, 'link'))
    await symlink('round', join(folder, 'dnuor'))
    await symlink('dnuor', join(folder, 'round'))
    const text = LINES.map((line) => line.text).join('\n')
    await writeFile(join(folder, 'fstab'), text.replaceAll('FOLDER', folder)) // no newline at its end
  })
  after(() => rm(folder, { recursive: true, force: true }))

  /** Unit names as they are here, sorted. */
  const namesOf = async (lines: readonly Line[]): Promise<string[]> => {
    const escaped = (await succeed('systemd-escape', ['--path', folder])).trim()
    return lines.flatMap(({ unit }) => (unit === undefined ? [] : [unit.replace('FOLDER', escaped)])).toSorted()
  }
  const generate = async (shell: string): Promise<string> => {
    const out = join(folder, `by-${shell}`)
    await mkdir(out)
    await succeed('env', [`SYSTEMD_FSTAB=${join(folder, 'fstab')}`, shell, GENERATOR, out, out, out], { cwd: '/' })
    return out
  }

  for (const shell of SHELLS) {
    test(`ties to its service what belongs to an instance, and starts what boots, in ${shell}`, async () => {
      const out = await generate(shell)
      const folders = await readdir(out)
      const mounts = folders.filter((name) => name.endsWith('.mount.d')).map((name) => name.slice(0, -2))
      assert.deepEqual(mounts.toSorted(), await namesOf(OWN))
      const services = folders.filter((name) => name.endsWith('.service.d'))
      assert.deepEqual(services.toSorted(), ['sheepfs@c.service.d', 'sheepfs@d.service.d'])
      const dropIns = await Promise.all(services.map((name) => readFile(join(out, name, '50-fstab.conf'), 'utf8')))
      for (const text of dropIns) {
        assert.match(
          text,
          /^\[Service\]\n(Exec(Stop|StartPost)=-\+\/usr\/lib\/sheepfs\/mount-with sheepfs@\S+ st(op|art) .*\n)+$/,
        )
      }
      const commands = [...dropIns.join('').matchAll(/ start (.*)$/gm)].map(([, unit]) => unit ?? '')
      assert.deepEqual(
        commands.map((unit) => unit.replaceAll('\\\\', '\\')).toSorted(), // as systemd reads a command line
        await namesOf(OWN.filter(({ isStarted }) => isStarted)),
      )
      assert.match(
        await readFile(join(out, 'srv-twice.mount.d/50-sheepfs.conf'), 'utf8'),
        /^Wants=sheepfs@d\.service$/m, // not Requires=: a restart unmounts nothing
      )
    })
  }

  test(
    'names the units that systemd makes, and knows which of them it starts',
    { skip: existsSync(SYSTEMD_GENERATOR) ? false : 'no generator' },
    async () => {
      const out = join(folder, 'by-systemd')
      await mkdir(out)
      // its status tells of the lines that it leaves out
      await run('env', [`SYSTEMD_FSTAB=${join(folder, 'fstab')}`, SYSTEMD_GENERATOR, out, out, out], { cwd: '/' })
      const mounts = (await readdir(out)).filter((name) => name.endsWith('.mount'))
      const texts = await Promise.all(mounts.map((name) => readFile(join(out, name), 'utf8')))
      const ofSheepfs = mounts.filter((_, i) => /^Type=sheepfs\n/m.test(texts[i] ?? ''))
      assert.deepEqual(ofSheepfs.toSorted(), await namesOf(LINES))
      const links = (await readdir(out)).filter((name) => /\.target\.(wants|requires)$/.test(name))
      const linked = await Promise.all(links.map((name) => readdir(join(out, name))))
      assert.deepEqual(
        linked
          .flat()
          .filter((name) => ofSheepfs.includes(name))
          .toSorted(),
        await namesOf(LINES.filter(({ isStarted }) => isStarted)),
      )
    },
  )
})
