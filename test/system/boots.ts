import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Site } from './stage/site.ts'

const ALL_THERE = 'systemctl is-active sheepfs@cluster1 && mountpoint /srv/web && test -d /srv/tree/volume'
/** What units allow a stop at most: TimeoutStopSec= of sheepfs@.service, and a little for the rest of the system. */
const SHUTDOWN_BOUND_MS = 120_000

/** Ups and downs of the whole machine, with and without its cluster. */
export function showBoots(site: Site): void {
  const sh = (command: string): Promise<string> => site.sh(command)
  /** The command that shows what is logged from now on: the kernel, which says what a boot is, goes on. */
  const logFromNow = (): string => `journalctl --quiet --since=@${Math.ceil(Date.now() / 1000)}`

  describe('boot and shutdown', () => {
    test('a shutdown in the middle of writes keeps what was synced, and a second boot has it all', async () => {
      await sh('head -c 5M /dev/urandom >/srv/web/big && sync -f /srv/web && sha256sum /srv/web/big >/var/lib/sum')
      await sh("systemd-run --quiet --collect bash -c 'while cp /srv/web/big /srv/web/copy; do :; done'")
      const log = logFromNow()
      await site.machine.shutDown()
      await site.machine.boot()
      await sh(ALL_THERE)
      await sh('sha256sum --check /var/lib/sum && cmp /etc/passwd /srv/web/passwd')
      assert.doesNotMatch(await sh('sheepfsctl volumes'), /^hand /m) // attached by hand, and gone with /run
      assert.doesNotMatch(await sh(`${log} --unit sheepfs@cluster1`), /by force|lost/)
    })

    test('a cluster that dies while mounted does not hold up the shutdown', async () => {
      await sh('echo unsaved >/srv/web/unsaved')
      await site.cluster.kill()
      await sh("systemd-run --quiet --collect bash -c 'echo unsaved >/srv/web/more; sync'")
      assert.ok((await site.machine.shutDown()) < SHUTDOWN_BOUND_MS)
    })

    test('a boot completes without the cluster, says why nothing is mounted, and mounts once the cluster is back', async () => {
      const log = logFromNow()
      await site.machine.boot()
      assert.equal(await sh('grep -E " /srv/(web|tree) |fuse\\.sheepfs" /proc/self/mounts || true'), '')
      assert.match(
        await sh(`${log} --unit sheepfs@cluster1`),
        /mount "cluster1": sheep 127\.0\.0\.1:7000: .*ECONNREFUSED/,
      )
      assert.match(
        await sh(`${log} --unit srv-web.mount`),
        /no instance "?cluster1"?|not running|Failed to mount srv-web\.mount/,
      )
      await site.cluster.start()
      await site.machine.eventually(ALL_THERE)
      await sh('sha256sum --check /var/lib/sum')
    })
  })
}
