import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Site, TREE } from './stage/site.ts'

const OPEN_TREE = '/srv/open'
const AS_NOBODY = 'setpriv --reuid=nobody --regid=nogroup --clear-groups'
const AS_MEMBER = 'setpriv --reuid=nobody --regid=nogroup --groups=$(getent group sheepfs | cut -d: -f3)'

/** Who gets at what. */
export function showAccess(site: Site): void {
  describe('access', () => {
    test('the control socket is for root and the group', async () => {
      assert.equal(await site.sh('stat --format "%a %U %G" /run/sheepfs/cluster1/control.sock'), '660 root sheepfs')
      await assert.rejects(site.sh(`${AS_NOBODY} sheepfsctl -i cluster1 status`), /status 6: .*may not/)
      assert.match(await site.sh(`${AS_MEMBER} sheepfsctl -i cluster1 status`), /serving/)
    })

    test('nobody else gets into a tree, nor at the volumes of one that is open to others', async () => {
      await site.sh('sheepfsctl vdi create secret 16M')
      await site.directories(OPEN_TREE)
      const config = `sheep = ["127.0.0.1"]\n[[mount]]\nmountpoint = "${OPEN_TREE}"\nvolumes = ["secret"]\nallow_other = true\n`
      await site.machine.write('/etc/sheepfs/an-open.one_2.toml', config)
      await site.sh('systemctl start sheepfs@an-open.one_2')
      await assert.rejects(site.sh(`${AS_NOBODY} ls ${TREE}`), /Permission denied/)
      assert.match(await site.sh(`${AS_NOBODY} cat ${OPEN_TREE}/vdi/list`), /secret/)
      await assert.rejects(site.sh(`${AS_NOBODY} head -c 1 ${OPEN_TREE}/volume/secret`), /Permission denied/)
      await assert.rejects(site.sh(`${AS_NOBODY} sh -c 'echo secret > ${OPEN_TREE}/vdi/unmount'`), /Permission denied/)
    })

    test('nothing of sheepfs can be written by everybody', async () => {
      const places = `/run/sheepfs /etc/sheepfs ${TREE} ${OPEN_TREE} $(dpkg --listfiles sheepfs | grep sheepfs)`
      assert.equal(await site.sh(`find ${places} -perm -o+w ! -type l`), '')
      await site.sh('systemctl stop sheepfs@an-open.one_2 && sheepfsctl vdi delete secret')
      assert.equal(await site.sh(`ls -A ${OPEN_TREE}`), '')
    })
  })
}
