import assert from 'node:assert/strict'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { usualWorkerAccount } from '../../../src/daemon/config/worker-account.ts'
import { checkAccess, type AccessFacts } from '../../../src/daemon/doctor/check-access.ts'
import { checkKernel } from '../../../src/daemon/doctor/check-kernel.ts'
import { checkMounts, type MountFacts } from '../../../src/daemon/doctor/check-mounts.ts'
import { parseEnvironmentFile } from '../../../src/daemon/config/environment-file.ts'
import { checkRuntime } from '../../../src/daemon/doctor/check-runtime.ts'
import { checkStart } from '../../../src/daemon/doctor/check-start.ts'
import { askClusters } from '../../../src/daemon/doctor/ask-clusters.ts'
import { checkClusters } from '../../../src/daemon/doctor/check-sheep.ts'
import { examine } from '../../../src/daemon/doctor/doctor.ts'
import type { Finding } from '../../../src/daemon/doctor/finding.ts'
import { gatherAccessFacts } from '../../../src/daemon/doctor/gather-facts.ts'
import { SheepfsError } from '../../../src/errors.ts'
import { Lamb } from '../../../src/lamb/server.ts'
import { FakeSupervisor } from '../../api/fake-supervisor.ts'
import { missing } from '../../e2e/stage/ability.ts'
import { run } from '../../e2e/stage/program.ts'
import { SHEEPFSD } from '../../e2e/stage/sheepfsd.ts'

const brief = (findings: readonly Finding[]) => findings.map(({ check, status }) => `${check} ${status}`)

test('a kernel is judged by its version and its settings', () => {
  const kernel = (release: string, settings: Record<string, number> = {}) =>
    checkKernel({ release, fuseSetting: (name) => settings[name] })
  const fine = ['kernel ok', 'request size ok', 'fs.fuse.default_request_timeout ok', 'fs.fuse.max_request_timeout ok']
  assert.deepEqual(brief(kernel('6.12.0-amd64', { default_request_timeout: 0, max_pages_limit: 256 })), fine)
  assert.equal(brief(kernel('6.9.0'))[0], 'kernel ok')
  assert.deepEqual(brief(kernel('6.8.12-1-pve')).slice(0, 2), ['kernel warning', 'request size ok'])
  assert.deepEqual(brief(kernel('4.19.0')).slice(0, 2), ['kernel warning', 'request size warning'])
  const aborting = kernel('6.18.0', { max_request_timeout: 120, max_pages_limit: 32 })
  assert.equal(aborting[1]?.mend, 'sysctl -w fs.fuse.max_pages_limit=256')
  assert.deepEqual(aborting[3], {
    check: 'fs.fuse.max_request_timeout',
    status: 'problem',
    detail: 'the kernel aborts a mount when a request takes 120 s',
    mend: 'sysctl -w fs.fuse.max_request_timeout=0',
  })
})

test('a Node.js that gets no fixes any more is found, and a daemon that goes on with the one before', () => {
  const runtime = (version: string, ofDaemon?: string) =>
    checkRuntime({ version, path: '/usr/lib/sheepfs/node', ofDaemon }, 'cluster1')
  assert.deepEqual(runtime('24.22.3', '24.22.3'), {
    check: 'Node.js',
    status: 'ok',
    detail: '24.22.3 at /usr/lib/sheepfs/node',
  })
  assert.equal(runtime('22.23.5').status, 'ok')
  assert.match(runtime('20.20.2', '20.20.2').mend ?? '', /^install Node\.js 22 or 24/)
  const replaced = runtime('24.22.3', '24.21.0')
  assert.equal(replaced.detail, '24.21.0 runs the daemon, 24.22.3 is at /usr/lib/sheepfs/node')
  assert.equal(replaced.mend, 'systemctl restart sheepfs@cluster1')
})

