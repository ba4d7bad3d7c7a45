import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { placeNextVersion } from './stage/package.ts'
import { CONFIG, type Site, TREE } from './stage/site.ts'

const WORKER = `sheepfsctl mounts --json | grep -oP '"pid": ?\\K\\d+'`
const RESTARTS = 'systemctl show --value --property NRestarts sheepfs@cluster1'
const MAIN_PID = 'systemctl show --value --property MainPID sheepfs@cluster1'
const NODE = `readlink /proc/$(${MAIN_PID})/exe`
const STORED = 'systemctl show --value --property NFileDescriptorStore sheepfs@cluster1'
const GENERATION = `sheepfsctl mounts --json | grep -oP '"generation": ?\\K\\d+'`

const WRITER = `
count() { wc -l </run/writes; }
write() { dd if=/dev/urandom of=/srv/web/f bs=64k count=1 oflag=sync status=none; }
more() { local wanted=$(($(count) + 3)); while test $(count) -lt $wanted; do kill -0 $writer; sleep 0.01; done; }
enough() { touch /run/enough; wait $writer; }
mountpoint -q /srv/web
test -e ${TREE}/volume/hand || { sheepfsctl vdi create hand 4M && sheepfsctl attach hand; }
head -c 1M /dev/urandom >/srv/web/written; written=$(sha256sum </srv/web/written)
exec 7</srv/web/passwd 8<${TREE}/volume/hand; read -r -N 9 -u 7
rm -f /run/enough; : >/run/writes; trap 'touch /run/enough' EXIT
(while ! test -e /run/enough; do write; echo >>/run/writes; done) & writer=$!`

/** What was only written, what was open and half read, and what was attached by hand: the cells of "what survives what". */
const SURVIVED = `
test "$(dd if=/srv/web/written iflag=direct bs=64k status=none | sha256sum)" = "$written"
cmp <(tail -c +10 /etc/passwd) - <&7
head -c 4M /dev/zero | cmp - /proc/self/fd/8
sheepfsctl volumes | grep -q '^hand '`

