import { isSameAddress, type Address } from '../../sheep/address.ts'

/** Gateways whose late executions a successor waits for: the present one, and those before it that may still be busy. */
const REMEMBERED_GATEWAYS = 4

/** The gateways to remember when `address` has been chosen, the latest first. */
export function withGateway(known: readonly Address[], address: Address): readonly Address[] {
  return [address, ...known.filter((other) => !isSameAddress(other, address))].slice(0, REMEMBERED_GATEWAYS)
}
