import type { IncomingMessage } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { errorText, SheepfsError } from '../errors.ts'
import { request as httpRequest } from './node-http.ts'

/** One answer of the daemon. */
export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** What is asked of it. */
export interface Wanted {
  readonly method: string
  readonly url: string
  readonly body: unknown
  readonly signal: AbortSignal | undefined
}

/** How long it tries to be let in. */
const CROWD_LIMIT_MS = 10_000
const CROWD_PAUSE_MS = 50

/**
 * Sends a request over a unix socket and resolves with the head of its answer. In a crowd again: where too many wait to be
 * accepted, connect(2) says EAGAIN to who does not wait in it, and who has not asked yet makes room for a new one (Clients).
 * Errors: not-running, not-permitted, closed.
 */
export async function requestOver(socketPath: string, wanted: Wanted): Promise<IncomingMessage> {
  for (const until = performance.now() + CROWD_LIMIT_MS; ;) {
    try {
      return await requestOnce(socketPath, wanted)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (!isUnsent(code, wanted.method) || performance.now() > until) throw connectError(socketPath, cause as Error)
      await setTimeout(CROWD_PAUSE_MS)
    }
  }
}

function requestOnce(socketPath: string, { method, url, body, signal }: Wanted): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const headers =
    text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  return new Promise((resolve, reject) => {
    const options = { socketPath, method, path: url, headers, agent: false, ...(signal && { signal }) }
    const request = httpRequest(options, resolve)
    request.once('error', reject)
    request.end(text)
  })
}

/** Whether nobody has acted on a request: it did not leave, or, closed before it was read, does no more than look. */
function isUnsent(code: string | undefined, method: string): boolean {
  return code === 'EAGAIN' || code === 'EPIPE' || (code === 'ECONNRESET' && method === 'GET')
}

/** Errors: closed, protocol. */
export async function answerOf(response: IncomingMessage): Promise<Answer> {
  const text = await textOf(response)
  const status = response.statusCode ?? 0
  if (text === '') return { status, body: undefined }
  try {
    return { status, body: JSON.parse(text) as unknown }
  } catch (cause) {
    throw new SheepfsError('protocol', 'the answer of the daemon is not JSON', { cause })
  }
}

/** Errors: closed. */
export async function textOf(response: IncomingMessage): Promise<string> {
  try {
    return (await response.setEncoding('utf8').toArray()).join('')
  } catch (cause) {
    throw new SheepfsError('closed', 'the daemon ended while it answered', { cause })
  }
}

function connectError(socketPath: string, cause: NodeJS.ErrnoException): SheepfsError {
  switch (cause.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new SheepfsError('not-running', `no daemon listens on ${socketPath}: is it running?`, { cause })
    case 'EACCES':
      return new SheepfsError('not-permitted', `this user may not use ${socketPath}: be root or in its group`, {
        cause,
      })
    case undefined:
    default:
      return new SheepfsError('closed', `the daemon did not answer on ${socketPath}: ${errorText(cause)}`, { cause })
  }
}
