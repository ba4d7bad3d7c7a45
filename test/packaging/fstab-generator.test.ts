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

const CRYPTTAB = `# name device key options
plain /dev/disk/by-sheepdog/c/db01 none luks,_netdev,nofail
\todd-name.x\t/dev/disk/by-sheepdog/c:two/a\\x2Fb-part1\tnone\tluks
by_hand /dev/disk/by-sheepdog/d/x none noauto
other /dev/sdb1 none luks
foreign /dev/disk/by-sheepdog/ none
`
const FSTAB_OF_DEVICES = `/dev/disk/by-sheepdog/c/web01 /srv/web ext4 _netdev,nofail 0 0
/dev/disk/by-sheepdog/c/web02-part1 /srv/noauto ext4 noauto 0 0
/dev/mapper/plain /srv/plain ext4 _netdev,nofail 0 0
/dev/mapper/other /srv/other ext4 defaults 0 0
/dev/sda1 /srv/disk ext4 defaults 0 0
/dev/disk/by-sheepdog/c/swap none swap sw 0 0
`

test(
  'units of block devices come with them, after their service, and are stopped with it',
  { skip: NO_SYSTEMD },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sheepfsgenerator'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'fstab'), FSTAB_OF_DEVICES)
    await writeFile(join(folder, 'crypttab'), CRYPTTAB)
    for (const shell of SHELLS) {
      const out = join(folder, shell)
      await mkdir(out)
      const tables = [`SYSTEMD_FSTAB=${folder}/fstab`, `SYSTEMD_CRYPTTAB=${folder}/crypttab`]
      await succeed('env', [...tables, shell, GENERATOR, out, out, out])
      const wants = (await readdir(out)).filter((name) => name.endsWith('.wants'))
      const started = await Promise.all(wants.map(async (name) => [name, (await readdir(join(out, name))).join()]))
      assert.deepEqual(Object.fromEntries(started), {
        'dev-disk-by\\x2dsheepdog-c-web01.device.wants': 'srv-web.mount',
        'dev-disk-by\\x2dsheepdog-c-db01.device.wants': 'systemd-cryptsetup@plain.service',
        'dev-disk-by\\x2dsheepdog-c:two-a\\x5cx2Fb\\x2dpart1.device.wants': 'systemd-cryptsetup@odd\\x2dname.x.service',
        'dev-mapper-plain.device.wants': 'srv-plain.mount',
      })
      const stops = (await readFile(join(out, 'sheepfs@c.service.d/50-fstab.conf'), 'utf8')).match(/ stop .*$/gm)
      assert.deepEqual(stops, [
        ' stop srv-web.mount',
        ' stop srv-noauto.mount',
        ' stop srv-plain.mount',
        ' stop systemd-cryptsetup@plain.service',
        ' stop systemd-cryptsetup@odd\\\\x2dname.x.service',
      ])
      const tied = (await readdir(out)).filter(
        (name) => /\.(mount|service)\.d$/.test(name) && !name.startsWith('sheepfs@'),
      )
      for (const name of tied) {
        const text = await readFile(join(out, name, '50-sheepfs.conf'), 'utf8')
        const service = name.startsWith('systemd-cryptsetup@by_hand') ? 'sheepfs@d.service' : 'sheepfs@c.service'
        assert.match(text, new RegExp(`^\\[Unit\\]\\nWants=${service}\\nAfter=${service}\\n`))
      }
      assert.equal(tied.length, 6)
    }
  },
)

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
