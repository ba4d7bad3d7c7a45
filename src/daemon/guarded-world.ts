import { isIP } from 'node:net'
import { SheepfsError } from '../errors.ts'
import type { Dial, World } from '../sheep/world.ts'
import { inNetworks } from './config/network.ts'

/**
 * A world in which numeric addresses are only connected to that are in one of these networks; all, when there are none. A
 * name can only be in a configuration: what a cluster says of its nodes has none.
 */
export function guardedWorld(world: World, networks: readonly string[]): World {
  if (networks.length === 0) return world
  const isAllowed = inNetworks(networks)
  return {
    clock: world.clock,
    dial: (address, receiver) =>
      isIP(address.host) === 0 || isAllowed(address.host) ? world.dial(address, receiver) : refusal(address, receiver),
  }
}

const refusal: Dial = (_, receiver) => {
  const refusing = setImmediate(() => {
    receiver.ended(new SheepfsError('not-permitted', 'it is in none of the networks of the configuration'))
  })
  const end = (): void => {
    clearImmediate(refusing)
  }
  return { write: () => undefined, destroy: end, reset: end }
}
