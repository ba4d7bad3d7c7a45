import { SheepfsError } from '../errors.ts'
import { newMessage } from '../wire/message.ts'
import { Opcode, Req, Result } from '../wire/sd-proto.ts'
import { u64 } from '../wire/field.ts'
import { type Address } from './address.ts'
import { Connection } from './connection.ts'

/** struct sd_stat: requests that the asked sheep executes as a gateway now. */
const gatewayActive = u64(0)
const SD_STAT_SIZE = 15 * 8

/** Longest wait for a lost gateway to be done with what it was sent. */
export const SETTLE_LIMIT_MS = 3000
const POLL_MS = 100
/** Two idle answers in a row: one may come before the sheep has read what was on its socket. */
const IDLE_ANSWERS = 2

/**
 * Fencing: resolves when a gateway whose connection was lost can be taken to execute nothing any more of what it was sent
 * on it. That is when it says twice that it is idle, or when SETTLE_LIMIT_MS have passed (it is gone, does not answer, or
 * is busy for others). Until then a request sent again elsewhere could be overtaken by its first copy.
 */
export async function settled(address: Address, protoVer: number): Promise<void> {
  const until = performance.now() + SETTLE_LIMIT_MS
  let idleAnswers = 0
  while (performance.now() < until && idleAnswers < IDLE_ANSWERS) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    const isIdle = await askIdle(address, protoVer, until - performance.now())
    idleAnswers = isIdle ? idleAnswers + 1 : 0
  }
}

async function askIdle(address: Address, protoVer: number, limitMs: number): Promise<boolean> {
  const message = newMessage(Opcode.STAT, { wanted: SD_STAT_SIZE })
  Req.protoVer.set(message.header, protoVer)
  const options = { connectTimeoutMs: limitMs, deadlineMs: () => limitMs, trimsZeros: () => false }
  try {
    const connection = await Connection.open(address, options, () => undefined)
    try {
      const { result, payload } = await connection.exchange(message)
      const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
      return result === Result.SUCCESS && payload.length === SD_STAT_SIZE && gatewayActive.get(view) === 0
    } finally {
      connection.destroy(new SheepfsError('closed', 'asked'))
    }
  } catch {
    return false // no answer is not an answer: the limit decides
  }
}
