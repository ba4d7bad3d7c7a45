import { isSheepfsError } from '../../../src/errors.ts'
import { createVdi } from '../../../src/lamb/vdi-create.ts'
import { ClusterFlag } from '../../../src/wire/info-ops.ts'
import { deleteVdi } from '../../../src/volume/manage/delete-vdi.ts'
import { cloneVdi, snapshotVdi } from '../../../src/volume/manage/snapshot-vdi.ts'
import type { Random } from '../../sheep/random.ts'
import { openVolume } from '../../../src/volume/open-volume.ts'
import type { Volume } from '../../../src/volume/volume.ts'
import { silentLogger } from '../../../src/log.ts'
import type { Cluster } from '../../../src/sheep/cluster.ts'
import type { VdiSpec } from '../../../src/wire/vdi-ops.ts'
import { UNIT, type Contents } from '../contents.ts'
import type { SimulatedCluster } from '../simulated-cluster.ts'
import type { Stage } from '../stage.ts'
import { rest, type Actor, type Scene } from './actor.ts'

const log = silentLogger()

/** Takes snapshots of the VDI from another host, looks whether they stay as they are, clones and deletes some. */
export const snapshotter: Actor = {
  name: 'snapshotter',
  act: async (scene, random, steps) => {
    const { stage, cluster, vdi } = scene
    const client = await stage.openClient('snapshotter', addressesOf(cluster), random)
    const name = Buffer.from(vdi)
    for (let times = 0; times < Math.ceil(steps / 8); times++) {
      await rest(scene, random, 6000)
      const tag = `s${random.below(2 ** 31)}`
      const spec = { name, tag: Buffer.from(tag) }
      const isTaken = await byOther(scene, `snapshot ${tag}`, () => snapshotVdi(client, name, tag))
      if (!isTaken) continue
      const before = await contentOf(client, spec)
      await rest(scene, random, 6000)
      const after = await contentOf(client, spec)
      checkSame(stage, before, after, tag)
      const dice = random.next()
      if (dice < 0.3) await byOther(scene, `clone of ${tag}`, () => cloneVdi(client, [spec], `c${tag}`))
      else if (dice < 0.45) {
        await byOther(scene, `deletion of ${tag}`, () => deleteVdi(client, [spec], () => undefined))
      }
    }
    stage.endClient(client)
  },
}

/**
 * A snapshot stays as it was: but for what was under way while it was taken, and then reached it in place of the VDI
 * (docs/sheepdog-protocol.md#5.7).
 */
function checkSame(stage: Stage, before: Uint8Array | undefined, after: Uint8Array | undefined, tag: string): void {
  if (!before || !after || stage.circumstance().includes('publish lost to a snapshot')) return
  if (Buffer.compare(before, after.subarray(0, before.length)) !== 0) stage.report('a snapshot has changed', tag)
}

/** All bytes of a snapshot; undefined when they cannot be read now. */
async function contentOf(client: Cluster, spec: VdiSpec): Promise<Uint8Array | undefined> {
  try {
    const volume = await openVolume(client, spec, { log })
    const content = new Uint8Array(volume.size)
    await volume.read(0, content)
    await volume.close()
    return content
  } catch (error) {
    if (isSheepfsError(error)) return undefined
    throw error
  }
}

/** Deletes the VDI and makes it anew from its snapshot, under whoever has it attached. */
export const rollback: Actor = {
  name: 'rollback',
  act: async (scene, random) => {
    const { stage, cluster, vdi } = scene
    await rest(scene, random, 5000)
    const client = await stage.openClient('rollback', addressesOf(cluster), random)
    const name = Buffer.from(vdi)
    const isTaken = await byOther(scene, 'snapshot before', () => snapshotVdi(client, name, 'before'))
    if (!isTaken) return
    await rest(scene, random, 3000)
    stage.past.add('rollback')
    if ((cluster.settings.flags & ClusterFlag.LOCKING) === 0) {
      const source = { name, tag: Buffer.from('before') }
      for (let isDone = false, tries = 0; !isDone && tries < 5; tries++) {
        await rest(scene, random, 1000)
        while (!cluster.isWhole) await stage.agenda.pause(100)
        if (stage.past.has('format')) break
        await byOther(scene, 'deletion', () => deleteVdi(client, [{ name }], () => undefined))
        isDone = await byOther(scene, 'clone', () => cloneVdi(client, [source], vdi))
      }
    }
    stage.endClient(client)
  },
}

/**
 * Wants to write to the VDI too, from another host; where there are locks it must not get it while we have it. A restart of
 * the whole cluster loses all locks, and who leaves for another one gives them back: the rival may be the first then, and nobody
 * else may write any more.
 */
