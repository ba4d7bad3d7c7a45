import { isSheepfsError } from '../../../src/errors.ts'
import type { Random } from '../../sheep/random.ts'
import { dataOid } from '../../../src/wire/object-id.ts'
import { UNIT } from '../contents.ts'
import { keyOf } from '../object-key.ts'
import type { Mount } from '../mount.ts'
import type { SimulatedSheep } from '../simulated-sheep.ts'
import type { Stage } from '../stage.ts'
import { rest, SceneOver, type Actor, type Scene } from './actor.ts'

/** What takes a VDI away from who has it attached. */
const ENDS = ['format', 'other cluster', 'rollback', 'taken over'] as const

/** Writes, discards, reads and flushes anywhere, beside others of its kind. */
export const writer: Actor = {
  name: 'writer',
  act: async (scene, random, steps) => {
    for (let step = 0; step < steps; step++) {
      const dice = random.next()
      if (dice < 0.5) await write(scene, random)
      else if (dice < 0.65) await discard(scene, random)
      else if (dice < 0.9) await read(scene, random)
      else await sync(scene)
      await rest(scene, random, 300)
    }
  },
}

/** Reads only, as much as it gets. */
export const reader: Actor = {
  name: 'reader',
  act: async (scene, random, steps) => {
    for (let step = 0; step < 2 * steps; step++) {
      await read(scene, random)
      await rest(scene, random, 100)
    }
  },
}

/** Makes all of it read as zeros, as O_TRUNC does. */
export const truncater: Actor = {
  name: 'truncater',
  act: async (scene, random) => {
    await rest(scene, random, 4000)
    await zero(scene, 0, scene.contents.units)
  },
}

export const grower: Actor = {
  name: 'grower',
  act: async (scene, random) => {
    await rest(scene, random, 4000)
    const { contents, objectUnits } = scene
    const units = contents.units + (1 + random.below(3)) * objectUnits
    const grow = (mount: Mount): Promise<boolean> =>
      mount.call(async (_, file) => {
        await file.resize(units * UNIT, () => [])
        return true
      })
    if ((await call(scene, 'grow', grow)) === true) contents.grow(units)
  },
}

/** Has the VDI attached for reading on another host, and looks at it from time to time. */
export const distantReader: Actor = {
  name: 'distant reader',
  act: async (scene, random, steps) => {
    const { stage, mount, contents } = scene
    const distant = stage.addMount({ ...mount.plan, name: 'distant', readOnly: true }, random)
    await untilOpen(distant, stage)
    for (let step = 0; step < steps; step++) {
      await rest(scene, random, 2000)
      const since = stage.agenda.now
      if (random.chance(0.5)) await call(scene, 'refresh', () => distant.call((_, file) => file.refresh()))
      const { first, count } = place(scene, random)
      const bytes = new Uint8Array(count * UNIT)
      const length = await call(scene, 'distant read', () => distant.call((handle) => handle.read(first * UNIT, bytes)))
      if (length === undefined) continue
      // of another host's write it hears in its own time
      const span = { since: since - STALENESS_MS, until: stage.agenda.now }
      stage.checkBytes(contents, { first, bytes: bytes.subarray(0, length), who: 'distant reader' }, span)
    }
    await call(scene, 'distant close', () => distant.close())
  },
}

/** What was written elsewhere is seen after this, at the latest: a look at the VDI that nobody asked for. */
const STALENESS_MS = 35_000

async function write(scene: Scene, random: Random): Promise<void> {
  const { stage, contents } = scene
  const { first, count } = place(scene, random)
  const since = stage.agenda.now
  const { id, data } = contents.newWrite(first, count)
  const end = contents.begin(first, count, id, stage.agenda.now)
  stage.trace.say(stage.agenda.now, () => `write ${id} of units ${first} to ${first + count}`)
  const length = await call(
    scene,
    `write ${id} of units ${first} to ${first + count}`,
    (mount) => mount.call((handle) => handle.write(first * UNIT, data)),
    () => explainWait(scene, { first, count, since }),
  )
  if (length === data.length) end(stage.agenda.now)
  stage.trace.say(stage.agenda.now, () => `write ${id} ended with ${length}`)
}

async function discard(scene: Scene, random: Random): Promise<void> {
  const { objectUnits, contents } = scene
  const isWhole = random.chance(0.7)
  const { first, count } = place(scene, random)
  if (!isWhole) return zero(scene, first, count)
  const from = first - (first % objectUnits)
  const to = Math.min(contents.units, from + objectUnits * (1 + random.below(2)))
  return zero(scene, from, to - from)
}

