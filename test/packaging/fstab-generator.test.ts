import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { run, succeed } from '../e2e/stage/program.ts'

const GENERATOR = join(import.meta.dirname, '../../../systemd/sheepfs-generator')
const SYSTEMD_GENERATOR = '/usr/lib/systemd/system-generators/systemd-fstab-generator'
const NO_SYSTEMD = existsSync('/usr/bin/systemd-escape') ? false : 'systemd is not installed'
/** A shell each whose echo, expansion and reading differ: /bin/sh is one of them. */
const SHELLS = ['dash', 'bash'].filter((shell) => existsSync(`/bin/${shell}`))

interface Line {
  /** FOLDER: one with a link to `real`, and two links that lead to each other. */
  readonly text: string
  /** The mount unit that systemd makes of it and that belongs to sheepfs. */
  readonly unit?: string
  /** With its service, not by an automount, by another unit, or by hand. */
  readonly isStarted?: boolean
}

const started = (text: string, unit: string): Line => ({ text, unit, isStarted: true })
const tied = (text: string, unit: string): Line => ({ text, unit })
const ignored = (text: string): Line => ({ text })

const LINES: readonly Line[] = [
  ignored('# c/x /srv/comment sheepfs defaults 0 0'),
  ignored('\t # c/x /srv/comment2 sheepfs defaults 0 0'),
  ignored(''),
  ignored(' \t'),
  started('c/x /srv/plain sheepfs _netdev,nofail 0 0', 'srv-plain.mount'),
  started('c /srv/a-b sheepfs defaults 0 0', 'srv-a\\x2db.mount'),
  started('c/x /srv/three sheepfs', 'srv-three.mount'),
  started('c/x /srv/four sheepfs defaults', 'srv-four.mount'),
  started('\tc/x\t/srv/tabs \t sheepfs\tdefaults\t0\t0 \t', 'srv-tabs.mount'),
  started('c/x /srv/crlf sheepfs defaults 0 0\r', 'srv-crlf.mount'),
  started('c/x /srv/crlf4 sheepfs defaults\r', 'srv-crlf4.mount'),
  ignored('c/x /srv/crlf3 sheepfs\r'), // the type has a carriage return for systemd and mount(8) too
  started('c/x /srv/a\\040b\\011c\\134d\\\\e\\012f sheepfs', 'srv-a\\x20b\\x09c\\x5cd\\x5ce\\x0af.mount'),
  started('c/x /srv/\\\\040\\\\\\040\\134040 sheepfs', 'srv-\\x5c040\\x5c\\x20\\x5c040.mount'),
  started('c/x /srv/o\\055l sheepfs', 'srv-o\\x5c055l.mount'), // not one of getmntent's
  started('c/x /srv/end\\012 sheepfs', 'srv-end\\x0a.mount'),
  started('c/a\\040b /srv/source sheepfs', 'srv-source.mount'),
  started('c/x //srv//slashes/./x/// sheepfs', 'srv-slashes-x.mount'),
  started('c/x FOLDER/link/below sheepfs', 'FOLDER-real-below.mount'),
  started('c/x FOLDER/link sheepfs', 'FOLDER-real.mount'),
  started('c/x FOLDER/round/x sheepfs', 'FOLDER-round-x.mount'),
  started('c/x /srv/*?[a-z]~ sheepfs', 'srv-\\x2a\\x3f\\x5ba\\x2dz\\x5d\\x7e.mount'),
  started('c/x /srv/$HOME`id`"%n\' sheepfs', 'srv-\\x24HOME\\x60id\\x60\\x22\\x25n\\x27.mount'),
  started('c/x /-n sheepfs', '\\x2dn.mount'),
  started('c/x /srv/ü sheepfs', 'srv-\\xc3\\xbc.mount'),
  started('-n/x /srv/instance sheepfs', 'srv-instance.mount'),
  tied('c/x /srv/noauto sheepfs rw,noauto,user', 'srv-noauto.mount'),
  started('c/x /srv/auto sheepfs noauto,auto', 'srv-auto.mount'),
  tied('c/x /srv/autono sheepfs auto,noauto', 'srv-autono.mount'),
  started('c/x /srv/comma sheepfs x-a=b\\,noauto', 'srv-comma.mount'),
  started('c/x /srv/not sheepfs noautomatic,x-noauto,comment=noauto', 'srv-not.mount'),
  tied('c/x /srv/am sheepfs x-systemd.automount,x-systemd.idle-timeout=1h', 'srv-am.mount'),
  tied('c/x /srv/am2 sheepfs comment=systemd.automount', 'srv-am2.mount'),
  tied('c/x /srv/wanted sheepfs x-systemd.wanted-by=a.service', 'srv-wanted.mount'),
  tied('c/x /srv/required sheepfs x-systemd.required-by=a.service', 'srv-required.mount'),
  ignored('c/x none sheepfs'),
  ignored('c/x /srv/other ext4 defaults'),
  ignored('c/x /srv/other sheepfs'), // systemd takes the first line of a mountpoint
  started('d/x /srv/twice sheepfs', 'srv-twice.mount'),
  ignored('e/x /srv//twice/ sheepfs'),
  ignored('sheepdog://h/x /srv/alone sheepfs'),
  ignored('a:b/x /srv/foreign sheepfs'),
  ignored('c/x'),
  started('c/x /srv/no-newline sheepfs', 'srv-no\\x2dnewline.mount'),
]
/** Lines of sheepfs that systemd makes units of, and that belong to no instance. */
const OF_NO_INSTANCE = ['srv-alone.mount', 'srv-foreign.mount']

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
    await succeed('env', [`SYSTEMD_FSTAB=${join(folder, 'fstab')}`, shell, GENERATOR, out, out, out])
    return out
  }

  for (const shell of SHELLS) {
    test(`ties to its service what belongs to an instance, and starts what boots, in ${shell}`, async () => {
      const out = await generate(shell)
      const folders = await readdir(out)
      const mounts = folders.filter((name) => name.endsWith('.mount.d')).map((name) => name.slice(0, -2))
      assert.deepEqual(mounts.toSorted(), await namesOf(LINES))
      const services = folders.filter((name) => name.endsWith('.service.d'))
      assert.deepEqual(services.toSorted(), ['sheepfs@-n.service.d', 'sheepfs@c.service.d', 'sheepfs@d.service.d'])
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
        await namesOf(LINES.filter(({ isStarted }) => isStarted)),
      )
      assert.match(
        await readFile(join(out, 'srv-twice.mount.d/50-sheepfs.conf'), 'utf8'),
        /^Wants=sheepfs@d\.service$/m, // not Requires=: a restart unmounts nothing
      )
    })
  }

  test(
    'names the units as systemd does',
    { skip: existsSync(SYSTEMD_GENERATOR) ? false : 'no generator' },
    async () => {
      const out = join(folder, 'by-systemd')
      await mkdir(out)
      // its status tells of the lines that it leaves out
      await run('env', [`SYSTEMD_FSTAB=${join(folder, 'fstab')}`, SYSTEMD_GENERATOR, out, out, out])
      const mounts = (await readdir(out)).filter((name) => name.endsWith('.mount'))
      const texts = await Promise.all(mounts.map((name) => readFile(join(out, name), 'utf8')))
      const ofSheepfs = mounts.filter((_, i) => /^Type=sheepfs\n/m.test(texts[i] ?? ''))
      assert.deepEqual(ofSheepfs.toSorted(), [...(await namesOf(LINES)), ...OF_NO_INSTANCE].toSorted())
    },
  )
})
