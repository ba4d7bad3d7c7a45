// The service killed, restarted and upgraded under load, in a booted system. See README.md in this folder.
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { placeNextVersion } from '../system/stage/package.ts'
import { CONFIG, Site, TREE } from '../system/stage/site.ts'

const TIMES = Number(process.env['SHEEPFS_TEST_TIMES'] ?? 20)
const UNIT = 'sheepfs@cluster1'
const KILL = `systemctl kill -s KILL ${UNIT}`
/** A supervisor that dies younger is restarted after a pause. */
const STABLE_S = 3
const NS_PER_S = 1e9

/** What is done to the service, how often, and what share of `TIMES` that is. */
const KINDS = [
  { name: 'the supervisor killed', commands: [KILL.replace('kill', 'kill --kill-whom=main')], share: 1 },
  { name: 'supervisor and workers killed', commands: [KILL], share: 0.75 },
  {
    name: 'supervisor and workers killed twice in 300 ms',
    commands: [`${KILL}; sleep 0.25; ${KILL} || true`],
    share: 0.25,
  },
  { name: 'restarted', commands: [`systemctl restart ${UNIT}`], share: 1 },
  { name: 'upgraded and downgraded', commands: ['next', 'first'].map(installed), share: 0.25 },
] as const

/** Of fio, and what is verified after each round of it. */
const LOAD = '--name=load --directory=/srv/web --size=24m --bs=4k --rw=randwrite --rate=,6m --end_fsync=1'
const VERIFY = '--verify=crc32c --verify_fatal=1 --verify_state_save=0'
const WAYS = {
  direct: '--ioengine=libaio --iodepth=8 --direct=1',
  cached: '--ioengine=psync --fsync=64',
} as const

function installed(deb: string): string {
  return `apt-get install -y --allow-downgrades /var/tmp/${deb}.deb`
}

/** fio, round after round, until /run/enough is there; the last seed is that of the last round. */
function load(way: keyof typeof WAYS): string {
  const round = `fio ${LOAD} ${VERIFY} ${WAYS[way]} --randseed=$round --output-format=json --output=/run/fio/$round.json`
  return `rm -f /run/enough; rm -rf /run/fio; mkdir /run/fio
    systemd-run --quiet --unit=load bash -c 'round=0; until test -e /run/enough; do round=$((round + 1)); ${round.replaceAll("'", '"')} || exit 1; done; echo $round >/run/rounds'`
}

describe(`a service under load, ${TIMES} times`, { timeout: 7_200_000 }, () => {
  const site = new Site()
  const sh = (command: string): Promise<string> => site.sh(command)

  before(
    async () => {
      await site.setUp()
      const { machine, deb } = site
      await sh(`cd /var/tmp && mv ${basename(deb)} first.deb && apt-get install -y ./first.deb 2>&1`)
      await placeNextVersion(machine, deb, '/var/tmp/next.deb')
      await machine.write('/etc/fstab', 'cluster1/web /srv/web sheepfs noauto,_netdev,nofail 0 0\n')
      await site.directories('/srv/web')
      await sh(`systemctl daemon-reload; systemctl enable ${UNIT} && systemctl start ${UNIT}`)
    },
    { timeout: 300_000 },
  )
  after(() => site.destroy(), { timeout: 300_000 })

  const isWell = (): Promise<void> => site.machine.eventually(`systemctl is-active ${UNIT} && sheepfsctl health`)

  /** The longest time that a read, a write or a fsync took, s. Errors: one of them failed, or a block is not as it was written. */
  const longestStall = async (): Promise<number> => {
    await site.machine.eventually('! systemctl is-active load', 300_000)
    assert.equal(await sh('systemctl show --value --property Result load'), 'success')
    const longest = `node -e '
      const { readdirSync, readFileSync } = require("fs")
      const jobs = readdirSync("/run/fio").flatMap((name) => JSON.parse(readFileSync("/run/fio/" + name)).jobs)
      console.log(Math.max(...jobs.flatMap(({ read, write, sync }) => [read, write, sync].map((of) => (of.clat_ns ?? of.lat_ns).max))))'`
    return Number(await sh(longest)) / NS_PER_S
  }

  for (const [way, pageCache] of [
    ['direct', false],
    ['cached', true],
  ] as const) {
    describe(`ext4 on a loop device, ${way}`, () => {
      before(async () => {
        await site.machine.write('/etc/sheepfs/cluster1.toml', `${CONFIG}page_cache = ${pageCache}\n`)
        await sh(`systemctl restart ${UNIT}`)
        await site.makeFileSystem('web')
        await sh('mount /srv/web')
      })

      for (const { name, commands, share } of KINDS) {
        test(`${name}: no error`, { timeout: 1_800_000 }, async (t) => {
          const times = Math.ceil(TIMES * share)
          await sh(load(way))
          for (let at = 0; at < times; at++) {
            for (const command of commands) {
              await sh(`sleep ${STABLE_S}; systemctl is-active load; ${command} 2>&1`)
              await isWell()
            }
          }
          await sh('touch /run/enough')
          t.diagnostic(`${times * commands.length} times; longest stall ${(await longestStall()).toFixed(2)} s`)
        })
      }

      test('at the end the file system is clean, and all is there', { timeout: 300_000 }, async () => {
        await sh('umount /srv/web')
        await writeFile('/proc/sys/vm/drop_caches', '3')
        await sh(
          `sheepfsctl map web; e2fsck -fn $(losetup --list --noheadings --output NAME,BACK-FILE | awk '$2 == "${TREE}/volume/web" { print $1 }'); sheepfsctl unmap web`,
        )
        await sh('mount /srv/web')
        await sh(`fio ${LOAD} ${VERIFY} ${WAYS.direct} --randseed=$(cat /run/rounds) --verify_only=1`)
        await sh('umount /srv/web; sheepfsctl vdi delete web')
      })
    })
  }
})
