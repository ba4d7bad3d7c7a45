import type { ServerResponse } from 'node:http'
import type { Caller } from './supervisor.ts'

/** Who has sent a request: he goes with its connection. */
export function callerOf(query: { readonly wait?: boolean }, { raw }: { readonly raw: ServerResponse }): Caller {
  const gone = new AbortController()
  if (raw.destroyed) gone.abort()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort()
  })
  return { waits: query.wait === true, gone: gone.signal }
}
