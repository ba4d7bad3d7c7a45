import { isSameAddress, type Address } from '../../sheep/address.ts'

/**
 * Gateways whose late executions a successor waits for: home, those before it that may still be busy, and holders of an inode
 * that an index update was sent through.
 */
const REMEMBERED_GATEWAYS = 8

/** The gateways to remember when `address` has been chosen, the latest first. */
export function withGateway(known: readonly Address[], address: Address): readonly Address[] {
  return [address, ...known.filter((other) => !isSameAddress(other, address))].slice(0, REMEMBERED_GATEWAYS)
}
