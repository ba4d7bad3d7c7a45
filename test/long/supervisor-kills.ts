// The supervisor killed at random moments of what it does, in a booted system. See README.md in this folder.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Random } from '../sheep/random.ts'
import type { Announcer } from '../system/stage/announcer.ts'
import { CONFIG, Site, TREE } from '../system/stage/site.ts'

const SEED = Number(process.env['SHEEPFS_TEST_SEED'] ?? 1)
const KILLS = Number(process.env['SHEEPFS_TEST_KILLS'] ?? 200)
/** Longest time from the beginning of an operation to the kill: of a request, and of what starts programs. */
const LONGEST_MS = { request: 250, program: 1500 } as const
const UNIT = 'sheepfs@cluster1'
const API = 'curl -sS --max-time 60 --unix-socket /run/sheepfs/cluster1/control.sock http://localhost/v1'
/** Supervisors that die one after the other are restarted after pauses, which are not what is looked at here. */
const FORGET_DEATHS = 'rm -f /run/sheepfs/cluster1/early-deaths'
const HELD_LOCKS = join(import.meta.dirname, '../system/stage/held-locks.js')
/** Their names tell their loop devices from those of others, which are to be seen in the machine as well. */
const NAME = TREE.replace(/^.*-/, 'k')
const WEB = `${NAME}-web`
const KEEP = `${NAME}-keep`
const OTHERS = ['a', 'b', 'c'].map((letter) => `${NAME}-${letter}`)
/** Between the answers to questions that are asked together. */
const BETWEEN = '-- next --'
const AGREEMENT_LIMIT_MS = 60_000
const POLL_MS = 100
const FSTAB = `cluster1/${WEB} /srv/web sheepfs noauto,_netdev,nofail 0 0
cluster1/${KEEP} /srv/keep sheepfs _netdev,nofail 0 0
`

const words = (text: string): string[] =>
  text
    .split(/\s+/)
    .filter((word) => word !== '')
    .sort()

/** What the instance, its tree, the kernel and the cluster say; lists of words. */
interface Facts {
  readonly health: string
  readonly attached: readonly string[]
  readonly shown: readonly string[]
  readonly locked: readonly string[]
  readonly expectedLocks: readonly string[]
  /** Places where file systems of the instance are mounted. */
  readonly mounted: readonly string[]
  /** Volumes that loop devices are over, one for each device. */
  readonly looped: readonly string[]
  readonly mapped: readonly string[]
  readonly stored: string
  readonly processes: readonly string[]
}