test('root needs the device and the user of the workers, others need fusermount', () => {
  const root: AccessFacts = {
    isRoot: true,
    device: 'usable',
    hasFusermount: false,
    allowsOther: false,
    wantsAllowOther: true,
    workerUser: { name: 'sheepfs', exists: true },
  }
  assert.deepEqual(brief(checkAccess(root)), ['/dev/fuse ok', 'worker user ok'])
  const noUser = checkAccess({ ...root, device: 'missing', workerUser: { name: 'w', exists: false } })
  assert.deepEqual(brief(noUser), ['/dev/fuse problem', 'worker user problem'])
  assert.match(noUser[1]?.mend ?? '', /useradd --system .* w$/)
  const user = { ...root, isRoot: false }
  assert.deepEqual(brief(checkAccess(user)), ['/dev/fuse ok', 'fusermount problem', 'allow_other problem'])
  assert.deepEqual(brief(checkAccess({ ...user, hasFusermount: true, allowsOther: true })), [
    '/dev/fuse ok',
    'fusermount ok',
  ])
  assert.equal(brief(checkAccess({ ...user, device: 'forbidden' }))[0], '/dev/fuse problem')
})

test('a fusermount is one that the engine runs: fusermount3 alone is none', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-doctor-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const path = process.env['PATH']
  t.after(() => (process.env['PATH'] = path))
  process.env['PATH'] = folder
  await writeFile(join(folder, 'fusermount3'), '', { mode: 0o755 })
  assert.equal((await gatherAccessFacts('nobody', false)).hasFusermount, false)
  await writeFile(join(folder, 'fusermount'), '', { mode: 0o755 })
  assert.equal((await gatherAccessFacts('nobody', false)).hasFusermount, true)
})

test('stale and stuck mounts are found, and how to be rid of them', () => {
  const mount: MountFacts = { mountpoint: '/mnt/a', connection: 42, waiting: [0, 0], isOwned: true, isDead: false }
  assert.deepEqual(brief(checkMounts([], [])), ['mounts ok'])
  assert.deepEqual(brief(checkMounts([mount, { ...mount, waiting: [3, 0] }], [])), ['mounts ok'])
  assert.deepEqual(brief(checkMounts([{ ...mount, waiting: [3, 4] }], [])), ['waiting requests warning'])
  const [stuck] = checkMounts([{ ...mount, isOwned: false, waiting: [1, 1] }], [])
  assert.match(stuck?.mend ?? '', /echo 1 > \/sys\/fs\/fuse\/connections\/42\/abort; umount \/mnt\/a/)
  const [stale] = checkMounts([{ ...mount, isOwned: false, isDead: true }], [])
  assert.deepEqual([stale?.check, stale?.mend], ['stale mount', 'umount /mnt/a'])
  assert.deepEqual(brief(checkMounts([{ ...mount, waiting: undefined }], [])), ['waiting requests warning'])
})

test('a loop device that nobody can serve any more is found, and how to be rid of it', () => {
  const loop = { device: '/dev/loop3', file: '/volume/web01', mountpoints: ['/srv/web', '/srv/b'], holders: ['dm-0'] }
  assert.deepEqual(checkMounts([], [loop]), [
    {
      check: 'dead file system',
      status: 'problem',
      detail: '/srv/web, /srv/b on /dev/loop3 over /volume/web01: nobody can serve it any more',
      mend: 'umount -l /srv/web; umount -l /srv/b; take down dm-0; losetup --detach /dev/loop3; mount it again',
    },
  ])
  assert.deepEqual(brief(checkMounts([], [{ ...loop, mountpoints: [] }])), ['dead loop device warning'])
})

test('every sheep is asked, and a cluster of which none answers is a problem', { timeout: 30_000 }, async (t) => {
  const store = await mkdtemp(join(tmpdir(), 'sheepfs-doctor-'))
  const lamb = new Lamb({ store, port: 0 })
  const unformatted = new Lamb({ store: join(store, 'b'), port: 0, isUnformatted: true })
  t.after(async () => {
    await lamb.close()
    await unformatted.close()
    await rm(store, { recursive: true, force: true })
  })
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const address = closed.address() as { port: number }
  closed.close()
  const good = `127.0.0.1:${(await lamb.open()).port}`
  const raw = `127.0.0.1:${(await unformatted.open()).port}`
  const dead = `127.0.0.1:${address.port}`
  const use = (sheep: string[], volumes: string[] = []) => ({ sheep, volumes })
  const findings = await checkClusters([use([good, good]), use([raw]), use([dead])])
  assert.deepEqual(brief(findings), [`sheep ${good} ok`, `sheep ${raw} problem`, `sheep ${dead} problem`])
  assert.match(findings[1]?.mend ?? '', /dog cluster format/)
  assert.match(findings[2]?.mend ?? '', /start sheep there/)
  assert.doesNotMatch(findings[2]?.detail ?? '', /^sheep /) // the check is named already
  // one of two is enough, for every mount that uses it
  assert.deepEqual(brief(await checkClusters([use([dead, good])])), [`sheep ${dead} warning`, `sheep ${good} ok`])
  const both = await checkClusters([use([dead, good]), use([dead])])
  assert.deepEqual(brief(both), [`sheep ${dead} problem`, `sheep ${good} ok`])
  const missing = await checkClusters([use([dead, good], ['nosuch', 'gone@1']), use([dead], ['unknown'])])
  assert.deepEqual(brief(missing).slice(2), ['volume nosuch problem', 'volume gone@1 problem'])
  assert.match(missing[2]?.detail ?? '', /VDI "nosuch" does not exist in the cluster/)
})

