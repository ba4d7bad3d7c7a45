import { isIP } from 'node:net'
import { SheepfsError, type ErrorCode } from '../errors.ts'
import type { App } from './app.ts'
import { closing, type Listening } from './listen-unix.ts'
import { createServer } from './node-http.ts'

/** An address of this host. `host` is numeric, IPv6 without brackets. */
export interface TcpAddress {
  readonly host: string
  readonly port: number
}

/** Reads `10.0.0.1:9717` or `[::1]:9717`; undefined when it is something else. */
export function parseTcpAddress(text: string): TcpAddress | undefined {
  const [, ipv6, ipv4, digits = ''] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text) ?? []
  const [host, family] = ipv6 === undefined ? [ipv4 ?? '', 4] : [ipv6, 6]
  const port = Number(digits)
  return isIP(host) === family && port >= 1 && port <= 65_535 ? { host, port } : undefined
}

/** Listens on an address of this host; whoever reaches it may ask. Errors: those of `checkTcp`. */
export async function listenTcp(app: App, address: TcpAddress): Promise<Listening> {
  try {
    await app.listen({ ...address, listenTextResolver: (text) => `listens on ${text}` })
  } catch (error) {
    await app.close()
    throw refusal(address, error)
  }
  return { close: () => closing(app) }
}

/** Whether one can listen there now. Errors: busy, invalid (no address of this host), not-permitted. */
export async function checkTcp(address: TcpAddress): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(address, resolve)
    })
  } catch (error) {
    throw refusal(address, error)
  }
  await new Promise((resolve) => server.close(resolve))
}

const NO_SUCH_ADDRESS = ['invalid', 'this host has no such address'] as const
const REFUSALS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EADDRINUSE: ['busy', 'another program listens there: choose another port'],
  EADDRNOTAVAIL: NO_SUCH_ADDRESS,
  EAFNOSUPPORT: NO_SUCH_ADDRESS,
  EINVAL: NO_SUCH_ADDRESS,
  EACCES: ['not-permitted', 'not permitted, expected a port from 1024 on'],
}

function refusal({ host, port }: TcpAddress, cause: unknown): unknown {
  const [code, why] = REFUSALS[(cause as NodeJS.ErrnoException).code ?? ''] ?? []
  if (code === undefined || why === undefined) return cause
  const address = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
  return new SheepfsError(code, `metrics_listen "${address}": ${why}`, { cause })
}
