import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Site, TREE } from './stage/site.ts'

const VOLUME = `${TREE}/volume/guest`
const PID = 'systemctl show --value --property MainPID guest'
/** Longer than a stop takes that waits for nothing, shorter than one that gives its worker up. */
const IN_TIME = 'timeout --preserve-status 25'

/** Other units' copies of the tree, and programs that wait in it. */
export function showCopies(site: Site): void {
  const sh = (command: string): Promise<string> => site.sh(command)
  const startGuest = (command: string): Promise<string> =>
    sh(`systemd-run --quiet --unit=guest --service-type=exec -p PrivateMounts=yes -p MountFlags=private ${command}`)

  describe('a unit with mounts of its own', () => {
    test('does not hold up a stop with its copy of the tree, nor keep a lock', async () => {
      await sh('sheepfsctl vdi create guest 16M && sheepfsctl attach guest')
      await startGuest('sleep infinity')
      await sh(`nsenter --target $(${PID}) --mount dd if=${VOLUME} of=/dev/null count=1`)
      await sh(`${IN_TIME} systemctl stop sheepfs@cluster1`)
      await sh(`! nsenter --target $(${PID}) --mount test -e ${VOLUME}`)
      await sh(`systemctl start sheepfs@cluster1 && test -e ${VOLUME} && systemctl stop guest`)
    })

    test('is named when it has a file open, and the mount stays', async () => {
      await startGuest(`sh -c 'exec sleep infinity <${VOLUME}'`)
      await site.machine.eventually(`test "$(ps -o comm= $(${PID}))" = sleep`)
      assert.match(await sh(`! sheepfsctl unmount cluster1 2>&1`), new RegExp(`pid ${await sh(PID)}\\)`))
      await sh(`mountpoint ${TREE} && systemctl stop guest && test -e ${VOLUME}`)
    })
  })

  test('a program that waits for a cluster which does not answer is ended by a signal', async () => {
    site.cluster.hang()
    try {
      for (const signal of ['KILL', 'TERM']) {
        await sh(`dd if=${VOLUME} of=/dev/null iflag=direct & sleep 2; kill -${signal} $!; ! wait $!`)
      }
    } finally {
      site.cluster.goOn()
    }
    await sh(`dd if=${VOLUME} of=/dev/null iflag=direct && sheepfsctl detach guest && sheepfsctl vdi delete guest`)
  })
}
