import type { Duplex } from 'node:stream'
import type { FromWorker, ToWorker } from '../worker-protocol.ts'
import { FrameChannel } from './frame-channel.ts'
import { readToWorker } from './supervisor-messages.ts'
import { readFromWorker } from './worker-messages.ts'

/** The descriptor of the channel in a worker. */
export const CHANNEL_FD = 4

/** Of a message of a worker: as many volumes as the record of a mount has room for, and read within a quarter of a second. */
export const MOST_FROM_WORKER = 4 << 20
/** Of an answer in parts: about 100 000 VDIs. */
export const MOST_PARTS = 32 << 20
/** Of a message to a worker: the start, with what the kernel has open. */
const MOST_TO_WORKER = 64 << 20

/** How a supervisor talks to a worker, which is not trusted. One that does not read is not sent more and more. */
export function channelToWorker(socket: Duplex): FrameChannel<FromWorker, ToWorker> {
  const bounds = { mostReceived: MOST_FROM_WORKER, mostSent: MOST_TO_WORKER, mostWaiting: MOST_TO_WORKER }
  return new FrameChannel<FromWorker, ToWorker>(socket, { ...bounds, read: readFromWorker })
}

/** How a worker talks to its supervisor. */
export function channelToSupervisor(socket: Duplex): FrameChannel<ToWorker, FromWorker> {
  const bounds = { mostReceived: MOST_TO_WORKER, mostSent: MOST_FROM_WORKER, mostWaiting: Infinity }
  return new FrameChannel<ToWorker, FromWorker>(socket, { ...bounds, read: readToWorker })
}
