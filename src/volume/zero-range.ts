import type { Patience } from '../sheep/outage.ts'
import { writeToObject } from './object-write.ts'
import { hasBecomeSnapshot } from './probe.ts'
import { allEnded } from './all-ended.ts'
import type { VolumeCore } from './volume-core.ts'
import { splitRange, type ObjectPart } from './volume-layout.ts'

const ZEROS = new Uint8Array(1024 * 1024)
/** Objects given back in one go: their index entries go out together. */
const RELEASE_BATCH = 512

/**
 * Makes a range read as zeros. Whole objects are given back to the cluster, the last one also when only the end of the
 * volume cuts it; of the others the part is overwritten, and nothing is done where nothing is allocated.
 */
export async function zeroRange(core: VolumeCore, position: number, length: number): Promise<void> {
  const end = position + length
  const isWhole = (part: ObjectPart): boolean =>
    part.offset === 0 && (part.length === core.objectSize || end >= core.header.vdiSize)
  const partial = edgeParts(core, position, length).filter((part) => !isWhole(part))
  const first = Math.ceil(position / core.objectSize)
  const last = end >= core.header.vdiSize ? core.index.objectCount : Math.floor(end / core.objectSize)
  await allEnded(partial.map((part) => zeroPart(core, part)))
  await releaseObjects(core, first, last)
}

/** The parts of a range in its first and its last object. */
function edgeParts(core: VolumeCore, position: number, length: number): ObjectPart[] {
  const { objectSize } = core
  const end = position + length
  const firstEnd = Math.min(end, (Math.floor(position / objectSize) + 1) * objectSize)
  const parts = splitRange(position, firstEnd - position, objectSize)
  const lastStart = Math.max(firstEnd, end - (end % objectSize))
  if (lastStart < end) parts.push(...splitRange(lastStart, end - lastStart, objectSize))
  return parts
}

async function zeroPart(core: VolumeCore, part: ObjectPart): Promise<void> {
  for (let done = 0; done < part.length; done += ZEROS.length) {
    if ((await core.index.owner(part.index)) === 0) return
    const data = ZEROS.subarray(0, Math.min(ZEROS.length, part.length - done))
    const place = { index: part.index, offset: part.offset + done }
    await core.request((patience) => writeToObject(core, place, data, patience))
  }
}

async function releaseObjects(core: VolumeCore, first: number, last: number): Promise<void> {
  let batch: number[] = []
  for (let index = await core.index.next(first, 'data'); index < last;) {
    batch.push(index)
    index = await core.index.next(index + 1, 'data')
    if (batch.length === RELEASE_BATCH || index >= last) {
      await releaseBatch(core, batch)
      batch = []
    }
  }
}

/** Gives objects back, holding all of them. In ascending order, so that two of these cannot wait for each other. */
async function releaseBatch(core: VolumeCore, batch: readonly number[]): Promise<void> {
  const holds = batch.map((index) => core.locks.acquire(index, 0, core.objectSize))
  try {
    for (const hold of holds) if (hold.granted) await hold.granted
    await core.request(async (patience) => {
      while (!(await releaseHeld(core, batch, patience)));
    })
  } finally {
    for (const hold of holds) hold.release()
  }
}

/** False when the VDI has got another inode meanwhile and it is to be done again there. */
async function releaseHeld(core: VolumeCore, batch: readonly number[], patience: Patience): Promise<boolean> {
  const vid = core.vid
  if (await hasBecomeSnapshot(core, vid, patience)) return false // a discard there would take the snapshot's data
  const owners = await Promise.all(batch.map(async (index) => core.index.owner(index)))
  if (vid !== core.vid) return false
  const allocated = batch.filter((_, i) => owners[i] !== 0)
  if (allocated.length === 0) return true
  const own = batch.filter((_, i) => owners[i] === vid)
  return core.removals.during(own, () =>
    core.update(vid, () => allEnded(allocated.map((index) => core.index.publish(index, 0, patience)))),
  )
}
