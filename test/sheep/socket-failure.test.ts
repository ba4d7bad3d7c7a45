import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import { isSheepfsError } from '../../src/errors.ts'
import { socketFailureText } from '../../src/sheep/socket-failure.ts'
import { openConnection } from '../e2e/stage/sheep.ts'

test('a connection that is refused says what to look for', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  await assert.rejects(
    openConnection({ host: '127.0.0.1', port }),
    (error) =>
      isSheepfsError(error, 'unreachable') &&
      error.message.startsWith(`sheep 127.0.0.1:${port}: nothing listens there: is the sheep running`) &&
      error.message.includes('ECONNREFUSED'),
  )
})

test('the failures of a name with several addresses are told one by one', () => {
  const errors = ['::1', '127.0.0.1'].map((host) =>
    Object.assign(new Error(`connect ECONNREFUSED ${host}:7000`), { code: 'ECONNREFUSED' }),
  )
  const text = socketFailureText(Object.assign(new AggregateError(errors), { code: 'ECONNREFUSED' }))
  assert.match(
    text,
    /^nothing listens there: .*\(connect ECONNREFUSED ::1:7000; connect ECONNREFUSED 127\.0\.0\.1:7000\)$/,
  )
})
