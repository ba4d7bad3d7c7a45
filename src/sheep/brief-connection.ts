import type { Address } from './address.ts'
import { Connection } from './connection.ts'
import type { World } from './world.ts'

/** A connection for a question or two, beside those that serve; the caller destroys it. Errors: unreachable, timeout. */
export function openBriefly(world: World, address: Address, limitMs: number): Promise<Connection> {
  const options = { world, connectTimeoutMs: limitMs, deadlineMs: () => limitMs, trimsZeros: () => false }
  return Connection.open(address, options, () => undefined)
}
