import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Site, TREE } from './stage/site.ts'

const FSTAB = `cluster1 /srv/tree sheepfs _netdev,nofail 0 0
cluster1/web01 /srv/web sheepfs _netdev,nofail,noatime 0 0
cluster1/auto /srv/auto sheepfs noauto,x-systemd.automount,x-systemd.idle-timeout=1h 0 0
cluster1/any /srv/any sheepfs noauto,user,x-any.thing,comment=whatever 0 0
sheepdog://127.0.0.1/any /srv/alone sheepfs noauto,_netdev,nofail 0 0
`
const STRANGE_FSTAB = 'cluster1\t/srv/a-b\\040c\\134d\tsheepfs\n  cluster1 /srv/link/ sheepfs _netdev'
/** A second client of the cluster, which the lock keeps out while another one has the volume. */
const BY_OTHERS = 'mount -t sheepfs sheepdog://127.0.0.1:7000/web01 /srv/alone'

/** /etc/fstab, mount(8), umount(8) and mount units. */
export function showMounting(site: Site): void {
  const sh = (command: string): Promise<string> => site.sh(command)

  describe('mounting', () => {
    test('lines of fstab are mounted by mount -a, and by nothing twice', async () => {
      await site.directories('/srv/tree', '/srv/web', '/srv/auto', '/srv/any', '/srv/alone')
      for (const vdi of ['web01', 'auto', 'any']) await site.makeFileSystem(vdi)
      await site.machine.write('/etc/fstab', FSTAB)
      assert.match(await sh('findmnt --verify 2>&1'), / 0 errors/)
      await sh('systemctl daemon-reload && mount -a && mount -a')
      assert.equal(await sh('grep -cE " /srv/(tree|web) " /proc/self/mounts'), '2')
      await sh('cp /etc/passwd /srv/web/ && test -d /srv/tree/volume')
      assert.match(await sh('findmnt --noheadings --output OPTIONS /srv/web'), /noatime/)
    })

    test('lines with blanks, dashes, links and no end are mounted and stopped with their service, by the names that systemd gives', async () => {
      await site.directories('/srv/a-b c\\d', '/srv/real-one')
      await sh('ln -s real-one /srv/link')
      await site.machine.write('/etc/fstab', `${FSTAB}${STRANGE_FSTAB}`)
      await sh('systemctl daemon-reload')
      const units = ['srv-a\\x2db\\x20c\\x5cd.mount', 'srv-real\\x2done.mount']
      for (const unit of units) {
        const wants = await site.machine.succeed('systemctl', 'show', '--property=Wants', unit)
        assert.match(wants, /sheepfs@cluster1\.service/)
      }
      await sh('umount /srv/web /srv/tree && systemctl restart sheepfs@cluster1')
      for (const unit of units) await site.machine.eventually(`systemctl is-active '${unit}'`)
      await site.machine.eventually('mountpoint /srv/web && mountpoint /srv/tree')
      await sh("mountpoint '/srv/a-b c\\d' && mountpoint /srv/real-one")
      await sh('systemctl stop sheepfs@cluster1')
      assert.equal(await sh('findmnt --noheadings --types ext4,fuse.sheepfs || true'), '')
      await site.machine.write('/etc/fstab', FSTAB)
      await sh('systemctl daemon-reload && systemctl start sheepfs@cluster1')
      await site.machine.eventually('mountpoint /srv/web && mountpoint /srv/tree')
    })

    test('a mounted volume is locked; umount leaves no loop device, no attachment and no lock', async () => {
      await assert.rejects(sh(BY_OTHERS), /locked/)
      await sh('umount /srv/web /srv/tree')
      assert.equal(await site.leftovers(), '')
      await sh(`${BY_OTHERS} && cmp /etc/passwd /srv/alone/passwd && umount /srv/alone`)
      await site.machine.eventually("! pgrep -f '[s]heepfs.js.*--attach'")
    })

    test('mount units start and stop the same', async () => {
      await sh('systemctl start srv-web.mount srv-tree.mount && cmp /etc/passwd /srv/web/passwd')
      await sh('systemctl stop srv-web.mount srv-tree.mount')
      assert.equal(await site.leftovers(), '')
      await sh('systemctl stop sheepfs@cluster1 && systemctl start srv-web.mount && cmp /etc/passwd /srv/web/passwd')
      await sh('systemctl start srv-tree.mount')
    })

    test('mount -o remount changes the options of what is mounted', async () => {
      await sh('mount -o remount,ro /srv/web')
      await assert.rejects(sh('touch /srv/web/x'), /Read-only/)
      await sh('mount -o remount,rw /srv/web && touch /srv/web/x')
      await sh('mount -o remount,ro /srv/tree && mount -o remount,rw /srv/tree')
    })

    test('an automount mounts when somebody looks', async () => {
      await sh('systemctl start srv-auto.automount && ls /srv/auto/lost+found && mountpoint /srv/auto')
      assert.equal(await sh('systemctl is-active srv-auto.mount'), 'active')
      await sh('systemctl stop srv-auto.automount srv-auto.mount')
    })

    test('umount -l of a volume in use lets it go with its last user; umount -f is refused while it is used', async () => {
      await sh('mount /srv/any')
      await sh('systemd-run --quiet --unit=user --service-type=exec -p WorkingDirectory=/srv/any sleep infinity')
      await assert.rejects(sh('umount -f /srv/any'), /busy/)
      await sh('umount -l /srv/any')
      assert.match(await site.leftovers(), /any/)
      await sh('systemctl stop user')
      await site.machine.eventually(`! losetup --list | grep -q ${TREE}/volume/any`)
      await sh('mount /srv/any && umount -f /srv/any')
      assert.doesNotMatch(await site.leftovers(), /any/)
    })

    test('a user is told that a volume takes root', async () => {
      await assert.rejects(sh('setpriv --reuid=nobody --regid=nogroup --clear-groups mount /srv/any'), /only root/)
    })
  })
}
