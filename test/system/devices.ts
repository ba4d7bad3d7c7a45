import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { CONFIG, type Site, TREE } from './stage/site.ts'

const PAGE = join(import.meta.dirname, '../../../docs/volumes.md')
const NAMES = '/dev/disk/by-sheepdog/cluster1'
const UDEV = ['systemd-udevd.service', 'systemd-udevd-control.socket', 'systemd-udevd-kernel.socket']
/** PID 1 listens to udev from its start on only where /dev is a devtmpfs, which would be that of this machine. */
const START_UDEV = 'systemctl daemon-reload && systemctl start systemd-udevd && systemctl daemon-reexec'
/** Other rules would do something about the devices of the machine that this one runs on. */
const RULES = ['60-sheepfs.rules', '99-systemd.rules']
const RULE_FOLDER = '/lib/udev/rules.d'
const LOOPS = `losetup --list --noheadings --output NAME,BACK-FILE | grep ${TREE}`
/** systemd gives up on what does not end of a service after three minutes. */
const START_LIMIT_MS = 90_000
const IS_THERE = 'mountpoint -q /srv/db && test -e /srv/db/kept'

/** The lines of fstab on the page for block devices that have no device between. */
function linesOfPage(): string {
  const lines = readFileSync(PAGE, 'utf8').split('\n')
  return lines.filter((line) => line.startsWith(`${NAMES}/`)).join('\n')
}

/** Volumes as block devices, with udev. */
export function showDevices(site: Site): void {
  const sh = (command: string): Promise<string> => site.sh(command)

  describe('block devices', () => {
    test('udev gives them lasting names, whatever the volume is called, and takes them away', async () => {
      for (const unit of UDEV) await rm(site.machine.path(`/etc/systemd/system/${unit}`))
      for (const rule of await readdir(site.machine.path(RULE_FOLDER))) {
        if (!RULES.includes(rule)) await rm(site.machine.path(`${RULE_FOLDER}/${rule}`))
      }
      // mounts of a container are private: what is mounted when udevd starts, with mounts of its own, it would keep for good
      await sh('systemctl mask --quiet --runtime --now srv-web.mount')
      await sh(START_UDEV)
      await sh("sheepfsctl vdi create db01 64M && sheepfsctl vdi create 'a b/c' 16M")
      const mapped = await sh("sheepfsctl map db01 'a b%2Fc' vm")
      for (const name of ['db01', 'a\\x20b\\x2Fc', 'vm']) {
        const line = mapped.split('\n').find((text) => text.endsWith(`, ${NAMES}/${name}`)) ?? ''
        assert.equal(
          await site.machine.succeed('readlink', '-f', `${NAMES}/${name}`),
          /\/dev\/loop\d+/.exec(line)?.[0],
          mapped,
        )
      }
      assert.match(await sh(`readlink ${NAMES}/vm-part1`), /loop\d+p1$/)
      assert.equal(await sh(`systemctl is-active '${NAMES}/db01'`), 'active')
      await sh(
        "sheepfsctl unmap db01 'a b%2Fc' vm && udevadm settle && ! ls /dev/disk/by-sheepdog/*/* && sheepfsctl vdi delete 'a b%2Fc'",
      )
    })

    test('a line of fstab on such a name is mounted with its device, and stopped with the service', async () => {
      await site.directories('/srv/db')
      await site.machine.write('/etc/sheepfs/cluster1.toml', `${CONFIG}devices = ["db01"]\n`)
      await sh(`systemctl reload sheepfs@cluster1 && mkfs.ext4 -q ${NAMES}/db01`)
      assert.notEqual(linesOfPage(), '')
      await site.machine.write('/etc/fstab', `${await sh('cat /etc/fstab')}\n${linesOfPage()}\n`)
      await sh('systemctl daemon-reload && systemctl start srv-db.mount && touch /srv/db/kept')
      await sh('systemctl stop sheepfs@cluster1')
      assert.doesNotMatch(await sh('journalctl --unit sheepfs@cluster1 --lines 30'), /by force/)
      assert.equal(await sh(`${LOOPS} || true`), '')
      await sh('! mountpoint -q /srv/db && systemctl start sheepfs@cluster1')
      await site.machine.eventually(IS_THERE)
    })

    test('they are kept over a restart and a crash, and who writes there notices nothing', async () => {
      const before = await sh(LOOPS)
      const writes =
        'for i in {1..200}; do dd if=/dev/urandom of=/srv/db/w bs=64k count=1 oflag=sync status=none; done; touch /run/written'
      await sh(`rm -f /run/written; systemd-run --quiet --collect bash -ec '${writes}'`)
      await sh('systemctl restart sheepfs@cluster1')
      await sh('systemctl kill -s KILL sheepfs@cluster1')
      await site.machine.eventually('test -e /run/written && systemctl is-active sheepfs@cluster1')
      assert.equal(await sh(LOOPS), before)
      assert.match(await sh('sheepfsctl mapped'), /db01.*the mount \/srv\/db/)
    })

    test('a service that is killed while a device is made starts again at once, and makes it when it is asked to', async () => {
      const file = '/etc/sheepfs/cluster1.toml'
      const before = await sh(`cat ${file}`)
      await site.machine.write(file, `${before}\npage_cache = true\n`)
      await sh('systemctl reload sheepfs@cluster1 && sheepfsctl vdi create made 16M')
      const locks = '/run/sheepfs/mount:locks'
      const lock = `${locks}/$(printf %s ${TREE}/volume/made | sha256sum | cut -d ' ' -f 1)`
      await sh(`mkdir -p ${locks} && systemd-run --quiet --collect --unit=locker flock ${lock} sleep infinity`)
      await site.machine.eventually(`! flock --nonblock ${lock} true`)
      await sh('systemd-run --quiet --collect sheepfsctl map made')
      // from here on it has the volume open, and to close a file asks who serves it
      await site.machine.eventually("sheepfsctl volumes | grep -E '^made +16M +1 '")
      await sh('systemctl kill -s KILL sheepfs@cluster1 && systemctl stop locker')
      await site.machine.eventually('sheepfsctl map made', START_LIMIT_MS)
      await sh('sheepfsctl unmap made && sheepfsctl vdi delete made')
      await site.machine.write(file, before)
      await sh('systemctl reload sheepfs@cluster1')
    })

    test('a boot completes without the cluster, and mounts what is on them once the cluster is back', async () => {
      await site.machine.shutDown()
      await site.cluster.kill()
      await site.machine.boot()
      await sh(`! mountpoint -q /srv/db && ${START_UDEV}`)
      await site.cluster.start()
      await site.machine.eventually(IS_THERE)
      await sh('systemctl stop srv-db.mount && fsck.ext4 -fn /dev/disk/by-sheepdog/cluster1/db01')
    })
  })
}
