import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CONFIG, type Site, TREE } from './stage/site.ts'

const OPEN_TREE = '/srv/open'
const AS_NOBODY = 'setpriv --reuid=nobody --regid=nogroup --clear-groups'
const AS_WORKER = 'setpriv --reuid=sheepfs --regid=sheepfs --clear-groups'
const AS_MEMBER = 'setpriv --reuid=nobody --regid=nogroup --groups=$(getent group sheepfs-admin | cut -d: -f3)'

const REFUSAL = /socket_group "sheepfs" is the group of the workers/

/** Who gets at what. */
export function showAccess(site: Site): void {
  describe('access', () => {
    test('the control socket is for root and the group, which is not that of the workers', async () => {
      const socket = '/run/sheepfs/cluster1/control.sock'
      assert.equal(await site.sh(`stat --format "%a %U %G" ${socket}`), '660 root sheepfs-admin')
      await assert.rejects(site.sh(`${AS_WORKER} curl -s --unix-socket ${socket} http://x/v1/status`), /status 7:/)
      await assert.rejects(site.sh(`${AS_NOBODY} sheepfsctl -i cluster1 status`), /status 6: .*may not/)
      assert.match(await site.sh(`${AS_MEMBER} sheepfsctl -i cluster1 status`), /serving/)
    })

    test("the workers' group is refused for the socket, by a start and by a reload", async () => {
      const file = '/etc/sheepfs/cluster1.toml'
      await site.machine.write(file, CONFIG.replace('sheepfs-admin', 'sheepfs'))
      await assert.rejects(site.sh('systemctl reload sheepfs@cluster1'))
      assert.match(await site.sh('sheepfsctl -i cluster1 doctor || true'), REFUSAL)
      await site.machine.write('/etc/sheepfs/bad.toml', 'socket_group = "sheepfs"\n')
      await assert.rejects(site.sh('systemctl start sheepfs@bad'))
      await site.machine.eventually(`journalctl --unit sheepfs@bad | grep -E '${REFUSAL.source}'`)
      await site.sh('systemctl reset-failed sheepfs@bad; rm /etc/sheepfs/bad.toml')
      await site.machine.write(file, CONFIG)
      await site.sh('systemctl reload sheepfs@cluster1')
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
