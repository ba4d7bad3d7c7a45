import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect, type Socket } from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { FrameChannel } from '../../../src/daemon/ipc/frame-channel.ts'
import { isSheepfsError } from '../../../src/errors.ts'

const BOUNDS = { mostReceived: 1000, mostSent: 1000, mostWaiting: 100_000 }
const WITH_LIMIT = { timeout: 30_000 }

type Message = Readonly<Record<string, unknown>>

/** Two ends of a connection. */
async function pair(context: TestContext): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const near = connect((server.address() as { port: number }).port, '127.0.0.1')
  const [far] = await accepted
  server.close()
  context.after(() => {
    near.destroy()
    far.destroy()
  })
  return [near, far]
}

function open(socket: Socket, read = (value: unknown) => value as Message): FrameChannel<Message, Message> {
  return new FrameChannel<Message, Message>(socket, { ...BOUNDS, read })
}

describe('a channel between processes', () => {
  test('carries messages in order, and closes when the last has been sent', WITH_LIMIT, async (t) => {
    const [near, far] = (await pair(t)).map((socket) => open(socket))
    const heard: unknown[] = []
    far?.on('message', (message) => heard.push(message))
    for (let n = 0; n < 1000; n++) near?.send({ n, forEver: Infinity })
    near?.end()
    if (far) await once(far, 'close')
    assert.deepEqual(
      heard,
      Array.from({ length: 1000 }, (_, n) => ({ n, forEver: null })),
    )
    far?.send({ n: 0 }) // nobody is there
    assert.equal(far?.isOpen, false)
  })

  test('does not send what the other side would not take', WITH_LIMIT, async (t) => {
    const [near] = await pair(t)
    assert.throws(
      () => {
        open(near).send({ text: 'x'.repeat(1000) })
      },
      (error) => isSheepfsError(error, 'too-large'),
    )
  })

  test('does not keep more and more for one that does not read', WITH_LIMIT, async (t) => {
    const [near] = await pair(t)
    const channel = open(near)
    let broken = 0
    channel.on('breach', () => broken++)
    for (let sent = 0; sent < 100_000; sent++) channel.send({ text: 'x'.repeat(900) })
    assert.equal(broken, 1)
    assert.ok(near.writableLength < BOUNDS.mostWaiting + 1000, String(near.writableLength))
  })

  test('hears nothing after a breach', WITH_LIMIT, async (t) => {
    const [near, far] = await pair(t)
    const read = (value: unknown): Message => {
      if ((value as Message)['n'] === 2) throw new RangeError('no')
      return value as Message
    }
    const [teller, hearer] = [open(far), open(near, read)]
    const heard: unknown[] = []
    hearer.on('message', (message) => heard.push(message))
    const breach = once(hearer, 'breach')
    for (const n of [1, 2, 3]) teller.send({ n })
    teller.end()
    assert.match(String(await breach), /no/)
    await once(near, 'close')
    assert.deepEqual(heard, [{ n: 1 }])
  })

  test('is broken by what is no JSON', WITH_LIMIT, async (t) => {
    const [near, far] = await pair(t)
    const breach = once(open(near), 'breach')
    far.write(Buffer.from([2, 0, 0, 0, 0x7b, 0x7b]))
    const [error] = (await breach) as [unknown]
    assert.ok(isSheepfsError(error, 'protocol'))
  })
})
