import type { Message, Response } from '../wire/message.ts'
import type { Connection } from './connection.ts'

/**
 * Asks what may differ from epoch to epoch. A sheep writes into an answer the epoch in which it sends it, which may be a
 * later one than it was made in (docs/sheepdog-protocol.md#12.1); so one counts only when the sheep was in that
 * epoch before the question. Errors: unreachable, timeout, protocol.
 */
export async function askInEpoch(connection: Connection, message: Message): Promise<Response> {
  for (let known = connection.epoch; ;) {
    const response = await connection.exchange(message)
    if (response.epoch === known) return response
    known = response.epoch
  }
}
