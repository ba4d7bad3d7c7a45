import { SheepfsError } from '../src/errors.ts'
import type { Connection } from '../src/sheep/connection.ts'
import { DEFAULT_BLOCK_SIZE_SHIFT, objectCount } from '../src/wire/inode.ts'
import type { Message } from '../src/wire/message.ts'
import { dataOid } from '../src/wire/object-id.ts'
import { createObject, readObject, writeIndex, writeObject } from '../src/wire/object-ops.ts'
import { Result, resultName } from '../src/wire/sd-proto.ts'
import { openConnection, type Sheep } from '../test/e2e/stage/sheep.ts'
import type { Stage } from '../test/e2e/stage/stage.ts'
import type { Outcome, Target } from './target.ts'
import { speed, type Workload } from './workload.ts'

const OBJECT_SIZE = 2 ** DEFAULT_BLOCK_SIZE_SHIFT

interface BareVolume {
  readonly connection: Connection
  readonly vid: number
  readonly size: number
}

/**
 * The protocol's ceiling: the requests of a load, as many at once as it has jobs, over one connection to one sheep, and
 * nothing else: no files, no kernel, no index, no retry.
 */
export async function bareTarget(stage: Stage, label: string, sheep: Sheep, size: number): Promise<Target> {
  const vid = await sheep.vidOf(await sheep.createVdi(size, { blockSizeShift: DEFAULT_BLOCK_SIZE_SHIFT }))
  const connection = await openConnection(sheep.address)
  stage.defer(() => {
    connection.destroy(new SheepfsError('closed', 'the bench is over'))
  })
  const volume = { connection, vid, size }
  await fill(volume)
  return {
    label,
    measure: (workload) => runBare(volume, workload),
    peakMemory: () => Promise.resolve(undefined),
  }
}

/** Makes all objects, and their index entries, so that they are removed with the VDI. */
async function fill({ connection, vid, size }: BareVolume): Promise<void> {
  const count = objectCount(size, DEFAULT_BLOCK_SIZE_SHIFT)
  const zeros = new Uint8Array(OBJECT_SIZE)
  for (let index = 0; index < count; index++) await exchange(connection, createObject(dataOid(vid, index), 0, zeros))
  await exchange(connection, writeIndex(vid, 0, new Array<number>(count).fill(vid)))
}

async function runBare({ connection, vid, size }: BareVolume, workload: Workload): Promise<Outcome> {
  const { blockSize, jobs, bytesPerJob, order, direction } = workload
  const blocks = Math.floor(size / blockSize)
  const job = async (): Promise<void> => {
    const memory = new Uint8Array(blockSize)
    for (let block = 0; block < bytesPerJob / blockSize; block++) {
      const position = (order === 'random' ? Math.floor(Math.random() * blocks) : block % blocks) * blockSize
      const oid = dataOid(vid, Math.floor(position / OBJECT_SIZE))
      const offset = position % OBJECT_SIZE
      if (direction === 'read') await exchange(connection, readObject(oid, offset, blockSize), memory)
      else await exchange(connection, writeObject(oid, offset, memory))
    }
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: jobs }, job))
  const seconds = (performance.now() - startMs) / 1000
  return { speed: speed(workload, jobs * bytesPerJob, seconds), failures: 0 }
}

async function exchange(connection: Connection, message: Message, into?: Uint8Array): Promise<void> {
  const { result } = await connection.exchange(message, into)
  if (result !== Result.SUCCESS) throw new Error(`bare client: ${resultName(result) ?? String(result)}`)
}
