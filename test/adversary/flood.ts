import { connect, type Socket } from 'node:net'

/** What each connection of a flood says as soon as it is open. */
export const FLOODS = {
  'connections that say nothing': '',
  'heads that do not end': 'GET /v1/status HTTP/1.1\r\nHost:',
  'questions about the cluster': 'GET /v1/mounts/m/vdis HTTP/1.1\r\nHost: x\r\n\r\n',
  'event streams': 'GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n',
  'many requests at once': 'GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2000),
} as const

const AGAIN_MS = 5

/** Connections to a socket, each made again when it is closed and asking again when it was answered, until it is stopped. */
export class Flood {
  readonly #sockets = new Set<Socket>()
  readonly #path: string
  readonly #text: string
  #isOver = false

  constructor(path: string, text: string, connections: number) {
    this.#path = path
    this.#text = text
    for (let i = 0; i < connections; i++) this.#open()
  }

  stop(): void {
    this.#isOver = true
    for (const socket of this.#sockets) socket.destroy()
  }

  #open(): void {
    if (this.#isOver) return
    const socket = connect(this.#path)
    this.#sockets.add(socket)
    if (this.#text !== '') socket.write(this.#text)
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes('HTTP/1.1 ')) socket.write(this.#text)
    })
    socket.on('close', () => {
      this.#sockets.delete(socket)
      setTimeout(() => {
        this.#open()
      }, AGAIN_MS)
    })
  }
}
