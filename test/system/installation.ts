import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { run } from '../e2e/stage/program.ts'
import { type Site, TREE } from './stage/site.ts'

/** From the package to an instance that serves. */
export function showInstallation(site: Site): void {
  describe('installation', () => {
    test('the package installs with apt, makes the account and the group, and starts nothing', async () => {
      await site.sh(`cd /var/tmp && apt-get install -y ./${basename(site.deb)} 2>&1`)
      assert.match(await site.sh('getent passwd sheepfs'), /nologin/)
      await site.sh('getent group sheepfs-admin')
      assert.equal(await site.sh("systemctl list-units --plain --no-legend 'sheepfs*.service'"), '')
      assert.doesNotMatch(await site.sh("systemctl list-unit-files --no-legend 'sheepfs*'"), / enabled /)
    })

    test(
      'lintian finds no fault with the package',
      { skip: existsSync('/usr/bin/lintian') ? false : 'no lintian' },
      async () => {
        const { status, stdout, stderr } = await run('lintian', ['--fail-on=error,warning', site.deb], {
          limitMs: 300_000,
        })
        assert.equal(status, 0, stdout + stderr)
      },
    )

    test('systemd finds no fault with the units, and little exposure', async () => {
      assert.equal(
        await site.sh('systemd-analyze verify sheepfs@cluster1.service sheepfs-outage@cluster1.service 2>&1'),
        '',
      )
      for (const [unit, most] of [
        ['sheepfs@cluster1.service', 4.8],
        ['sheepfs-outage@cluster1.service', 3],
      ] as const) {
        const exposure = await site.sh(`systemd-analyze security --no-pager ${unit} | tail -1`)
        assert.ok(Number(/level for .*: ([\d.]+)/.exec(exposure)?.[1]) <= most, exposure)
      }
    })

    test('the service is ready once its mount serves, not before', async () => {
      site.cluster.hang()
      await site.sh('systemctl enable sheepfs@cluster1 && systemctl start --no-block sheepfs@cluster1')
      const request = "awk '$2 ~ /:1B58$/ && $5 !~ /:0+$/' /proc/net/tcp | grep -q ."
      await site.machine.eventually(request)
      assert.equal((await site.machine.run('systemctl', 'is-active', 'sheepfs@cluster1')).stdout, 'activating\n')
      const served = site.sh(`systemctl start sheepfs@cluster1 && cat ${TREE}/cluster/info`)
      site.cluster.goOn()
      assert.match(await served, /Cluster status: running/)
      assert.equal(await site.sh('systemctl is-active sheepfs@cluster1'), 'active')
    })

    test('everybody sees the mount, not only the unit', async () => {
      assert.equal(await site.sh(`findmnt --noheadings --output FSTYPE,SOURCE ${TREE}`), 'fuse.sheepfs cluster1')
      assert.match(await site.sh('systemctl status sheepfs@cluster1'), /Status: ".*serv/)
    })

    test('systemd is told too when sd-notify was compiled for another Node.js', async () => {
      const module = '/usr/lib/sheepfs/node_modules/sd-notify'
      await site.sh(`mv ${module} /run/ && systemctl restart sheepfs@cluster1 && cat ${TREE}/cluster/info`)
      await site.sh('systemctl reload sheepfs@cluster1 && systemctl is-active sheepfs@cluster1')
      assert.match(
        await site.sh('journalctl --unit sheepfs@cluster1'),
        /told through systemd-notify: the module sd-notify/,
      )
      await site.sh(`mv /run/sd-notify ${module}`)
    })
  })
}