describe(`${KILLS} kills of the supervisor, seed ${SEED}`, { timeout: 3_600_000 }, () => {
  const site = new Site()
  const random = new Random(SEED)
  const sizes = new Map(OTHERS.map((name) => [name, 4]))
  const sh = (command: string): Promise<string> => site.sh(command)
  let isCached = false
  let locks: Announcer | undefined
  let lockQuestions = 0

  before(
    async () => {
      await site.setUp()
      await sh('cd /var/tmp && apt-get install -y ./sheepfs_*.deb 2>&1')
      await sh(`systemctl enable ${UNIT} && systemctl start ${UNIT}`)
      await site.directories('/srv/web', '/srv/keep')
      await site.makeFileSystem(WEB)
      await site.makeFileSystem(KEEP)
      for (const name of OTHERS) await sh(`sheepfsctl vdi create ${name} 4M`)
      await site.machine.write('/etc/fstab', FSTAB)
      await sh('systemctl daemon-reload')
      await keep()
    },
    { timeout: 300_000 },
  )
  after(() => site.destroy(), { timeout: 300_000 })

  /** Something writes without an end, and ends when a write fails. */
  const keep = (): Promise<string> =>
    sh(`mountpoint -q /srv/keep || mount /srv/keep
      systemctl reset-failed keeper 2>/dev/null || true
      systemd-run --quiet --unit=keeper bash -c 'while dd if=/dev/urandom of=/srv/keep/f bs=64k count=4 oflag=sync status=none; do sleep 0.05; done; exit 1'`)

  /** What begins at once: sheepfsctl would take longer to start than most operations take. */
  const ask = (method: string, path: string, body?: object): string => {
    const data = body === undefined ? '' : ` --json "${JSON.stringify(body).replaceAll('"', '\\"')}"`
    return `${API}/mounts/cluster1/${path} -X ${method}${data}`
  }

  const OPERATIONS = {
    attach: () => ask('PUT', `volumes/${random.pick(OTHERS)}`),
    detach: () => ask('DELETE', `volumes/${random.pick(OTHERS)}`),
    map: () => ask('PUT', `devices/${random.pick(OTHERS)}`),
    unmap: () => ask('DELETE', `devices/${random.pick(OTHERS)}`),
    grow: () => {
      const name = random.pick(OTHERS)
      const size = (sizes.get(name) ?? 4) + 4
      sizes.set(name, size)
      return ask('POST', `vdis/${name}/resize`, { size: size * 2 ** 20 })
    },
    mount: () => 'mount /srv/web',
    unmount: () => 'umount /srv/web',
    reload: () => `systemctl reload ${UNIT}`,
    restart: () => `systemctl restart ${UNIT}`,
    stop: () => `systemctl stop keeper; umount /srv/keep; systemctl stop ${UNIT}`,
  } as const

  const killDuring = async (kind: keyof typeof OPERATIONS): Promise<string> => {
    if (kind === 'reload') {
      isCached = !isCached
      await site.machine.write('/etc/sheepfs/cluster1.toml', `${CONFIG}page_cache = ${isCached}\n`)
    }
    const operation = OPERATIONS[kind]()
    const whom = random.chance(0.25) ? '' : '--kill-whom=main'
    const seconds = (
      random.below(operation.startsWith('curl') ? LONGEST_MS.request : LONGEST_MS.program) / 1000
    ).toFixed(3)
    const said = await sh(`set +e; ${FORGET_DEATHS}
      (timeout 90 bash -c '${operation}' 2>&1; echo "status $?") &
      sleep ${seconds}; systemctl kill ${whom} -s KILL ${UNIT} 2>/dev/null; wait`)
    if (kind === 'stop') {
      await sh(`systemctl start ${UNIT}`)
      await keep()
    }
    return `${operation}; killed ${whom === '' ? 'all' : 'the supervisor'} after ${seconds} s: ${said.replaceAll('\n', '; ')}`
  }

  /** Of these vids, those that are locked in the cluster. */
  const heldLocks = async (vids: readonly string[]): Promise<string[]> => {
    locks ??= (await site.machine.startBeside(process.execPath, [HELD_LOCKS, '127.0.0.1:7000'])).announcer
    locks.process.stdin?.write(`${++lockQuestions} ${vids.join(' ')}\n`)
    return words(await locks.said(new RegExp(`^locked ${lockQuestions}: (.*)$`, 'm')))
  }

  const QUESTIONS = {
    health: `${API}/health`,
    volumes: ask('GET', 'volumes'),
    vdis: ask('GET', 'vdis'),
    devices: ask('GET', 'devices'),
    shown: `ls ${TREE}/volume`,
    mounted: `awk '$2 == "${TREE}" || $2 ~ "^/srv/(web|keep)$" { print $2 }' /proc/self/mounts`,
    looped: `cat /sys/block/loop*/loop/backing_file 2>/dev/null | grep -o '${NAME}-[a-z]*' || true`,
    stored: `systemctl show --value --property NFileDescriptorStore ${UNIT}`,
    processes: `pgrep --count --full '^sheepfs-worker' || true; pgrep --count --full '[/]sheepfsd' || true`,
  } as const

  const gather = async (): Promise<Facts> => {
    const commands = Object.values(QUESTIONS).map((command) => `${command}; echo; echo ${BETWEEN}`)
    const texts = (await sh(commands.join('\n'))).split(BETWEEN)
    const said = Object.fromEntries(
      Object.keys(QUESTIONS).map((name, at) => [name, texts[at]?.trim() ?? '']),
    ) as Record<keyof typeof QUESTIONS, string>
    const volumes = JSON.parse(said.volumes) as { name: string; read_only: boolean }[]
    const vdis = JSON.parse(said.vdis) as { name: string; vid: string; tag: string }[]
    const devices = JSON.parse(said.devices) as { volume: string }[]
    const written = volumes.filter((volume) => !volume.read_only).map(({ name }) => name)
    return {
      health: (JSON.parse(said.health) as { status: string }).status,
      attached: volumes.map(({ name }) => name).sort(),
      shown: words(said.shown),
      locked: await heldLocks(vdis.map(({ vid }) => vid)),
      expectedLocks: vdis
        .filter(({ name, tag }) => tag === '' && written.includes(name))
        .map(({ vid }) => vid)
        .sort(),
      mounted: words(said.mounted),
      looped: words(said.looped),
      mapped: devices.map(({ volume }) => volume).sort(),
      stored: said.stored,
      processes: words(said.processes),
    }
  }

  /** Errors: they do not agree. */
  const checkAgreement = (facts: Facts): void => {
    const isMounted = facts.mounted.includes('/srv/web')
    assert.equal(facts.health, 'ok')
    const used = [KEEP, ...(isMounted ? [WEB] : []), ...facts.mapped].sort()
    assert.deepEqual(facts.shown, facts.attached, 'tree and API')
    assert.deepEqual(facts.locked, facts.expectedLocks, 'locks and API')
    assert.deepEqual(facts.looped, used, 'loop devices and what is mounted and mapped')
    assert.deepEqual(facts.mounted, ['/srv/keep', TREE, ...(isMounted ? ['/srv/web'] : [])].sort(), 'mount table')
    assert.equal(facts.attached.includes(WEB), isMounted, 'a volume goes with its mount')
    assert.equal(facts.stored, '2', 'the store: a device and its record')
    assert.deepEqual(facts.processes, ['1', '1'], 'processes')
  }

  /** What nobody uses goes a moment later, and a supervisor that was killed comes back. */
  const agrees = async (): Promise<void> => {
    const until = performance.now() + AGREEMENT_LIMIT_MS
    for (;;) {
      try {
        checkAgreement(await gather())
        return
      } catch (error) {
        if (performance.now() > until) throw error
        await pause(POLL_MS)
      }
    }
  }

  const kinds = Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]
  for (let at = 0; at < KILLS; at++) {
    const kind = random.pick(kinds)
    test(`${at}: during ${kind} all agree afterwards, and nothing leaks`, { timeout: 300_000 }, async (t) => {
      t.diagnostic(await killDuring(kind))
      await agrees()
      assert.equal(await sh('systemctl is-active keeper'), 'active')
    })
  }

  test('at the end nothing is left', { timeout: 300_000 }, async () => {
    await sh('systemctl stop keeper; umount /srv/keep; ! mountpoint -q /srv/web || umount /srv/web')
    for (const name of OTHERS) {
      await sh(`! sheepfsctl mapped | grep -q '^${name} ' || sheepfsctl unmap ${name}`)
      await sh(`! sheepfsctl volumes | grep -q '^${name} ' || sheepfsctl detach ${name}`)
    }
    const { attached, locked, looped } = await gather()
    assert.deepEqual({ attached, locked, looped }, { attached: [], locked: [], looped: [] })
    await sh(`systemctl stop ${UNIT}`)
    assert.equal(await sh(`systemctl show --value --property NFileDescriptorStore ${UNIT}`), '0')
    assert.equal(await sh('findmnt --noheadings --types ext4,fuse.sheepfs || true'), '')
  })
})
