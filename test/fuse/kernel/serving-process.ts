import { createLogger } from '../../../src/log.ts'
import { serveDevice } from '../../../src/fuse/kernel/open-device.ts'
import type { Negotiated } from '../../../src/fuse/kernel/negotiation.ts'
import { Session } from '../../../src/fuse/kernel/session.ts'
import { MemoryTree } from '../memory-tree.ts'

/**
 * A process that serves a tree in memory on descriptor 4 (3 is the channel to its parent). Arguments: generation, delay of
 * each read and write in milliseconds, and for a successor the negotiated values as JSON. Tells its parent what was
 * negotiated, and ends when it loses its parent.
 */
const [generation = '0', latencyMs = '0', negotiated] = process.argv.slice(2)
const log = createLogger({ name: 'serving', level: 'warn' })
const tree = new MemoryTree(1 << 20)
tree.volume.latencyMs = Number(latencyMs)
tree.volume.content.fill(Number(generation))
const session = new Session({
  ...{ tree, log, writeBack: false, generation: Number(generation), device: await serveDevice(4, log) },
  ...(negotiated === undefined ? {} : { negotiated: JSON.parse(negotiated) as Negotiated }),
})
if (negotiated !== undefined) session.resend()
session.start()
process.once('disconnect', () => void session.close())
process.send?.({ negotiated: await session.ready })
await session.ended
if (process.connected) process.disconnect()
