import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { buildControlApp, buildObserverApp } from '../../src/api/control-app.ts'
import { listenUnix } from '../../src/api/listen-unix.ts'
import { EXIT } from '../../src/cli/exit-code.ts'
import { COMMANDS } from '../../src/cli/sheepfsctl-program.ts'
import { runSheepfsctl } from '../../src/cli/sheepfsctl-run.ts'
import { SheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { missing } from '../e2e/stage/ability.ts'
import { run } from '../e2e/stage/program.ts'
import { fakeCounts, fakeMetrics, fakeVolumeMetrics, latencyCounts } from '../api/fake-metrics.ts'
import { FakeSupervisor, fakeMount } from '../api/fake-supervisor.ts'

const limit = { timeout: 30_000 }

/** A directory with running instances, and sheepfsctl looking into it. */
async function stage(
  t: TestContext,
  instances: Record<string, FakeSupervisor> = { cluster1: new FakeSupervisor() },
  onError: (text: string) => void = () => undefined,
) {
  const directory = await mkdtemp(join(tmpdir(), 'sheepfsctl-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  for (const [name, supervisor] of Object.entries(instances)) {
    await mkdir(join(directory, name))
    const app = await buildControlApp({ supervisor, log: silentLogger(), version: '0' })
    const listening = await listenUnix(app, { path: join(directory, name, 'control.sock'), mode: 0o600 })
    t.after(() => listening.close())
  }
  return async (...args: string[]) => {
    let [out, errors] = ['', '']
    const code = await runSheepfsctl(args, {
      variables: { SHEEPFS_RUNTIME_DIR: directory },
      write: (text) => (out += text),
      writeError: (text) => {
        errors += text
        onError(text)
      },
      showsProgress: true,
    })
    return { code, out, errors }
  }
}

test('the only instance and its only mount need no names', limit, async (t) => {
  const ctl = await stage(t)
  assert.deepEqual(await ctl('attach', 'web01', 'db01@nightly'), {
    code: EXIT.done,
    out: 'attached /srv/sheep/cluster1/volume/web01\nattached /srv/sheep/cluster1/volume/db01@nightly (read-only)\n',
    errors: '',
  })
  assert.match((await ctl('attach', 'web01')).out, /^was attached already: /)
  assert.match((await ctl('volumes')).out, /^VOLUME +SIZE +OPEN +MODE.*\nweb01 +4G +0 +rw/)
  assert.equal((await ctl('detach', 'web01')).out, 'detached web01\n')
})

test('volumes are mapped to block devices, and who uses one is told', limit, async (t) => {
  const supervisor = new FakeSupervisor()
  const ctl = await stage(t, { cluster1: supervisor })
  const both = await ctl('map', 'web01', 'db01@nightly', '--sector-size', '4K')
  const names = '/dev/disk/by-sheepdog/cluster1'
  assert.equal(
    both.out,
    `mapped web01 to /dev/loop0, ${names}/web01\nmapped db01@nightly to /dev/loop1 (read-only), ${names}/db01@nightly\n`,
  )
  assert.equal((await ctl('map', 'web01')).out, `was mapped already: web01 to /dev/loop0, ${names}/web01\n`)
  supervisor.deviceUsers.set('cluster1/web01', 'the mount /srv/web01')
  assert.match(
    (await ctl('mapped')).out,
    /\nweb01 +4G +4096 +rw +\/dev\/loop0 +\S+\/web01 +the mount \/srv\/web01\ndb01@nightly +4G +4096 +ro +\/dev\/loop1 +\S+@nightly +-\n$/,
  )
  assert.deepEqual(await ctl('unmap', 'web01', 'nope', 'db01@nightly'), {
    code: EXIT.conflict,
    out: 'unmapped db01@nightly\n',
    errors:
      'sheepfsctl: volume "web01": /dev/loop0 is in use by the mount /srv/web01\n' +
      'sheepfsctl: volume "nope" of mount "cluster1" is not mapped\n',
  })
  assert.equal((await ctl('map', 'web01', '--sector-size', '8K')).code, EXIT.usage)
})

test('tables for people, JSON for programs', limit, async (t) => {
  const ctl = await stage(t)
  const { out } = await ctl('status')
  assert.match(
    out,
    /^cluster1 is running: sheepfs 1\.0\.0, Node\.js 24\.22\.3, pid 4242, 50M of memory\n\nMOUNT +STATE +MOUNTPOINT/,
  )
  assert.match(out, /\ncluster1 +serving +\/srv\/sheep\/cluster1 +4711 +1 +0 +0 +off +off +10\.0\.0\.1:7000\n$/)
  const json = JSON.parse((await ctl('--json', 'mounts')).out) as { name: string }[]
  assert.deepEqual(
    json.map(({ name }) => name),
    ['cluster1'],
  )
  assert.match((await ctl('vdi', 'list')).out, /\ndb01@nightly +snapshot +4G +12M +0 +2 +2026-01-02 03:04\n/)
  assert.match((await ctl('nodes')).out, /10\.0\.0\.2:7000 +2 +128 +- +does not answer/)
  assert.match((await ctl('cluster')).out, /^state +running/)
  assert.match((await ctl('metrics')).out, /# TYPE sheepfs_volumes gauge/)
  assert.match((await ctl('health')).out, /^ok\n/)
})

test('mounts are made, changed, restarted and removed', limit, async (t) => {
  const ctl = await stage(t)
  assert.equal((await ctl('mount', '/mnt/two', '--name', 'two', '--page-cache', 'on')).out, 'mounted two at /mnt/two\n')
  assert.match((await ctl('restart', 'two', 'cluster1')).out, /two is served by worker 4712, number 2\ncluster1 /)
  assert.match((await ctl('cache', '-m', 'two')).out, /^page cache on \(write-back\), object cache off/)
  assert.match(
    (await ctl('cache', '-m', 'two', '--page', 'off', '--object', 'on')).out,
    /^page cache off.*object cache on/,
  )
  assert.equal((await ctl('sheep', '-m', 'two', 'h:7001', 'h:7002')).out, 'h:7001  in use\nh:7002\n')
  assert.equal((await ctl('io-timeout', '-m', 'two', '30')).out, 'two waits 30 s for the cluster\n')
  assert.equal((await ctl('unmount', 'two')).out, 'unmounted two\n')
})

test('a reload says whether it was done, and else what is wrong', limit, async (t) => {
  const supervisor = new FakeSupervisor()
  const ctl = await stage(t, { cluster1: supervisor })
  assert.deepEqual(await ctl('reload'), { code: EXIT.done, out: 'reloaded\n', errors: '' })
  assert.equal((await ctl('reload', '--dry-run')).out, 'nothing to do\n')
  supervisor.reloadSteps = [
    { mount: null, text: 'socket_group x', effect: 'daemon-restart' },
    { mount: 'two', text: 'unmounted', effect: 'unmount' },
  ]
  const steps = 'socket_group x: takes effect after a restart of the daemon\ntwo: unmounted\n'
  assert.equal((await ctl('reload', '--dry-run')).out, steps)
  assert.equal((await ctl('reload')).out, `${steps}reloaded\n`)
  supervisor.failure = new SheepfsError('invalid', 'not reloaded: /etc/sheepfs/cluster1.toml: "sheeps" means nothing')
  const { code, out, errors } = await ctl('reload')
  assert.deepEqual([code, out], [EXIT.usage, ''])
  assert.match(errors, /sheepfsctl: not reloaded: .* "sheeps" means nothing\n$/)
})

test('VDIs are created with sizes as people write them', limit, async (t) => {
  const ctl = await stage(t)
  assert.equal((await ctl('vdi', 'create', 'new', '1.5T')).out, 'created new, 1.5T\n')
  assert.equal((await ctl('resize', 'new', '2T')).out, 'resized new, 2T\n')
  assert.equal((await ctl('snapshot', 'new', 'a')).out, 'made new@a, 2T\n')
  assert.equal((await ctl('clone', 'new@a', 'copy')).out, 'made copy, 4G\n')
})

test('a VDI is told of, and goes back to a snapshot', limit, async (t) => {
  const ctl = await stage(t)
  const { out } = await ctl('vdi', 'info', 'db01')
  assert.match(out, /^volume +db01\nkind +vdi\nsize +4G\nused +12M, and 0 shared\n/)
  assert.match(
    out,
    /\nmade of +db01@nightly\nsnapshot id +-\nvid +abc\nlocked +by a client of sheep 10\.0\.0\.1:7000\n/,
  )
  assert.equal(
    (await ctl('vdi', 'rollback', 'db01@nightly')).out,
    'db01 is what db01@nightly is, 4G; what it had is kept as db01@2\n',
  )
  assert.equal((await ctl('vdi', 'rollback', 'db01')).code, EXIT.usage)
  const rename = await ctl('vdi', 'rename', 'db01', 'db02')
  assert.equal(rename.code, EXIT.failed)
  assert.match(rename.errors, /^sheepfsctl: vdi rename: sheep cannot rename a VDI: make a snapshot of it, and a clone/)
})

test('snapshots are listed, made and deleted beside what vdi does', limit, async (t) => {
  const ctl = await stage(t)
  assert.equal((await ctl('snapshot', 'create', 'web01', 'a')).out, 'made web01@a, 4G\n')
  assert.match((await ctl('snapshot', 'list')).out, /^VOLUME.*\ndb01@nightly .*\nweb01@a .*\n$/)
  assert.match((await ctl('snapshot', 'list', 'web01')).out, /^VOLUME.*\nweb01@a .*\n$/)
  assert.equal(
    (await ctl('snapshot', 'delete', 'web01@a', 'db01@nightly')).out,
    'deleted web01@a\ndeleted db01@nightly\n',
  )
  assert.match((await ctl('snapshot', 'list')).out, /^VOLUME[^\n]*\n$/)
  assert.match((await ctl('vdi', 'list')).out, /\nweb01 +vdi/)
})

test('status goes on with --watch until its daemon does not', limit, async (t) => {
  const supervisor = new FakeSupervisor()
  const status = supervisor.status.bind(supervisor)
  let looks = 0
  supervisor.status = () => {
    if (++looks > 3) throw new SheepfsError('closed', 'the instance stops')
    return status()
  }
  const ctl = await stage(t, { cluster1: supervisor })
  const { out, code } = await ctl('status', '--watch', '-i', 'cluster1', '--json')
  assert.equal(code, EXIT.notRunning)
  assert.equal(out.trimEnd().split('\n').length, 3)
})

test('doctor writes what a report of a fault needs into a new file, for its owner only', limit, async (t) => {
  const ctl = await stage(t)
  const directory = await mkdtemp(join(tmpdir(), 'sheepfs-bundle-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'bundle.txt')
  const { out } = await ctl('doctor', '--bundle', path)
  assert.ok(out.endsWith(`${path} has what a report of a fault needs: read it before you send it\n`), out)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const text = await readFile(path, 'utf8')
  for (const title of ['versions', 'kernel', 'doctor', 'status', 'configuration and environment', 'units', 'journal']) {
    assert.match(text, new RegExp(`^==== ${title}\n.+`, 'm'))
  }
  assert.match(text, /"instance": "cluster1"/)
  const again = await ctl('doctor', '--bundle', path)
  assert.equal(again.code, EXIT.conflict)
  assert.match(again.errors, /bundle\.txt" is there already: expected a new file/)
  assert.equal(await readFile(path, 'utf8'), text)
  assert.equal((await ctl('doctor', '--bundle', join(directory, 'no/file'))).code, EXIT.notFound)
})

test('a delete shows its progress', limit, async (t) => {
  const shown = new EventEmitter()
  /** Goes on when what it tells is shown. */
  class Deleting extends FakeSupervisor {
    override async deleteVdi(mount: string, vdi: string): Promise<void> {
      while (this.listeners === 0) await pause(5)
      const isShown = once(shown, 'text')
      this.emit({ type: 'progress', operation: 'delete', mount, vdi, done: 5, total: 10 })
      await isShown
      await super.deleteVdi(mount, vdi)
    }
  }
  const ctl = await stage(t, { cluster1: new Deleting() }, (text) => shown.emit('text', text))
  const { code, out, errors } = await ctl('vdi', 'delete', 'web01')
  assert.deepEqual([code, out], [EXIT.done, 'deleted web01\n'])
  assert.ok(errors.startsWith('\r\u001b[Kweb01: 5 of 10 objects'), errors)
  assert.ok(errors.endsWith('\r\u001b[K'), errors)
})

test('exit codes tell not found, conflict, not running, unreachable and usage apart', limit, async (t) => {
  const supervisor = new FakeSupervisor()
  const ctl = await stage(t, { cluster1: supervisor })
  await ctl('attach', 'web01')
  supervisor.openVolumes.add('cluster1/web01')
  assert.equal((await ctl('attach', 'nope')).code, EXIT.notFound)
  assert.equal((await ctl('detach', 'web01')).code, EXIT.conflict)
  assert.equal((await ctl('detach', 'web01', '--force')).code, EXIT.done)
  assert.equal((await ctl('-i', 'other', 'status')).code, EXIT.notRunning)
  assert.equal((await ctl('resize', 'web01', '512')).code, EXIT.notPermitted)
  supervisor.failure = new SheepfsError('unreachable', 'no sheep answers')
  assert.deepEqual(await ctl('-m', 'cluster1', 'vdi', 'list'), {
    code: EXIT.unreachable,
    out: '',
    errors: 'sheepfsctl: no sheep answers\n',
  })
  Object.assign(await supervisor.mount('cluster1'), { state: 'failed', reason: 'the worker keeps crashing' })
  assert.equal((await ctl('health')).code, EXIT.unhealthy)
})

test('wrong command lines are refused, saying what is expected', limit, async (t) => {
  const ctl = await stage(t)
  for (const [args, text] of [
    [['atach', 'web01'], /unknown command "atach": did you mean attach\?/],
    [['vdi'], /vdi: expected vdi list, vdi create, vdi delete/],
    [['attach'], /attach: found 0 arguments, expected VOLUME\.\.\./],
    [['status', 'x'], /status: found 1 argument, expected no arguments/],
    [['status', '--force'], /status has no option --force: expected --instance/],
    [['status', '--nonsense'], /unknown option '--nonsense'/],
    [['--forec=yes', 'detach', 'web01'], /unknown option '--forec'; did you mean --force\?/],
    [['detach', 'web01', '--forec=yes'], /unknown option '--forec'; did you mean --force\?/],
    [['status', '--intsance', 'x'], /unknown option '--intsance'; did you mean --instance\?/],
    [['detach', 'web01', '-i'], /option '-i, --instance INSTANCE' argument missing/],
    [['help', 'vdi', 'lsit'], /vdi: expected vdi list, .*; did you mean vdi list\?/],
    [['detach', 'web01', '--forec'], /unknown option '--forec'; did you mean --force\?/],
    [['unmount', 'x', '--dry-run'], /unmount has no option --dry-run: expected --instance/],
    [['vdi', 'lsit'], /vdi: expected vdi list, .*; did you mean vdi list\?/],
    [['help', 'atach'], /unknown command "atach": did you mean attach\?/],
    [['snapshot', 'delete', 'web01'], /"web01" is no snapshot: expected VDI@TAG or VDI@ID/],
    [['snapshot', 'create', 'web01'], /snapshot create: found 1 argument, expected VDI TAG/],
    [['cache', '--page', 'yes'], /--page "yes": expected on or off/],
    [['vdi', 'create', 'x', '1000'], /1000 bytes are no whole number of sectors of 512: expected 512 or 1024/],
    [['resize', 'web01', '5'], /5 bytes are no whole .*: expected 512/],
    [['reload', '-m', 'cluster1'], /reload has no option --mount/],
    [['vdi', 'create', 'x', '10Q'], /"10Q" is not a size: expected bytes/],
    [['vdi', 'create', 'x', '8P', '--hyper'], /"8P" is too large: expected less than 8P/],
    [['vdi', 'create', 'x', '1G', '--object-size', '3M'], /expected a power of two from 1M to 2G/],
    [['vdi', 'create', 'x', '1G', '--object-size', '512K'], /"512K": expected a power of two from 1M to 2G/],
    [['vdi', 'create', 'x', '1G', '--object-size', '4G'], /"4G": expected a power of two from 1M to 2G/],
    [['io-timeout', 'soon'], /"soon" is not a timeout/],
    [['mount', '/x', '--engine', 'z'], /--engine "z": expected auto, kernel or fuse-native/],
    [['-i', '../x', 'status'], /name of an instance: found "\.\.\/x", expected a name/],
    [['-i', 'a'.repeat(65), 'status'], /name of an instance: found "a{65}", expected a name of up to 64/],
  ] as const) {
    const { code, errors } = await ctl(...args)
    assert.equal(code, EXIT.usage, args.join(' '))
    assert.match(errors, text)
  }
})

test('several instances and several mounts are told apart by name only', limit, async (t) => {
  const two = new FakeSupervisor([fakeMount({ name: 'a' }), fakeMount({ name: 'b' })])
  const ctl = await stage(t, { cluster1: new FakeSupervisor(), cluster2: two })
  assert.match((await ctl('status')).errors, /several instances run: choose one with --instance, of cluster1, cluster2/)
  assert.match(
    (await ctl('-i', 'cluster2', 'volumes')).errors,
    /instance "cluster2" has several mounts: choose one with --mount, of a, b/,
  )
  assert.equal((await ctl('-i', 'cluster2', '-m', 'b', 'volumes')).code, EXIT.done)
})

test('the mount that is named like its instance is the default among several', limit, async (t) => {
  const mounts = [fakeMount({ name: 'other' }), fakeMount()]
  const ctl = await stage(t, { cluster1: new FakeSupervisor(mounts) })
  assert.equal((await ctl('attach', 'web01')).code, EXIT.done)
  assert.match((await ctl('-m', 'cluster1', 'volumes')).out, /web01/)
  assert.doesNotMatch((await ctl('-m', 'other', 'volumes')).out, /web01/)
})

test('a mount that is not there is an error of every command', limit, async (t) => {
  const ctl = await stage(t)
  const lines = COMMANDS.filter(({ hasNoMount }) => hasNoMount !== true).map(({ name, arguments: wanted }) => [
    ...name.split(' '),
    ...(name === 'io-timeout'
      ? ['1']
      : ['web01@a', '1G'].slice(0, wanted.split(' ').filter((word) => /^\w/.test(word)).length)),
  ])
  for (const line of lines) {
    const { code, out, errors } = await ctl('-m', 'nope', ...line)
    assert.deepEqual([code, out], [EXIT.notFound, ''], line.join(' '))
    assert.match(errors, /no mount "nope"/)
  }
})

test('what shows mounts shows only the one that is named', limit, async (t) => {
  const failed = fakeMount({ name: 'b', state: 'failed', reason: 'no device' })
  const ctl = await stage(t, { cluster1: new FakeSupervisor([fakeMount({ name: 'a' }), failed]) })
  for (const command of ['status', 'mounts', 'health']) {
    assert.doesNotMatch((await ctl(command, '-m', 'a')).out, /no device/, command)
    assert.match((await ctl(command, '-m', 'b')).out, /no device/, command)
  }
  assert.deepEqual([(await ctl('health', '-m', 'a')).code, (await ctl('health')).code], [EXIT.done, EXIT.unhealthy])
})

test('the exit code of health tells failed, degraded and well apart', limit, async (t) => {
  const codes = { serving: EXIT.done, waiting: EXIT.degraded, starting: EXIT.degraded, failed: EXIT.unhealthy } as const
  for (const [state, code] of Object.entries(codes) as [keyof typeof codes, number][]) {
    const ctl = await stage(t, { cluster1: new FakeSupervisor([fakeMount({ state })]) })
    assert.equal((await ctl('health')).code, code, state)
  }
})

test('of several names all are tried, and the first failure gives the exit code', limit, async (t) => {
  const supervisor = new FakeSupervisor()
  const ctl = await stage(t, { cluster1: supervisor })
  const attached = await ctl('attach', 'nope', 'web01', 'db01')
  assert.equal(attached.code, EXIT.notFound)
  assert.match(attached.errors, /^sheepfsctl: .*nope/)
  assert.equal(attached.out.split('\n').length, 3)
  supervisor.openVolumes.add('cluster1/web01')
  const detached = await ctl('detach', 'web01', 'nope', 'db01')
  assert.deepEqual([detached.code, detached.out], [EXIT.conflict, 'detached db01\n'])
  assert.equal(detached.errors.split('\n').length, 3)
  const deleted = await ctl('vdi', 'delete', 'nope', 'db01@nightly', 'db01')
  assert.deepEqual([deleted.code, deleted.out], [EXIT.notFound, 'deleted db01@nightly\ndeleted db01\n'])
  supervisor.openVolumes.clear()
  assert.equal((await ctl('restart', 'x', 'cluster1')).code, EXIT.notFound)
  assert.deepEqual((await ctl('unmount', 'x', 'cluster1')).out, 'unmounted cluster1\n')
})

test('complaints of the API are told without its words', limit, async (t) => {
  const ctl = await stage(t)
  const { errors } = await ctl('vdi', 'create', 'x', '1G', '--copies', '99')
  assert.match(errors, /^sheepfsctl: copies: found "99", expected copies, "1" to "31"/)
})

test(
  'who may not use the control socket looks through the one for observers',
  { ...limit, skip: missing('root') },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'sheepfsctl-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    const supervisor = new FakeSupervisor()
    const options = { supervisor, log: silentLogger(), version: '0' }
    const app = await buildObserverApp(options)
    const observer = await listenUnix(app, { path: join(directory, 'observer.sock'), mode: 0o666 })
    t.after(() => observer.close())
    const server = createServer((socket) => socket.destroy()).listen(join(directory, 'control.sock'))
    t.after(() => server.close())
    await chmod(directory, 0o755)
    await chmod(join(directory, 'control.sock'), 0o600)
    /** Runs as somebody else: root may use any socket. */
    const script = `
    process.setuid(65534)
    const { ControlClient } = await import('./dist/src/api/client.js')
    const paths = { observerPath: process.argv[1] + '/observer.sock' }
    const client = new ControlClient(process.argv[1] + '/control.sock', paths)
    const { instance } = await client.status()
    const [mount] = await client.mounts()
    await client.vdis(mount.name)
    await client.metrics()
    await client.counters()
    for await (const event of client.events({ mount: mount.name })) { console.log(instance, event.type); break }
    await client.reload().catch(({ code }) => console.log(code))
    delete paths.observerPath
    await new ControlClient(process.argv[1] + '/control.sock').status().catch(({ code }) => console.log(code))`
    const running = run(process.execPath, ['--input-type=module', '--eval', script, directory])
    while (supervisor.listeners === 0) await pause(5)
    supervisor.emit({ type: 'reloaded' })
    const { status, stdout, stderr } = await running
    assert.deepEqual([status, stdout], [0, 'cluster1 reloaded\nnot-permitted\nnot-permitted\n'], stderr)
  },
)

test('without a running instance there is advice, and doctor looks at the machine', limit, async (t) => {
  const ctl = await stage(t, {})
  const { code, errors } = await ctl('status')
  assert.equal(code, EXIT.notRunning)
  assert.match(errors, /no instance runs below .*: start one with "systemctl start sheepfs@NAME"/)
  const doctor = await ctl('doctor')
  assert.match(doctor.out, /kernel: Linux/)
  assert.match(doctor.out, /WARNING {2}configuration: no instance runs, and none was named\n +-> name the one/)
})

test('every command has a help page, and all of them are on the first', limit, async (t) => {
  const ctl = await stage(t, {})
  const all = await ctl()
  assert.equal((await ctl('--help')).out, all.out)
  assert.match(all.out, /Exit codes:\n {2}0 {2}done\n/)
  for (const { name, summary } of COMMANDS) {
    assert.ok(all.out.includes(summary), name)
    const { code, out } = await ctl(...name.split(' '), '--help')
    assert.equal(code, EXIT.done)
    assert.equal((await ctl('help', ...name.split(' '))).out, out)
    assert.match(out, new RegExp(`^Usage: sheepfsctl \\[OPTION\\]\\.\\.\\. ${name}`))
  }
  assert.equal((await ctl('help')).out, all.out)
  assert.equal((await ctl('help', 'vdi', 'list')).out, (await ctl('vdi', 'list', '--help')).out)
  for (const group of ['vdi', 'snapshot']) {
    const { out } = await ctl('help', group)
    assert.ok(out.startsWith(`Usage: sheepfsctl [OPTION]... ${group} `), out)
    for (const { name, summary } of COMMANDS) {
      if (name.startsWith(`${group} `)) assert.ok(out.includes(`\n  ${name} `) && out.includes(`  ${summary}\n`), out)
    }
    assert.doesNotMatch(out, /attach/)
    assert.equal((await ctl(group, '--help')).out, out)
    assert.equal((await ctl('-h', group)).out, out)
  }
  assert.match((await ctl('--version')).out, /^sheepfsctl \d/)
})

/** An instance in which each look finds a second, and in it 45 reads of 4 KiB and a write, more. */
class BusySupervisor extends FakeSupervisor {
  #looks = 0

  override metrics() {
    const looks = ++this.#looks
    const read = { count: looks * 45, bytes: looks * 45 * 4096, inFlight: 4, waiting: 1 }
    const operations = [
      fakeCounts('read', { ...read, latencyCounts: latencyCounts(0.0001, read.count) }),
      fakeCounts('write', { count: looks, bytes: looks * 1e6, latencyCounts: latencyCounts(0.0025, looks) }),
    ]
    const perVolume = [fakeVolumeMetrics({ measuredAtS: looks, operations, openDirect: 1, openCached: 1 })]
    return Promise.resolve([fakeMetrics({ measuredAtS: looks, operations, perVolume, pageCache: true })])
  }
}

test('top shows what goes on in mounts and volumes, and is text for who is no terminal', limit, async (t) => {
  const ctl = await stage(t, { cluster1: new BusySupervisor() })
  const { out, errors, code } = await ctl('top', '--once', '--interval', '0.1')
  assert.deepEqual([code, errors], [EXIT.done, ''])
  const [time = '', titles = '', mount = '', volume = '', ...rest] = out.split('\n')
  assert.match(time, /^20\d\d-\d\d-\d\dT[0-9:.]+Z$/)
  assert.match(
    titles,
    /^MOUNT +STATE +READ\/s +WRITE\/s +READ MB\/s +WRITE MB\/s +P50 +P99 +IN FLIGHT +WAITING +CACHE$/,
  )
  assert.match(mount, /^cluster1 +serving +45 +1 +0\.2 +1\.0 +76us +1\.8ms +4 +1 +page$/)
  assert.match(volume, /^ {2}web01 +45 +1 +0\.2 +1\.0 +76us +1\.8ms +4 +1 +direct\+cached$/)
  assert.deepEqual(rest, [''])
  assert.ok(!out.includes('\u001b'))
})

test('top is an object for programs, once or again and again', limit, async (t) => {
  const ctl = await stage(t, { cluster1: new BusySupervisor() })
  const { out } = await ctl('top', '--once', '--json', '--interval=0.1')
  const { mounts } = JSON.parse(out) as { mounts: { name: string; volumes: Record<string, unknown>[] }[] }
  assert.equal(mounts[0]?.name, 'cluster1')
  const { volume, seconds, in_flight, waiting, open_direct, read } = mounts[0].volumes[0] ?? {}
  assert.deepEqual([volume, seconds, in_flight, waiting, open_direct], ['web01', 1, 4, 1, 1])
  assert.deepEqual((read as { per_second: number }).per_second, 45)
  assert.equal((await ctl('top', '--once', '-m', 'nope')).code, EXIT.notFound)
})

test('top goes on until its daemon does not', limit, async (t) => {
  const supervisor = new BusySupervisor()
  let looks = 0
  const metrics = supervisor.metrics.bind(supervisor)
  t.mock.method(supervisor, 'metrics', () => {
    if (++looks > 4) throw new SheepfsError('closed', 'the instance stops')
    return metrics()
  })
  const ctl = await stage(t, { cluster1: supervisor })
  const { out, code } = await ctl('top', '--interval', '0.1')
  assert.equal(out.match(/^MOUNT/gm)?.length, 3)
  assert.notEqual(code, EXIT.done)
})

test('top looks at intervals of a tenth of a second to an hour', limit, async (t) => {
  const ctl = await stage(t)
  for (const interval of ['0', '0.01', '-1', '3601', 'x', '', 'Infinity', 'NaN', '1s']) {
    const { code, errors } = await ctl('top', '--once', `--interval=${interval}`)
    assert.equal(code, EXIT.usage, interval)
    assert.match(errors, /expected 0\.1 to 3600 seconds/)
  }
})

test('top says when the daemon is too old for it', limit, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'sheepfsctl-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  await mkdir(join(directory, 'old'))
  const server = createHttpServer((_, response) => {
    response.writeHead(404, { 'content-type': 'application/problem+json' })
    response.end(JSON.stringify({ type: 'x', title: 'x', status: 404, code: 'not-found', detail: 'there is no x' }))
  })
  server.listen(join(directory, 'old', 'control.sock'))
  await once(server, 'listening')
  t.after(() => server.close())
  let errors = ''
  await runSheepfsctl(['top', '--once'], {
    ...{ variables: { SHEEPFS_RUNTIME_DIR: directory }, write: () => undefined, showsProgress: false },
    writeError: (text) => (errors += text),
  })
  assert.match(errors, /the daemon is of an older version.*restart it/)
})
