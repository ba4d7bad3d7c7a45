// What is open while the service is restarted, in a booted system. See README.md in this folder.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { succeed } from '../e2e/stage/program.ts'
import { CONFIG, Site, TREE } from '../system/stage/site.ts'

const UNIT = 'sheepfs@cluster1'
const HELD_FILES = join(import.meta.dirname, '../system/stage/held-files.js')

describe('what is open in a service', { timeout: 1_800_000 }, () => {
  const site = new Site()
  const sh = (command: string): Promise<string> => site.sh(command)

  before(
    async () => {
      const program = (await succeed('which', ['qemu-storage-daemon'])).trim()
      await site.setUp()
      await site.machine.copy(program, '/usr/bin/qemu-storage-daemon')
      await site.machine.copy(HELD_FILES, '/var/tmp/held-files.mjs')
      await sh('chmod +x /usr/bin/qemu-storage-daemon; cd /var/tmp && apt-get install -y ./sheepfs_*.deb 2>&1')
      await site.machine.write('/etc/fstab', 'cluster1/web /srv/web sheepfs noauto,_netdev,nofail 0 0\n')
      await site.directories('/srv/web')
      await sh(`systemctl daemon-reload; systemctl enable ${UNIT} && systemctl start ${UNIT}`)
      await site.makeFileSystem('web')
      for (const vdi of ['held', 'image']) await sh(`sheepfsctl vdi create ${vdi} 16M && sheepfsctl attach ${vdi}`)
      for (const vdi of ['one', 'two']) await sh(`sheepfsctl vdi create ${vdi} 16M`)
    },
    { timeout: 300_000 },
  )
  after(() => site.destroy(), { timeout: 300_000 })

  for (const pageCache of [false, true]) {
    test(`goes on over a restart, with the page cache ${pageCache ? 'on' : 'off'}`, { timeout: 300_000 }, async (t) => {
      await site.machine.write(
        '/etc/sheepfs/cluster1.toml',
        `${CONFIG}page_cache = ${pageCache}\nvolumes = ["held", "image"]\n`,
      )
      await sh(`systemctl restart ${UNIT}; mount /srv/web; rm -rf /srv/web/*; sheepfsctl map one two`)
      const devices = `$(losetup --list --noheadings --output NAME,BACK-FILE | awk '$2 ~ "^${TREE}/volume/(one|two)$" { print $1 }')`
      await sh(`rm -f /run/use /run/used
        systemd-run --quiet --unit=held node /var/tmp/held-files.mjs ${TREE} held /srv/web ${devices}
        systemd-run --quiet --unit=export qemu-storage-daemon --nbd-server addr.type=unix,addr.path=/run/nbd \
          --blockdev driver=file,node-name=image,filename=${TREE}/volume/image,cache.direct=on \
          --export type=nbd,id=image,node-name=image,name=image,writable=on`)
      await site.machine.eventually('journalctl --unit held --output cat | grep ^holds && test -S /run/nbd')
      const image = (command: string): Promise<string> =>
        sh(`qemu-io -f raw -c '${command}' 'nbd+unix:///image?socket=/run/nbd'`)
      await image('write -P 65 0 8M')
      await sh(`systemctl restart ${UNIT}`)
      await site.machine.eventually('sheepfsctl health')
      assert.doesNotMatch(await image('read -P 65 0 8M'), /failed/)
      await image('write -P 66 4M 8M')
      assert.doesNotMatch(await image('read -P 66 4M 8M'), /failed/)
      await sh('touch /run/use')
      await site.machine.eventually('test -e /run/used')
      t.diagnostic(await sh('journalctl --unit held --output cat | tail -n 2'))
      await sh(`systemctl stop export; umount /srv/web; sheepfsctl unmap one two`)
    })
  }
})
