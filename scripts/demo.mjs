// Shows sheepfs at work on one machine, command by command, in under a minute, and leaves nothing behind: npm run demo
// With --stay all of it is there until Ctrl-C, to go on by hand: npm run demo -- --stay
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { missing } from '../dist/test/e2e/stage/ability.js'
import { end, run, succeed, textOf } from '../dist/test/e2e/stage/program.js'
import { removeMount } from '../dist/test/e2e/stage/sheepfs.js'
import { Stage } from '../dist/test/e2e/stage/stage.js'
import { findMount } from '../dist/src/fuse/mount-table.js'

const ROOT = join(import.meta.dirname, '..')
const PROGRAMS = { lamb: 'lamb/lamb', sheepfsd: 'cli/sheepfsd', sheepfsctl: 'cli/sheepfsctl' }
const ENDING = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }
const STOP_LIMIT_MS = 30_000
const PAUSE_MS = 5
/** The worker is killed when so much is written. */
const KILLED_AT = 2 * 2 ** 20
const PROMPT = missing('root') ? '$' : '#'
const CONFIG = (address, mountpoint) => `sheep = ["${address}"]

[[mount]]
mountpoint = "${mountpoint}"
io_timeout = 10 # seconds; else programs wait for a cluster that is away
${missing('root') ? `uid = ${process.getuid()} # whose the files are; else root's\n` : ''}`

const { values } = parseArgs({ options: { stay: { type: 'boolean', default: false } } })
const stage = new Stage({ ignoresTerminal: true })
const ended = new AbortController()

const type = (command) => console.log(`${PROMPT} ${command}`)

/** Begins a step. Errors: the demo is to end. */
function tell(what) {
  ended.signal.throwIfAborted()
  console.log(`\n== ${what}`)
}

/** Types a command that must succeed, and shows what it prints. Ctrl-C does not reach it: it is short. */
async function show(program, ...args) {
  ended.signal.throwIfAborted()
  type([program, ...args].join(' '))
  const { status, stdout, stderr } = await run(program, args, { detached: true })
  process.stdout.write(`${stdout}${stderr}`)
  if (status !== 0) throw new Error(`${program} ended with status ${status}`)
  return stdout
}

/** Types a command that stays. */
function showStart(program, ...args) {
  type(`${[program, ...args].join(' ')} &`)
  return stage.start(program, args)
}