/** What ends without being asked, and what is asked to. /srv/web and /srv/tree are mounted. */
export function showCrashes(site: Site): void {
  const sh = (command: string): Promise<string> => site.sh(command)
  /** Runs a command while something writes to /srv/web and syncs, before, during and after it, without an error, nor a loss. */
  const underWrites = (command: string): Promise<string> => sh(`${WRITER}; more; ${command}; more; enough; ${SURVIVED}`)

  describe('ends and restarts', () => {
    test('a worker that is killed is not noticed by who writes', async () => {
      const generation = Number(await sh(GENERATION))
      await underWrites(`kill -KILL $(${WORKER})`)
      assert.equal(Number(await sh(GENERATION)), generation + 1)
    })

    test('a daemon that is killed, alone or with its workers, is not noticed by who writes', async () => {
      const restarts = Number(await sh(RESTARTS))
      await underWrites('systemctl kill --kill-whom=main -s KILL sheepfs@cluster1')
      await underWrites('systemctl kill -s KILL sheepfs@cluster1')
      await site.machine.eventually(`test $(${RESTARTS}) -eq ${restarts + 2} && systemctl is-active sheepfs@cluster1`)
      await sh('cmp /etc/passwd /srv/web/passwd && test -d /srv/tree/volume')
      assert.equal(await sh(STORED), '2') // the device of the mount, and its record
    })

    for (const [who, whom] of [
      ['alone', '--kill-whom=main'],
      ['with its workers', ''],
    ] as const) {
      test(`a daemon that is killed ${who} while it stops leaves no lock`, async () => {
        await sh('sheepfsctl volumes | grep "^hand " || sheepfsctl attach hand')
        await sh(
          `systemd-run --quiet --unit=inside --service-type=exec -p WorkingDirectory=${TREE}/volume sleep infinity`,
        )
        await sh('systemctl stop --no-block sheepfs@cluster1')
        await site.machine.eventually('systemctl show --property StatusText sheepfs@cluster1 | grep -i stopping')
        await sh(`systemctl kill ${whom} -s KILL sheepfs@cluster1; systemctl stop inside`)
        await site.machine.eventually('[[ $(systemctl is-active sheepfs@cluster1) =~ inactive|failed ]]')
        await sh('systemctl start sheepfs@cluster1')
        await sh('sheepfsctl volumes | grep "^hand "')
        await site.machine.eventually('mountpoint /srv/web && mountpoint /srv/tree')
      })
    }

    test('a reload takes another configuration, and nothing of one that is wrong', async () => {
      await sh('sheepfsctl vdi create extra 16M')
      await site.machine.write('/etc/sheepfs/cluster1.toml', `${CONFIG}volumes = ["extra"]\npage_cache = true\n`)
      await underWrites(
        `systemctl reload sheepfs@cluster1; test -e ${TREE}/volume/extra; grep 1 ${TREE}/config/page_cache`,
      )
      await site.machine.write('/etc/sheepfs/cluster1.toml', 'sheeps = []\n')
      await sh('! systemctl reload sheepfs@cluster1')
      assert.match(await sh('journalctl --unit sheepfs@cluster1 --lines 5'), /not reloaded: .*sheeps/)
      assert.equal(await sh('systemctl is-active sheepfs@cluster1'), 'active')
      await site.machine.write('/etc/sheepfs/cluster1.toml', CONFIG)
      await underWrites(`systemctl reload sheepfs@cluster1; ! test -e ${TREE}/volume/extra`)
    })

    test('a restart of the service unmounts nothing, and is not noticed by who writes', async () => {
      const [generation, pid] = [Number(await sh(GENERATION)), await sh(MAIN_PID)]
      await underWrites('systemctl restart sheepfs@cluster1')
      assert.equal(Number(await sh(GENERATION)), generation + 1)
      assert.notEqual(await sh(MAIN_PID), pid)
      await sh('cmp /etc/passwd /srv/web/passwd && test -d /srv/tree/volume')
    })

    test('an upgrade of the package, and going back, replaces all of the program, and who writes does not notice', async () => {
      await placeNextVersion(site.machine, site.deb, '/var/tmp/next.deb')
      for (const deb of ['next.deb', basename(site.deb)]) {
        const pid = await sh(MAIN_PID)
        await underWrites(`apt-get install -y --allow-downgrades /var/tmp/${deb}`)
        assert.notEqual(await sh(MAIN_PID), pid)
      }
    })

    test('the package with its own Node.js takes the place of the other one, and back, and who writes does not notice', async () => {
      const bundled = `/var/tmp/${await site.placeBundled()}`
      await assert.rejects(sh(`apt-get install -y ${bundled}`), /put its other package in its place.*dpkg --install/)
      await underWrites(`dpkg --install ${bundled}`)
      assert.equal(await sh(NODE), '/usr/lib/sheepfs/bin/node')
      await sh('mv /usr/bin/node /run/ && dpkg --purge sheepfs && test -e /etc/sheepfs/cluster1.toml')
      await underWrites(`kill -KILL $(${WORKER})`)
      await underWrites('systemctl restart sheepfs@cluster1')
      await sh('mv /run/node /usr/bin/')
      await underWrites(`dpkg --install /var/tmp/${basename(site.deb)}`)
      assert.equal(await sh(NODE), '/usr/bin/node')
      await sh(`dpkg --purge sheepfs-bundled && rm ${bundled}`)
    })

    test('a restart with a configuration that is wrong serves on what is mounted', async () => {
      await site.machine.write('/etc/sheepfs/cluster1.toml', 'sheeps = []\n')
      await underWrites('systemctl restart sheepfs@cluster1')
      assert.match(await sh('journalctl --unit sheepfs@cluster1 --lines 20'), /goes on as before: .*sheeps/)
      await site.machine.write('/etc/sheepfs/cluster1.toml', CONFIG)
      await sh('systemctl restart sheepfs@cluster1')
    })

    test('a state file that is lost takes no mount with it', async () => {
      await underWrites('rm /run/sheepfs/cluster1/state.json; systemctl kill -s KILL sheepfs@cluster1')
      await site.machine.write('/run/sheepfs/cluster1/state.json', '{"mounts": [{')
      await underWrites('systemctl kill -s KILL sheepfs@cluster1')
      await sh('cmp /etc/passwd /srv/web/passwd && test -e /run/sheepfs/cluster1/state.json')
    })

    test('where nothing outlives the daemon, lines of fstab are mounted again while somebody stands inside', async () => {
      const settings = '/etc/systemd/system/sheepfs@cluster1.service.d'
      const again = async (): Promise<void> => {
        await sh('systemctl daemon-reload && systemctl stop sheepfs@cluster1 && systemctl start sheepfs@cluster1')
        await site.machine.eventually('mountpoint /srv/web && mountpoint /srv/tree')
      }
      await site.machine.write(`${settings}/none.conf`, '[Service]\nFileDescriptorStoreMax=0\n')
      await again()
      await sh('systemd-run --quiet --unit=inside --service-type=exec -p WorkingDirectory=/srv/web sleep infinity')
      for (const whom of ['--kill-whom=main', '']) {
        const killed = (await sh('systemctl show --value --property MainPID sheepfs@cluster1')).trim()
        await sh(`systemctl kill ${whom} -s KILL sheepfs@cluster1`)
        await site.machine.eventually(
          `systemctl is-active sheepfs@cluster1 && ! [[ $(systemctl show --value --property MainPID sheepfs@cluster1) =~ ^(0|${killed})$ ]]`,
        )
        await site.machine.eventually('mountpoint /srv/tree && cmp /etc/passwd /srv/web/passwd && touch /srv/web/alive')
      }
      assert.match(await sh('journalctl --unit sheepfs@cluster1 --lines 50'), /a dead file system was taken away/)
      assert.doesNotMatch(await sh('sheepfsctl health'), /dead/)
      await sh(`systemctl stop inside && rm -r ${settings}`)
      await again()
    })

    test('the package is not removed while something is mounted', async () => {
      await assert.rejects(sh('apt-get remove -y sheepfs'), /still running, with its mounts/)
      await sh('cmp /etc/passwd /srv/web/passwd && systemctl is-active sheepfs@cluster1')
    })
  })
}
