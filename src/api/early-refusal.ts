import type { Duplex } from 'node:stream'
import { httpProblem, PROBLEM_TYPE } from './problem.ts'
import type { Problem } from './schema/problem.ts'

/** Answers with a problem what is no request for the application, and ends the connection. */
export function refuseEarly(socket: Duplex, problem: Problem): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => {
    socket.destroy()
  })
}

/** The problem of what Node.js could not read as a request. */
export function unreadableProblem({ code, reason }: NodeJS.ErrnoException & { readonly reason?: string }): Problem {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return httpProblem(408, 'the rest of the request did not come in time')
    case 'HPE_HEADER_OVERFLOW':
      return httpProblem(431, 'the path and the headers have more than 16 KiB together')
    case undefined:
    default:
      return httpProblem(400, `not a request of HTTP/1.1${reason === undefined ? '' : `: ${reason}`}`)
  }
}