async function zero(scene: Scene, first: number, count: number): Promise<void> {
  const { stage, contents } = scene
  const end = contents.begin(first, count, 0, stage.agenda.now)
  const what = `discard of units ${first} to ${first + count}`
  stage.trace.say(stage.agenda.now, () => what)
  const isDone = await call(scene, what, (mount) =>
    mount.call(async (handle) => {
      await handle.zero(first * UNIT, count * UNIT, { release: true })
      return true
    }),
  )
  if (isDone === true) end(stage.agenda.now)
  stage.trace.say(stage.agenda.now, () => `${what} ended`)
}

async function read(scene: Scene, random: Random): Promise<void> {
  const { stage, contents } = scene
  const { first, count } = place(scene, random)
  await readUnits(scene, { first, count, mount: scene.mount }, stage, contents.name)
}

/** Reads units through a mount and looks whether they may be so. */
export async function readUnits(
  scene: Scene,
  { first, count, mount }: { readonly first: number; readonly count: number; readonly mount: Mount },
  stage: Stage,
  who: string,
): Promise<void> {
  const since = stage.agenda.now
  const bytes = new Uint8Array(count * UNIT)
  const what = `read of units ${first} to ${first + count}`
  const length = await call(scene, what, () => mount.call((handle) => handle.read(first * UNIT, bytes)))
  if (length === undefined) return
  const span = { since, until: stage.agenda.now }
  stage.checkBytes(scene.contents, { first, bytes: bytes.subarray(0, length), who }, span)
}

async function sync(scene: Scene): Promise<void> {
  await call(scene, 'fsync', (mount) => mount.call((handle) => handle.sync()))
}

/** A first worker does not wait for a cluster that does not answer. */
async function untilOpen(mount: Mount, { agenda, past }: Stage): Promise<void> {
  for (;;) {
    try {
      await mount.open()
      return
    } catch (error) {
      const isGone = ENDS.some((end) => past.has(end))
      if (isGone && isSheepfsError(error)) throw new SceneOver(error.code)
      if (!isSheepfsError(error, 'unreachable') && !isSheepfsError(error, 'timeout')) throw error
      await agenda.pause(1000)
    }
  }
}

/** A system call; undefined when it failed as it may. Throws SceneOver when the VDI is gone and that was told. */
export async function call<T>(
  scene: Scene,
  what: string,
  work: (mount: Mount) => Promise<T>,
  explain?: () => string,
): Promise<T | undefined> {
  const { stage, mount } = scene
  const { ioTimeoutMs } = mount.plan
  try {
    const why = (): string => (isCutOff(scene) ? 'no other sheep known' : (explain?.() ?? stage.circumstance()))
    return await stage.timed(what, { ioTimeoutMs, explain: why }, () => work(mount))
  } catch (error) {
    const code = isSheepfsError(error) ? error.code : undefined
    const isGone = ENDS.some((end) => stage.past.has(end))
    if (isGone && code !== undefined) throw new SceneOver(code)
    if (code === 'locked' && stage.past.has('rival')) throw new SceneOver(code)
    if (code === 'stale' && stage.past.has('rival') && stage.past.has('restart of all')) throw new SceneOver(code)
    if (mount.plan.ioTimeoutMs < Infinity && (code === 'unreachable' || code === 'timeout' || code === 'io'))
      return undefined
    stage.checkError(what, error)
    return undefined
  }
}

/** The sheep that the mount is configured with are away, and others are there. */
function isCutOff({ cluster, mount }: Scene): boolean {
  const isConfigured = ({ address }: SimulatedSheep): boolean =>
    mount.plan.addresses.some(({ port }) => port === address.port)
  const serving = cluster.sheep.filter(({ isServing }) => isServing)
  return serving.length > 0 && !serving.some(isConfigured)
}

/** A write that has to create an object waits while one of its name is there: it may be about to be removed. */
function explainWait(
  { cluster, mount, objectUnits }: Scene,
  { first, count, since }: { readonly first: number; readonly count: number; readonly since: number },
): string {
  const vid = mount.vid ?? 0
  for (let index = Math.floor(first / objectUnits); index <= (first + count - 1) / objectUnits; index++) {
    const oid = dataOid(vid, index)
    const isThere = cluster.store.entry(vid, index) === 0 && cluster.store.exists(oid)
    if (isThere || (cluster.store.removedAt.get(keyOf(oid)) ?? -1) > since) return 'an object without an entry'
  }
  return ''
}

function place({ contents, objectUnits }: Scene, random: Random): { first: number; count: number } {
  const count = 1 + random.below(random.chance(0.2) ? 2 * objectUnits : 6)
  const first = random.below(contents.units)
  return { first, count: Math.min(count, contents.units - first) }
}
