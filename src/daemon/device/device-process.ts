import { toWireError } from '../wire-error.ts'
import { dropDevice, type MapOptions, mapVolume, unmapDevice } from './block-device.ts'
import type { DeviceOrder, DeviceOutcome, DeviceWork } from './device-order.ts'
import { holdVolume, overVolume } from './volume-file.ts'
import { withVolumeLock } from './volume-lock.ts'

/*
 * A process that makes or takes away the device of one volume, until its stdin ends: nobody wants it then. A signal that ends
 * the service in order is not for it.
 */

const WORK: {
  [K in keyof DeviceWork]: (
    signal: AbortSignal,
    ...args: Parameters<DeviceWork[K]>
  ) => Promise<ReturnType<DeviceWork[K]>>
} = {
  map: async (signal, path, how) => {
    const held = await holdVolume(path, signal) // it goes with its last user, and each look at it is one
    try {
      return await withVolumeLock(path, signal, () => mapOver(path, { ...how, signal }))
    } finally {
      await held.release()
    }
  },
  unmap: (signal, path, loop) => withVolumeLock(path, signal, () => unmapDevice(loop, signal)).then(() => null),
  drop: (_, __, loop) => dropDevice(loop).then(() => null),
}

/** As `mapVolume`, of what is a volume. */
function mapOver(path: string, how: MapOptions): ReturnType<typeof mapVolume> {
  return overVolume(path, how.signal, {
    make: () => mapVolume(path, how),
    deviceOf: ({ loop }) => loop.path,
    takeBack: async ({ loop, isNew }) => {
      if (isNew) await dropDevice(loop)
    },
  })
}

async function work({ kind, args }: DeviceOrder): Promise<DeviceOutcome> {
  const unwanted = new AbortController()
  process.stdin.resume().once('end', () => {
    unwanted.abort()
  })
  try {
    const perform = WORK[kind] as (
      signal: AbortSignal,
      ...args: unknown[]
    ) => Promise<ReturnType<DeviceWork[keyof DeviceWork]>>
    return { result: await perform(unwanted.signal, ...args) }
  } catch (error) {
    return { error: toWireError(error) }
  }
}

process.title = 'sheepfs-device'
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
const outcome = await work(JSON.parse(process.argv[2] ?? '') as DeviceOrder)
process.stdout.write(JSON.stringify(outcome))
process.stdin.destroy()
