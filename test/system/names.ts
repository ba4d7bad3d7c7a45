import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Site, TREE } from './stage/site.ts'

/** Names of VDIs, and as sources and file names hold them: what the grammar, the shell, fstab and unit names escape. */
const STRANGE = [
  { vdi: 'a b\tc\\x2d"\'%n\n$(id)`id`;&#', name: 'a b%09c\\x2d"\'%25n%0A$(id)`id`;&#' },
  { vdi: '-rf x@y:z/a,b=c.service', name: '-rf x%40y:z%2Fa,b=c.service' },
  { vdi: '..', name: '%2E.' },
  { vdi: 'ü'.repeat(127) + 'x', name: 'ü'.repeat(127) + 'x' },
]
const DIRECTORY = '/srv/a b-c\\x2d%d'

/** Names that are not meant for a file, a unit or a shell. */
export function showNames(site: Site): void {
  describe('names', () => {
    test('strange names of VDIs go through API, CLI, tree, fstab and mount units unharmed', async () => {
      const { machine } = site
      await site.directories(DIRECTORY)
      const fstab = await site.sh('cat /etc/fstab')
      const unit = await machine.succeed('systemd-escape', '--path', '--suffix=mount', DIRECTORY)
      for (const { vdi, name } of STRANGE) {
        await machine.succeed('sheepfsctl', 'vdi', 'create', '--', vdi, '16M')
        await machine.succeed('sh', '-c', `printf %s "$1" >${TREE}/vdi/mount`, '-', name)
        await machine.succeed('mkfs.ext4', '-q', `${TREE}/volume/${name}`)
        await machine.succeed('sh', '-c', `printf %s "$1" >${TREE}/vdi/unmount`, '-', name)
        await machine.write(
          '/etc/fstab',
          `${fstab}\n${escaped(`cluster1/${name}`)} ${escaped(DIRECTORY)} sheepfs noauto\n`,
        )
        await machine.succeed('mount', DIRECTORY)
        const attached = JSON.parse(await site.sh('sheepfsctl volumes --json')) as { name: string }[]
        assert.equal(attached.at(-1)?.name, name)
        await machine.succeed('umount', DIRECTORY)
        await machine.succeed('systemctl', 'daemon-reload')
        await machine.succeed('systemctl', 'start', unit)
        await machine.succeed('mountpoint', DIRECTORY)
        await machine.succeed('systemctl', 'stop', unit)
        await machine.succeed('sheepfsctl', 'vdi', 'delete', '--', name)
      }
      await machine.write('/etc/fstab', `${fstab}\n`)
    })
  })
}

/** As fstab(5) wants it. */
function escaped(text: string): string {
  return text.replace(/[\s\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)
}
