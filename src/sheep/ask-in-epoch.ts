import type { Message, Response } from '../wire/message.ts'
import type { Connection } from './connection.ts'
import { breach } from './parse-answer.ts'

/** A cluster changes its epoch no oftener than nodes come and go: more in a row is a sheep that counts on. */
const MOST_EPOCHS = 64

/**
 * Asks what may differ from epoch to epoch. A sheep writes into an answer the epoch in which it sends it, which may be a
 * later one than it was made in (docs/sheepdog-protocol.md#12.1); so one counts only when the sheep was in that
 * epoch before the question. Errors: unreachable, timeout, protocol.
 */
export async function askInEpoch(connection: Connection, message: Message): Promise<Response> {
  let known = connection.epoch
  for (let asked = 0; asked < MOST_EPOCHS; asked++) {
    const response = await connection.exchange(message)
    if (response.epoch === known) return response
    known = response.epoch
  }
  throw breach(connection, `each of ${MOST_EPOCHS} answers is of another epoch`)
}