export const rival: Actor = {
  name: 'rival',
  act: async (scene, random, steps) => {
    const { stage, cluster, mount, vdi } = scene
    if ((cluster.settings.flags & ClusterFlag.LOCKING) === 0) return
    const client = await stage.openClient('rival', addressesOf(cluster), random)
    for (let times = 0; times < steps / 2; times++) {
      await rest(scene, random, 6000)
      // after a snapshot the VDI has an inode that nobody has locked yet: whoever comes first has it
      stage.past.add('rival')
      try {
        const volume = await openVolume(client, { name: Buffer.from(vdi) }, { log })
        const isOther = volume.vid !== mount.vid || stage.past.has('format') // the vid comes from the name
        if (isOther) stage.past.add('taken over')
        else if (mount.isWriting && (stage.past.has('restart of all') || stage.past.has('other cluster'))) {
          await checkUnchanged(scene, random, volume)
        } else if (mount.isWriting) {
          const isBlind = !client.hasLocking || mount.cluster?.hasLocking === false
          stage.report('two writers', 'a rival has got the lock of the VDI', isBlind ? 'locking not seen' : undefined)
        }
        await volume.close()
      } catch (error) {
        if (!isSheepfsError(error)) stage.checkError('rival', error)
      }
    }
    stage.endClient(client)
  },
}

/** Who has the lock sees nobody else write. */
async function checkUnchanged(scene: Scene, random: Random, volume: Volume): Promise<void> {
  const [before, after] = [new Uint8Array(volume.size), new Uint8Array(volume.size)]
  await volume.read(0, before)
  await rest(scene, random, 10_000)
  await volume.read(0, after)
  if (Buffer.compare(before, after) !== 0)
    scene.stage.report('two writers', 'somebody writes while a rival has the lock')
}

/** Formats the cluster underneath; a VDI of the same name is made and written by somebody else. */
export const formatter: Actor = {
  name: 'formatter',
  act: async (scene, random) => {
    const { stage, cluster } = scene
    await rest(scene, random, 6000)
    while (!cluster.isWhole) await stage.agenda.pause(100)
    stage.past.add('format')
    stage.trace.say(stage.agenda.now, () => '** format')
    cluster.reformat()
    await makeVdi(scene, cluster, scene.contents.units)
    const contents = scene.contents.copy(`${scene.vdi} after the format`)
    await watchForeign(scene, cluster, contents, random)
  },
}

/** Points the mount to another cluster that has a VDI of the same name. */
export const mover: Actor = {
  name: 'mover',
  act: async (scene, random) => {
    const { stage, mount, other } = scene
    if (!other) return
    await rest(scene, random, 6000)
    stage.past.add('other cluster')
    stage.trace.say(stage.agenda.now, () => '** other cluster')
    await mount.setAddresses(addressesOf(other)).catch(() => undefined)
    await watchForeign(scene, other, scene.contents.copy(`${scene.vdi} of ${other.name}`), random)
  },
}

/** Makes a VDI as an administrator does, in no time. */
export async function makeVdi(
  scene: Pick<Scene, 'vdi' | 'objectUnits'>,
  cluster: SimulatedCluster,
  units: number,
): Promise<void> {
  await createVdi(cluster.core, {
    name: Buffer.from(scene.vdi),
    size: units * UNIT,
    baseVid: 0,
    copies: 0,
    copyPolicy: 0,
    storePolicy: 0,
    blockSizeShift: Math.log2(scene.objectUnits * UNIT),
    isSnapshot: false,
  })
}

/** Nothing that was meant for the mount's VDI may appear in another one of its name. */
async function watchForeign(
  scene: Scene,
  cluster: SimulatedCluster,
  contents: Contents,
  random: Random,
): Promise<void> {
  const { stage, vdi } = scene
  await stage.agenda.pause(random.next() * 40_000)
  const client = await stage.openClient('watcher', addressesOf(cluster), random)
  const volume = await openVolume(client, { name: Buffer.from(vdi) }, { log, readOnly: true })
  const bytes = new Uint8Array(volume.size)
  await volume.read(0, bytes)
  for (let at = 0; at < bytes.length; at += UNIT) {
    if (bytes.subarray(at, at + 4).some((byte) => byte !== 0)) {
      stage.report('foreign bytes', `unit ${at / UNIT} of ${contents.name} was written by the mount of another VDI`)
    }
  }
  await volume.close()
  stage.endClient(client)
}

/** False when it failed, as what others do at the same time may make it. */
async function byOther(scene: Scene, what: string, work: () => Promise<unknown>): Promise<boolean> {
  const { stage } = scene
  stage.trace.say(stage.agenda.now, () => what)
  try {
    await stage.timed(what, { ioTimeoutMs: Infinity }, work)
    stage.trace.say(stage.agenda.now, () => `${what} is done`)
    return true
  } catch (error) {
    if (!isSheepfsError(error)) stage.checkError(what, error)
    stage.trace.say(stage.agenda.now, () => `${what} failed: ${String(error)}`)
    return false
  }
}

export function addressesOf(cluster: SimulatedCluster): SimulatedCluster['sheep'][number]['address'][] {
  return cluster.sheep.map(({ address }) => address)
}
