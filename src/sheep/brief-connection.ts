import type { Address } from './address.ts'
import { Connection } from './connection.ts'

/** A connection for a question or two, beside those that serve; the caller destroys it. Errors: unreachable, timeout. */
export function openBriefly(address: Address, limitMs: number): Promise<Connection> {
  const options = { connectTimeoutMs: limitMs, deadlineMs: () => limitMs, trimsZeros: () => false }
  return Connection.open(address, options, () => undefined)
}
