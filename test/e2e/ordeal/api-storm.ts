import assert from 'node:assert/strict'
import { constants, open, readdir, readFile } from 'node:fs/promises'
import { constants as osConstants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { isSheepfsError } from '../../../src/errors.ts'
import { addressText } from '../../../src/sheep/address.ts'
import type { Sheep } from '../stage/sheep.ts'
import { startSheepfsd, type MountTable, type Sheepfsd } from '../stage/sheepfsd.ts'
import type { Stage } from '../stage/stage.ts'
import { volumePath } from './file-system-load.ts'

/** A mount, the volumes that clients attach and detach, and one that stays for I/O. */
interface StormedMount {
  readonly name: string
  readonly mountpoint: string
  readonly volumes: readonly string[]
  readonly busyVolume: string
}

interface StormOptions {
  readonly mounts: readonly StormedMount[]
  readonly clients: number
  readonly forMs: number
}

const { errno: errnos } = osConstants
/** What clients that do not know of each other must expect. */
const EXPECTED_CODES = new Set(['busy', 'not-found'])
const EXPECTED_ERRNOS = new Set([errnos.ENOENT, errnos.ESTALE])
const MIB = 2 ** 20
const VOLUMES = 6
/** Memory that another storm of the same kind may add to a process: far below what it would leak per request. */
const GROWTH_LIMIT = 48 * MIB
const BLOCK = 65_536
const BLOCKS = 16
/** Connections to further sheep, and the one that asks; a leak of one per client would be far more. */
const DESCRIPTOR_ROOM = 16
const SETTLE_LIMIT_MS = 30_000

/**
 * Two storms on a daemon with two mounts. Errors: the states do not agree at the end, or something was left behind:
 * descriptors, open files, memory, locks.
 */
export async function surviveStorms(
  t: TestContext,
  { stage, sheep, clients, forMs }: { stage: Stage; sheep: Sheep } & Omit<StormOptions, 'mounts'>,
): Promise<void> {
  const mounts = [await mountOf(stage, sheep, 'a'), await mountOf(stage, sheep, 'b')]
  const daemon = await startSheepfsd(stage, { mounts: mounts.map((mount) => tableOf(sheep, mount, [])) })
  const fresh = await holdingsOf(daemon, mounts)
  await storm(t, daemon, { mounts, clients, forMs })
  const first = await settled(daemon, mounts, fresh)
  await storm(t, daemon, { mounts, clients, forMs })
  const second = await settled(daemon, mounts, fresh)
  for (const mount of mounts) await checkAgreement(daemon, mount)
  for (const [at, memory] of second.memory.entries()) {
    const before = first.memory[at] ?? 0
    t.diagnostic(`memory of process ${at}: ${inMib(fresh.memory[at] ?? 0)}, ${inMib(before)}, ${inMib(memory)}`)
    assert.ok(memory - before < GROWTH_LIMIT, `process ${at} has grown by ${inMib(memory - before)}`)
  }
  assert.equal(await daemon.stop(), 0)

  // whoever comes next gets all locks
  const next = await startSheepfsd(stage, { mounts: mounts.map((mount) => tableOf(sheep, mount, mount.volumes)) })
  assert.equal(await next.stop(), 0)
}

async function mountOf(stage: Stage, sheep: Sheep, name: string): Promise<StormedMount> {
  const volumes = await Promise.all(Array.from({ length: VOLUMES }, () => sheep.createVdi(4 * MIB)))
  return { name, mountpoint: await stage.mountpoint(), volumes, busyVolume: await sheep.createVdi(4 * MIB) }
}

function tableOf(sheep: Sheep, { name, mountpoint, busyVolume }: StormedMount, more: readonly string[]): MountTable {
  return { name, mountpoint, sheep: [addressText(sheep.address)], volumes: [busyVolume, ...more] }
}

function inMib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}

/** Clients at random and I/O, for some time. Errors: any answer that says more than that others were quicker; a wrong byte. */
async function storm(t: TestContext, daemon: Sheepfsd, { mounts, clients, forMs }: StormOptions): Promise<void> {
  const until = performance.now() + forMs
  const counts = new Map<string, number>()
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      const [name, outcome] = await act(daemon, pick(mounts))
      const text = outcome === undefined ? name : `${name}: ${outcome}`
      counts.set(text, (counts.get(text) ?? 0) + 1)
    }
  }
  const writers = mounts.map((mount) => writeAndRead(volumePath(mount.mountpoint, mount.busyVolume), until))
  await Promise.all([...Array.from({ length: clients }, client), ...writers])
  t.diagnostic([...counts].map(([text, count]) => `${text} ${count}`).join(', '))
}

