import { BlockList, isIP } from 'node:net'
import { SheepfsError } from '../../errors.ts'

const BITS = { 4: 32, 6: 128 } as const

interface Network {
  readonly address: string
  readonly bits: number
  readonly family: 'ipv4' | 'ipv6'
}

/** A network in its canonical form, `ADDRESS/BITS`; a bare address is a network of one. Throws invalid. */
export function networkText(text: string): string {
  const { address, bits } = parseNetwork(text)
  return `${address}/${bits}`
}

/** Whether a numeric address is in one of these networks; in the networks of IPv4 also as IPv6 has it (::ffff:10.0.0.1). */
export function inNetworks(networks: readonly string[]): (host: string) => boolean {
  const list = new BlockList()
  for (const { address, bits, family } of networks.map(parseNetwork)) list.addSubnet(address, bits, family)
  return (host) => list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4')
}

function parseNetwork(text: string): Network {
  const [address = '', bits, ...more] = text.split('/')
  const family = isIP(address)
  const most = family === 4 || family === 6 ? BITS[family] : 0
  const length = bits === undefined ? most : Number(bits)
  const isNumber = bits === undefined || /^\d{1,3}$/.test(bits)
  if (most === 0 || address.includes('%') || more.length > 0 || !isNumber || length > most) {
    throw new SheepfsError('invalid', `"${text}" is not a network: expected ADDRESS/BITS, as 10.0.0.0/24 or fd00::/8`)
  }
  return { address, bits: length, family: family === 4 ? 'ipv4' : 'ipv6' }
}
