import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { deferred } from '../../../src/fuse/kernel/deferred.ts'
import { isBeingKilled } from '../../../src/fuse/kernel/killed-process.ts'
import type { MemoryTree } from '../memory-tree.ts'
import { mountMemory, WITH_MOUNT, type MemoryMount } from './memory-mount.ts'

/** Everything that is asked of the volume waits, as for a cluster that is away, until `end`. */
class Outage {
  readonly #over = deferred<undefined>()
  readonly #begun = deferred<undefined>()
  /** Something waits. */
  readonly begun = this.#begun.promise

  constructor({ volume }: MemoryTree) {
    const wait = async <T>(work: () => Promise<T>): Promise<T> => {
      this.#begun.resolve(undefined)
      await this.#over.promise
      return work()
    }
    const [open, resize] = [volume.open.bind(volume), volume.resize.bind(volume)]
    volume.resize = (size, own) => wait(() => resize(size, own))
    volume.open = async () => {
      const handle = await (this.opens === 'wait' ? wait(open) : open())
      return {
        caching: handle.caching,
        read: (position, into) => wait(() => handle.read(position, into)),
        write: (position, data) => wait(() => handle.write(position, data)),
        sync: () => wait(() => handle.sync()),
        zero: (position, length, how) => wait(() => handle.zero(position, length, how)),
        seek: (position, wanted) => wait(() => handle.seek(position, wanted)),
        close: () => handle.close(),
      }
    }
  }

  opens: 'wait' | 'succeed' = 'succeed'

  end(): void {
    this.#over.resolve(undefined)
  }
}

interface Scene extends MemoryMount {
  readonly outage: Outage
}

async function prepare(t: TestContext, caching: 'direct' | 'cached' = 'direct'): Promise<Scene> {
  const mount = await mountMemory(t, { caching })
  const outage = new Outage(mount.tree)
  mount.stage.defer(() => {
    outage.end()
  })
  return { ...mount, outage }
}

function perl(scene: Scene, script: string): ChildProcess {
  const child = spawn('perl', ['-e', script, scene.volume], { stdio: ['ignore', 'pipe', 'inherit'] })
  scene.stage.defer(() => void child.kill('SIGKILL'))
  return child
}

const OPEN = 'open(F, "+<", $ARGV[0]) or die $!; '
const WRITE = `${OPEN} print "written ", syswrite(F, "x" x 4096), "\\n"`

const WAITING = {
  write: WRITE,
  'write of much': `${OPEN} syswrite(F, "x" x (1 << 21))`,
  read: `${OPEN} sysread(F, $b, 4096)`,
  fsync: `use IO::Handle; ${OPEN} F->sync`,
  open: OPEN,
  truncate: 'truncate($ARGV[0], 1 << 30)',
  lseek: `${OPEN} sysseek(F, 0, 3)`,
}

for (const [what, script] of Object.entries(WAITING)) {
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
    test(`a process that waits for its ${what} is ended by ${signal}`, WITH_MOUNT, async (t) => {
      const scene = await prepare(t)
      if (what === 'open') scene.outage.opens = 'wait'
      const child = perl(scene, script)
      const exited = once(child, 'exit')
      await scene.outage.begun
      child.kill(signal)
      assert.deepEqual(await exited, [null, signal])
    })
  }
}

for (const what of ['read', 'write', 'fsync'] as const) {
  test(`so is one that waits for its ${what} through the page cache`, WITH_MOUNT, async (t) => {
    const scene = await prepare(t, 'cached')
    const child = perl(scene, WAITING[what])
    const exited = once(child, 'exit')
    await scene.outage.begun
    child.kill('SIGKILL')
    assert.deepEqual(await exited, [null, 'SIGKILL'])
  })
}