type Act = (daemon: Sheepfsd, mount: StormedMount, volume: string) => Promise<unknown>

const ACTS: Readonly<Record<string, Act>> = {
  attach: ({ client }, { name }, volume) => client.attach(name, volume, {}),
  detach: ({ client }, { name }, volume) => client.detach(name, volume, false),
  'detach by force': ({ client }, { name }, volume) => client.detach(name, volume, true),
  'page cache': ({ client }, { name }) => client.patchCache(name, { page_cache: Math.random() < 0.5 }),
  'object cache': ({ client }, { name }) => client.patchCache(name, { object_cache: Math.random() < 0.5 }),
  volumes: ({ client }, { name }) => client.volumes(name),
  status: ({ client }) => client.status(),
  metrics: ({ client }) => client.metrics(),
  use: async (_, { mountpoint }, volume) => {
    const file = await open(volumePath(mountpoint, volume))
    try {
      await file.read(Buffer.alloc(512), 0, 512, 0)
    } finally {
      await file.close()
    }
  },
}

/** Does something; resolves with what was done and why it was refused. */
async function act(daemon: Sheepfsd, mount: StormedMount): Promise<[name: string, refusal?: string]> {
  const [name, action] = pick(Object.entries(ACTS))
  try {
    await action(daemon, mount, pick(mount.volumes))
    return [name]
  } catch (error) {
    if (isSheepfsError(error) && EXPECTED_CODES.has(error.code)) return [name, error.code]
    const { errno = 0 } = error as NodeJS.ErrnoException
    if (name === 'use' && EXPECTED_ERRNOS.has(-errno)) return [name, `errno ${-errno}`]
    throw new Error(`${name}: ${String(error)}`, { cause: error })
  }
}

async function writeAndRead(path: string, until: number): Promise<void> {
  const file = await open(path, constants.O_RDWR | constants.O_DIRECT)
  for (let round = 1; performance.now() < until; round++) {
    const [data, at] = [Buffer.alloc(BLOCK, round), (round % BLOCKS) * BLOCK]
    await file.write(data, 0, BLOCK, at)
    const { buffer } = await file.read(Buffer.alloc(BLOCK), 0, BLOCK, at)
    assert.ok(data.equals(buffer), `block ${round % BLOCKS} is as it was written`)
  }
  await file.close()
}

/** Every way to ask for the state of a mount gives the same answer. */
async function checkAgreement(daemon: Sheepfsd, { name, mountpoint }: StormedMount): Promise<void> {
  const attached = (await daemon.client.volumes(name)).map((volume) => volume.name).sort()
  assert.deepEqual((await readdir(join(mountpoint, 'volume'))).sort(), attached)
  assert.deepEqual([...(await daemon.client.mount(name)).volumes].sort(), attached)
  const { page_cache: pageCache, object_cache: objectCache } = await daemon.client.cache(name)
  assert.equal(await readFile(join(mountpoint, 'config/page_cache'), 'utf8'), pageCache ? '1\n' : '0\n')
  assert.equal(await readFile(join(mountpoint, 'config/object_cache'), 'utf8'), objectCache ? '1\n' : '0\n')
}

/** What the processes of a daemon hold. */
interface Holdings {
  /** Open descriptors, all processes together. */
  readonly descriptors: number
  /** Resident memory, bytes, by process: the supervisor, then the workers. */
  readonly memory: readonly number[]
}

async function holdingsOf(daemon: Sheepfsd, mounts: readonly { readonly name: string }[]): Promise<Holdings> {
  const pids = [daemon.child.pid ?? 0, ...(await Promise.all(mounts.map(({ name }) => daemon.workerPid(name))))]
  const descriptors = await Promise.all(pids.map((pid) => readdir(`/proc/${pid}/fd`)))
  return { descriptors: descriptors.flat().length, memory: await Promise.all(pids.map(residentMemory)) }
}

/** Resolves when hardly more descriptors are open than before, and no file of the mounts. Errors: that does not come. */
async function settled(daemon: Sheepfsd, mounts: readonly StormedMount[], before: Holdings): Promise<Holdings> {
  for (const until = performance.now() + SETTLE_LIMIT_MS; ;) {
    const now = await holdingsOf(daemon, mounts)
    const open = (await daemon.client.mounts()).reduce((sum, mount) => sum + mount.open_files, 0)
    if (now.descriptors <= before.descriptors + DESCRIPTOR_ROOM && open === 0) return now
    if (performance.now() > until) {
      throw new Error(`${now.descriptors} descriptors are open, ${before.descriptors} before; ${open} files`)
    }
    await delay(100)
  }
}

async function residentMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] ?? assert.fail('an empty list')
}