test(
  'an examination covers kernel, access, configuration, daemon, sheep and mounts',
  { timeout: 30_000 },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'sheepfs-doctor-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    const file = join(directory, 'cluster1.toml')
    const variables = { SHEEPFS_CONFIG: file, SHEEPFS_RUNTIME_DIR: directory }
    const status = new SheepfsError('not-running', 'no daemon listens')
    const first = await examine({ instance: 'cluster1', variables, status })
    assert.match(first.find(({ check }) => check === 'configuration')?.detail ?? '', /does not exist/)
    assert.match(first.find(({ check }) => check === 'daemon')?.mend ?? '', /systemctl start sheepfs@cluster1/)
    await writeFile(file, 'sheep = ["localhost"]')
    const running = await new FakeSupervisor([]).status()
    const second = await examine({ instance: 'cluster1', variables, status: running })
    const mended = second.filter(({ check }) => check === 'configuration' || check === 'daemon')
    assert.deepEqual(brief(mended), ['configuration ok', 'daemon ok'])
    const lacks = [{ missing: 'koffi', matters: 'mounts end with the daemon', mend: 'npm install koffi' }]
    const third = await examine({ instance: 'cluster1', variables, status: { ...running, lacks } })
    const host = {
      check: 'host',
      status: 'warning',
      detail: 'koffi: mounts end with the daemon',
      mend: 'npm install koffi',
    }
    assert.deepEqual(
      third.filter(({ check }) => check === 'host'),
      [host],
    )
  },
)

