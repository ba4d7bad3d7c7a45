import { isIP, isIPv6 } from 'node:net'
import { SheepfsError } from '../errors.ts'
import { SD_PORT } from '../wire/sd-proto.ts'

/** Where a sheep listens. `host` is a name or a numeric address, IPv6 without brackets. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** `host:port`, with brackets around IPv6. */
export function addressText({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * Reads `host`, `host:port`, `[IPv6]`, `[IPv6]:port` or a bare IPv6 address. Throws invalid, saying what is wrong.
 * @param defaultPort used when none is given
 */
export function parseAddress(text: string, defaultPort = SD_PORT): Address {
  const match =
    /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? (isIPv6(text) ? [text, text] : /^([^:]*)(?::(.*))?$/.exec(text))
  const host = match?.[1] ?? ''
  const isBracketed = text.startsWith('[')
  if (!match || (isBracketed ? !isIPv6(host) : !isHost(host))) {
    throw new SheepfsError('invalid', `"${text}" is not an address: expected host:port, or [address]:port for IPv6`)
  }
  return { host, port: match[2] === undefined ? defaultPort : parsePort(match[2]) }
}

/** Reads addresses separated by commas. Throws invalid. */
export function parseAddresses(text: string, defaultPort = SD_PORT): Address[] {
  return text.split(',').map((part) => parseAddress(part.trim(), defaultPort))
}

/** Reads a TCP port, 1 to 65535. Throws invalid. */
export function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) {
    throw new SheepfsError('invalid', `"${text}" is not a port: expected a number from 1 to 65535`)
  }
  return port
}

export function isSameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port
}

function isHost(host: string): boolean {
  if (isIP(host) !== 0) return true
  const isAllDigitsAndDots = /^[\d.]+$/.test(host)
  return !isAllDigitsAndDots && /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$/.test(host)
}
