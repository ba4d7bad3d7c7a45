import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { type Site, TREE } from './stage/site.ts'

/** The package goes, and comes again. */
export function showRemoval(site: Site): void {
  const sh = (command: string): Promise<string> => site.sh(command)

  describe('removal', () => {
    test('another version of the package starts nothing that was stopped', async () => {
      await sh('systemctl stop sheepfs@cluster1')
      assert.equal(await sh('findmnt --noheadings --types ext4,fuse.sheepfs || true'), '')
      await sh(`apt-get install -y --allow-downgrades /var/tmp/${basename(site.deb)}`)
      assert.match((await site.machine.run('systemctl', 'is-active', 'sheepfs@cluster1')).stdout, /inactive/)
    })

    test('a removal keeps the configuration, and another installation takes it', async () => {
      await sh('apt-get remove -y sheepfs && test -e /etc/sheepfs/cluster1.toml && ! test -e /usr/lib/sheepfs')
      await sh(
        `apt-get install -y /var/tmp/${basename(site.deb)} && systemctl start sheepfs@cluster1 && test -d ${TREE}/volume`,
      )
    })

    test('a purge leaves nothing', async () => {
      await sh('systemctl stop sheepfs@cluster1 && apt-get purge -y sheepfs')
      assert.equal(await sh('find /etc /run /usr /var/lib -iname "*sheepfs*"'), '')
    })
  })
}
