import { isSheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { Random } from '../sheep/random.ts'
import { SceneOver, type Scene } from './actors/actor.ts'
import { untilWhole } from './actors/node-actors.ts'
import { addressesOf, makeVdi } from './actors/vdi-actors.ts'
import { call, readUnits } from './actors/volume-actors.ts'
import { Contents, UNIT } from './contents.ts'
import type { Course, Part } from './course.ts'
import { Stage } from './stage.ts'
import type { Trace } from './trace.ts'

const VDI = 'vdi'
/** What the client takes for one that never ends. */
const SLOW_REMOVAL_MS = 30_000
const log = silentLogger()

/** Plays a course to its end. Rejects with a Finding when something is wrong with what the client did. */
export async function play(course: Course, trace: Trace): Promise<void> {
  const stage = new Stage(course.seed, trace)
  const [cluster, other] = course.clusters.map((plan) => stage.addCluster(plan))
  if (!cluster) throw new RangeError('a course without a cluster')
  for (const { core } of stage.clusters) {
    core.faults.snapshotPauseMs = course.snapshotPauseMs
    core.faults.removalDelayMs = course.removalDelayMs
  }
  if (course.removalDelayMs > SLOW_REMOVAL_MS) stage.past.add('slow removals')
  const contents = new Contents(VDI, course, stage.ids)
  const plan = {
    name: 'us',
    addresses: course.addresses,
    volume: VDI,
    readOnly: false,
    ioTimeoutMs: course.ioTimeoutMs,
  }
  const mount = stage.addMount(plan, stage.newRandom())
  const scene: Scene = { stage, cluster, other, mount, contents, vdi: VDI, objectUnits: course.objectUnits }
  const lastRandom = stage.newRandom()
  await stage.run(async () => {
    for (const one of stage.clusters) await makeVdi(scene, one, course.units)
    await mount.open()
    await Promise.all(course.parts.map((part) => actPart(scene, part)))
    await endWell(scene, lastRandom)
  })
}

async function actPart(scene: Scene, { actor, seed, steps }: Part): Promise<void> {
  try {
    await actor.act(scene, new Random(seed), steps)
  } catch (error) {
    if (error instanceof SceneOver) return
    if (!isSheepfsError(error)) throw error
    scene.stage.checkError(actor.name, error)
  }
}

/** When all is over and well: what was acknowledged is there, through the mount and for anybody else, and no lock stays. */
async function endWell(scene: Scene, random: Random): Promise<void> {
  const { stage, cluster, mount, contents } = scene
  await untilWhole(scene)
  try {
    await call(scene, 'last fsync', () => mount.call((handle) => handle.sync()))
    const all = { first: 0, count: contents.units }
    await readUnits(scene, { ...all, mount }, stage, 'at the end')
    const client = await stage.openClient('last', addressesOf(cluster), random)
    const volume = await openVolume(client, { name: Buffer.from(VDI) }, { log, readOnly: true })
    const bytes = new Uint8Array(contents.units * UNIT)
    const since = stage.agenda.now
    const length = await volume.read(0, bytes)
    const span = { since, until: stage.agenda.now }
    stage.checkBytes(contents, { first: 0, bytes: bytes.subarray(0, length), who: 'attached anew' }, span)
    await volume.close()
    stage.endClient(client)
    const wasBlind = mount.cluster?.hasLocking === false
    await call(scene, 'close', () => mount.close())
    checkLocks(scene, wasBlind)
  } catch (error) {
    if (isSheepfsError(error)) stage.checkError('at the end', error)
    else if (!(error instanceof SceneOver)) throw error
  }
}

function checkLocks({ stage, cluster }: Scene, wasBlind: boolean): void {
  for (const { vid } of cluster.core.table.list()) {
    if (!cluster.core.locks.get(vid)) continue
    const of = cluster.core.table.get(vid)?.isSnapshot === true ? 'a snapshot' : 'a working VDI'
    const circumstance = wasBlind ? 'locking not seen' : undefined
    stage.report(`lock of ${of} left`, `vid ${vid.toString(16)} is locked, and nobody has it`, circumstance)
  }
}