/** Resolves with the line of a program that `pattern` matches. Errors: it ends first, or the demo is to end. */
function lineOf(child, pattern) {
  const texts = [textOf(child.stdout), textOf(child.stderr)]
  const text = () => texts.map((read) => read()).join('')
  return new Promise((resolve, reject) => {
    const look = () => {
      const [line] = pattern.exec(text()) ?? []
      if (line !== undefined) resolve(line)
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.on('error', reject)
    child.on('close', () => reject(new Error(`${child.spawnfile} ended: ${text().trim()}`)))
    ended.signal.addEventListener('abort', () => reject(ended.signal.reason))
  })
}

/** A folder for everything, in which the commands run, with the programs of this checkout before those of the system. */
async function makeHome() {
  const home = await mkdtemp(join(tmpdir(), 'sheepfs-demo-'))
  stage.defer(() => rmdir(home)) // nothing that should still be mounted below it is deleted
  for (const name of ['tree', 'web01']) {
    await mkdir(join(home, name))
    stage.defer(() => rmdir(join(home, name)))
  }
  for (const name of ['bin', 'lamb', 'run']) {
    await mkdir(join(home, name))
    stage.defer(() => rm(join(home, name), { recursive: true }))
  }
  for (const [name, file] of Object.entries(PROGRAMS)) {
    const script = `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/src', file)}.js' "$@"\n`
    await writeFile(join(home, 'bin', name), script, { mode: 0o755 })
  }
  await useHome(home)
  return home
}

/** The settings are what else stands in /etc/default/sheepfs. */
async function useHome(home) {
  const settings = {
    SHEEPFS_CONFIG: join(home, 'demo.toml'),
    SHEEPFS_RUNTIME_DIR: join(home, 'run'),
    SHEEPFS_WORKER_USER: 'daemon', // a package makes the user sheepfs
    SHEEPFS_STOP_TIMEOUT: '5',
    SHEEPFS_LOG_FORMAT: 'text',
  }
  process.chdir(home)
  stage.defer(() => process.chdir(ROOT))
  for (const name of ['env', 'demo.toml', 'data']) stage.defer(() => rm(join(home, name), { force: true }))
  const lines = Object.entries(settings).map(([name, value]) => `export ${name}='${value}'\n`)
  await writeFile('env', `${lines.join('')}export PATH='${join(home, 'bin')}':"$PATH"\ncd '${home}'\n`)
  Object.assign(process.env, settings, { PATH: `${join(home, 'bin')}:${process.env.PATH}` })
}

/** What the daemon takes away itself, unless it was killed. */
async function removeLeftovers(home) {
  await removeMount(join(home, 'tree'))
  if (missing('root', 'loop')) return
  const { loopdevices = [] } = JSON.parse((await succeed('losetup', ['--json', '--list'])) || '{}')
  for (const { name, 'back-file': file } of loopdevices) {
    if (file?.startsWith(`${home}/`)) await succeed('losetup', ['--detach', name])
  }
}

async function unmount(directory) {
  if ((await findMount(directory)) === undefined) return
  const { status } = await run('umount', [directory])
  if (status !== 0) await succeed('umount', ['--lazy', directory])
}

async function showDaemon(home) {
  tell('A cluster of one node, which comes with sheepfs for trying out.')
  const line = await lineOf(showStart('lamb', '--store', 'lamb', '--port', '0'), /^lamb listens on .*$/m)
  console.log(line)
  tell('The configuration of an instance: the sheep of a cluster, and where to mount it.')
  await writeFile('demo.toml', CONFIG(line.split(' ').at(-1), join(home, 'tree')))
  await show('cat', 'demo.toml')
  tell('Its daemon. Where sheepfs is installed: systemctl enable --now sheepfs@demo')
  stage.defer(() => removeLeftovers(home))
  const daemon = showStart('sheepfsd', 'demo')
  stage.defer(() => end(daemon, STOP_LIMIT_MS))
  console.log(await lineOf(daemon, /^.* ready .*$/m))
  await show('sheepfsctl', 'mounts')
}

async function showVolume() {
  tell('A virtual disk in the cluster, attached: from now on it is a file.')
  await show('sheepfsctl', 'vdi', 'create', 'web01', '1G')
  await show('sheepfsctl', 'attach', 'web01')
  await show('ls', '-l', 'tree/volume')
  tell('Every program that works on files works on it.')
  await show('dd', 'if=/dev/urandom', 'of=data', 'bs=1M', 'count=16', 'status=none')
  await show('dd', 'if=data', 'of=tree/volume/web01', 'bs=1M', 'conv=notrunc', 'status=none')
  await show('cmp', '-n', '16777216', 'data', 'tree/volume/web01')
}

/** Resolves with the file system on it. */
async function showDevice(home) {
  tell('A block device of it, for a file system, LVM, LUKS or a database.')
  const [device] = /\/dev\/loop\d+/.exec(await show('sheepfsctl', 'map', 'web01')) ?? []
  const directory = join(home, 'web01')
  stage.defer(() => unmount(directory))
  await show('mkfs.ext4', '-q', device)
  await show('mount', device, 'web01')
  await show('sheepfsctl', 'mapped')
}

/** @param file what is written when the worker dies */
async function showKilledWorker(file) {
  tell('The process that serves the mount is killed while dd writes: another one takes over, and dd goes on.')
  const { worker } = JSON.parse(await succeed('sheepfsctl', ['--json', 'mounts']))[0]
  const writer = showStart('dd', 'if=data', `of=${file}`, 'bs=16k', 'oflag=dsync', 'conv=notrunc')
  const finished = lineOf(writer, /^\d+ bytes .*$/m)
  finished.catch(() => undefined) // until it is awaited
  while (writer.exitCode === null && (await positionOf(writer)) < KILLED_AT) await delay(PAUSE_MS)
  type(`kill -9 ${worker.pid}`)
  process.kill(worker.pid, 'SIGKILL')
  console.log(`(dd has written ${Math.round((await positionOf(writer)) / 1024)} KiB of 16 MiB)`)
  type('wait')
  console.log(await finished)
  await show('cmp', '-n', '16777216', 'data', file)
  await show('sheepfsctl', 'mounts')
}

/** How far its output is; 0 before it is open. */
async function positionOf(child) {
  const info = await readFile(`/proc/${child.pid}/fdinfo/1`, 'utf8').catch(() => '')
  return Number(/^pos:\s*(\d+)/.exec(info)?.[1] ?? 0)
}

function isBefore69() {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  return major < 6 || (major === 6 && minor < 9)
}

async function demonstrate() {
  const impossible = missing('fuse') || (missing('root') && missing('fusermount'))
  if (impossible) throw new Error(`nothing can be mounted here: ${impossible}`)
  const home = await makeHome()
  console.log(`\nEverything is in ${home}, where these commands run.`)
  await showDaemon(home)
  await showVolume()
  const noDevice = missing('root', 'loop', 'mkfs')
  const noSuccessor = missing('root') || (isBefore69() && `this is Linux ${release()}, expected 6.9 or later`)
  if (!noDevice) await showDevice(home)
  if (!noSuccessor) await showKilledWorker(noDevice ? 'tree/volume/web01' : 'web01/data')
  if (noDevice) tell(`Left out: the block device and a file system on it. ${noDevice}.`)
  if (noSuccessor) tell(`Left out: a worker that is killed, which nobody notices. ${noSuccessor}.`)
  if (values.stay) return stay(home)
  tell('The end: unmounted, unmapped, detached.')
  if (!noDevice) await show('umount', 'web01')
  if (!noDevice) await show('sheepfsctl', 'unmap', 'web01')
  await show('sheepfsctl', 'detach', 'web01')
}

async function stay(home) {
  tell('To go on by hand, in another terminal; Ctrl-C here ends the demo.')
  console.log(`. ${home}/env\nsheepfsctl help\nsheepfsctl top\ncat tree/cluster/info`)
  await once(ended.signal, 'abort')
  process.exitCode = 0
}

for (const [signal, status] of Object.entries(ENDING)) {
  process.on(signal, () => {
    process.exitCode ??= status
    ended.abort(new Error(`interrupted by ${signal}`))
  })
}
process.stdout.on('error', (error) => ended.abort(error)) // nobody reads any more
try {
  await demonstrate()
} catch (error) {
  process.exitCode ??= 1
  console.error(`demo: ${error.message}`)
} finally {
  console.log('\nTaking down what is left, last the cluster.')
  await stage.close().catch((error) => {
    process.exitCode = 1
    console.error(`demo: ${error.message}`)
  })
}