describe('a look at what a start would refuse', { timeout: 60_000 }, () => {
  let directory: string
  let file: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sheepfs-check-'))
    file = join(directory, 'cluster1.toml')
    await mkdir(join(directory, 'mnt'))
    await writeFile(join(directory, 'file'), '')
  })
  after(() => rm(directory, { recursive: true, force: true }))

  /** Texts of the problems and warnings of a configuration with one mount. */
  async function look(head: string, mountpoint: string, env = '', variables: NodeJS.ProcessEnv = {}) {
    await writeFile(file, `${head}\n[[mount]]\nsheep = ["localhost"]\nmountpoint = "${join(directory, mountpoint)}"\n`)
    await writeFile(join(directory, 'cluster1.env'), env)
    const own = { SHEEPFS_CONFIG: file, SHEEPFS_RUNTIME_DIR: directory, SHEEPFS_WORKER_USER: 'daemon', ...variables }
    const { findings } = await checkStart({ instance: 'cluster1', variables: own })
    return findings.filter(({ status }) => status !== 'ok').map(({ status, detail }) => `${status}: ${detail}`)
  }

  test('is content with what would start', async () => {
    assert.deepEqual(await look('', 'mnt', '# nothing\nSHEEPFS_LOG_LEVEL="debug"\n'), [])
  })

  test('finds a mountpoint that is missing, or a file', async () => {
    const [missing = ''] = await look('', 'none')
    assert.match(missing, /^problem: mountpoint ".*none" does not exist: create the directory first$/)
    assert.match((await look('', 'file'))[0] ?? '', /^problem: mountpoint ".*file" is not a directory$/)
    assert.match((await look('', 'file/below'))[0] ?? '', /a part of the path is not a directory$/)
  })

  test('finds a group that is not there, and one of the workers', async () => {
    assert.match(
      (await look('socket_group = "nosuch"', 'mnt'))[0] ?? '',
      /^problem: socket_group "nosuch" does not exist/,
    )
    assert.match((await look('socket_group = "daemon"', 'mnt'))[0] ?? '', /is the group of the workers/)
    const observers = (group: string) => look(`observer_socket = true\nobserver_group = "${group}"`, 'mnt')
    assert.match((await observers('nosuch'))[0] ?? '', /^problem: observer_group "nosuch" does not exist/)
    assert.deepEqual(await observers('daemon'), [])
  })

  test('finds an address for metrics that another program has, or that is none of this host', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    t.after(() => taken.close())
    const listen = (address: string) => look(`metrics_listen = "${address}"`, 'mnt')
    const { port } = taken.address() as AddressInfo
    assert.match((await listen(`127.0.0.1:${port}`))[0] ?? '', /^problem: metrics_listen ".*": another program listens/)
    assert.match((await listen('203.0.113.7:9717'))[0] ?? '', /^problem: metrics_listen ".*": this host has no such/)
    assert.match((await listen('localhost:9717'))[0] ?? '', /metrics_listen: found "localhost:9717", expected an IP/)
  })

  test('finds what is wrong in the environment of the unit', async () => {
    const level = await look('', 'mnt', 'SHEEPFS_LOG_LEVEL=loud\n')
    assert.match(level[0] ?? '', /^problem: SHEEPFS_LOG_LEVEL: found "loud", expected one of trace/)
    assert.match((await look('', 'mnt', 'SHEEPFS_LOGLEVEL=info'))[0] ?? '', /^warning: the variable SHEEPFS_LOGLEVEL/)
    assert.match(
      (await look('', 'mnt', "SHEEPFS_STOP_TIMEOUT='1d'"))[0] ?? '',
      /^problem: SHEEPFS_STOP_TIMEOUT: found "1d"/,
    )
  })

  test('reads the environment of the unit as systemd does', () => {
    assert.deepEqual(parseEnvironmentFile(`# no\n; no\nA=1\nB="a \\"b\\""\nC='x y' \n D=a\\\nb\nnone\n`), {
      ...{ A: '1', B: 'a "b"', C: 'x y', D: 'ab' },
    })
  })

  test('finds a path that is too long for a socket', async () => {
    const long = { SHEEPFS_RUNTIME_DIR: `/run/${'x'.repeat(100)}` }
    assert.match((await look('', 'mnt', '', long))[0] ?? '', /^problem: socket "\/run\/x.*has more than 107 bytes$/)
  })

  test('is what sheepfsd --check says, with status 2', async () => {
    await look('', 'none')
    const { status, stdout } = await run(process.execPath, [SHEEPFSD, '--check', file])
    assert.equal(status, 2)
    assert.match(stdout, /PROBLEM {2}mount cluster1: mountpoint ".*none" does not exist.*\n +-> mkdir -p /)
    assert.match(stdout, /\ncluster1: a start would be refused\n$/)
  })
})

/** The user that the other end of a connection on this host belongs to. */
async function userOf({ remotePort = 0, localPort = 0 }: Socket): Promise<number> {
  const ends = [remotePort, localPort].map((port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`)
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
  // other connections of this host may have the one port or the other, and closed ones belong to root
  return Number(lines.find(([, ...line]) => ends.every((end, at) => line[at]?.endsWith(end)))?.[7])
}

test('it is not root who asks clusters for root', { timeout: 60_000, skip: missing('root') }, async (t) => {
  const users: Promise<number>[] = []
  const sheep = createServer((socket) => {
    users.push(userOf(socket).finally(() => socket.destroy()))
    socket.on('error', () => undefined)
  })
  t.after(() => sheep.close())
  await once(sheep.listen(0, '127.0.0.1'), 'listening')
  const { port } = sheep.address() as { port: number }
  const findings = await askClusters([{ sheep: [`127.0.0.1:${port}`], volumes: [] }])
  assert.deepEqual(brief(findings), [`sheep 127.0.0.1:${port} problem`])
  const { uid } = await usualWorkerAccount()
  assert.deepEqual([...new Set(await Promise.all(users))], [uid])
  assert.notEqual(uid, 0)
})