test(
  'a signal that a process handles changes nothing, and SIGKILL after it ends the process',
  WITH_MOUNT,
  async (t) => {
    const scene = await prepare(t)
    const child = perl(scene, `$SIG{USR1} = sub {}; ${WRITE}`)
    const exited = once(child, 'exit')
    await scene.outage.begun
    child.kill('SIGUSR1')
    await delay(1000) // longer than it takes to look at it twice
    assert.equal(child.exitCode, null)
    child.kill('SIGKILL')
    assert.deepEqual(await exited, [null, 'SIGKILL'])
  },
)

test('a process that was only signalled gets what it was promised', WITH_MOUNT, async (t) => {
  const scene = await prepare(t)
  const child = perl(scene, `$SIG{USR1} = sub {}; ${WRITE}`)
  const [exited, said] = [once(child, 'exit'), once(child.stdout ?? child, 'data')]
  await scene.outage.begun
  child.kill('SIGUSR1')
  await delay(1000)
  scene.outage.end()
  assert.equal(String(await said), 'written 4096\n')
  assert.deepEqual(await exited, [0, null])
})

test('what a killed process wrote may be done later', WITH_MOUNT, async (t) => {
  const scene = await prepare(t)
  const child = perl(scene, WRITE)
  const exited = once(child, 'exit')
  await scene.outage.begun
  child.kill('SIGKILL')
  await exited
  const { content } = scene.tree.volume
  assert.deepEqual(content.subarray(0, 4096), Buffer.alloc(4096))
  scene.outage.end()
  while (content.at(4095) === 0) await delay(10)
  assert.deepEqual(content.subarray(0, 4096), Buffer.alloc(4096, 'x'))
})

test('a file that opens after its process was killed is closed again', WITH_MOUNT, async (t) => {
  const scene = await prepare(t)
  scene.outage.opens = 'wait'
  const child = perl(scene, OPEN)
  const exited = once(child, 'exit')
  await scene.outage.begun
  child.kill('SIGKILL')
  await exited
  const counts: number[] = []
  const { volume } = scene.tree
  Object.defineProperty(volume, 'opens', { get: () => counts.at(-1) ?? 0, set: (count: number) => counts.push(count) })
  scene.outage.end()
  while (counts.length < 2) await delay(1)
  assert.deepEqual(counts, [1, 0])
  await scene.mounted.unmount()
})

/** io_setup(2) and io_submit(2) of one write: struct iocb of linux/aio_abi.h. */
const AIO = `use Fcntl; my ($setup, $submit) = (\`uname -m\` =~ /x86_64/) ? (206, 209) : (0, 2);
sysopen(F, $ARGV[0], O_RDWR | ${constants.O_DIRECT}) or die $!; my $ctx = pack("Q", 0);
syscall($setup, 8, $ctx) == 0 or die $!; my $data = "x" x 4096;
my $iocb = pack("QLLSsLQQqQLL", 0, 0, 0, 1, 0, fileno(F), unpack("Q", pack("P", $data)), 4096, 0, 0, 0, 0);
my $list = pack("P", $iocb); syscall($submit, unpack("Q", $ctx), 1, $list) == 1 or die $!; $| = 1; print "submitted\\n"; sleep 1000`

test('a process whose asynchronous write waits is ended by SIGKILL', WITH_MOUNT, async (t) => {
  const scene = await prepare(t)
  const child = perl(scene, AIO)
  const exited = once(child, 'exit')
  await once(child.stdout ?? child, 'data')
  await scene.outage.begun
  child.kill('SIGKILL')
  assert.deepEqual(await exited, [null, 'SIGKILL'])
})

test('this process, its threads and those that do not exist are not being killed', async () => {
  for (const pid of [process.pid, 1, 2, 2 ** 22 + 1]) assert.equal(await isBeingKilled(pid), false, String(pid))
  assert.match(await readFile('/proc/self/status', 'latin1'), /^SigPnd:\t[0-9a-f]{16}\nShdPnd:\t[0-9a-f]{16}$/m)
})
