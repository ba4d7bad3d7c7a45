import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { deferred } from '../../../src/fuse/kernel/deferred.ts'
import { LostSizes } from '../../../src/fuse/kernel/lost-sizes.ts'
import { silentLogger } from '../../../src/log.ts'
import { notifyStoreZero } from '../../../src/wire/fuse-notify.ts'
import { FakeDevice } from './fake-device.ts'

const NODE = 10
const SIZE = 4096
const STORE = Buffer.from(notifyStoreZero(NODE, SIZE))

function lose(t: TestContext, { isWrittenBack }: { readonly isWrittenBack: boolean }) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const device = new FakeDevice()
  const sizes = new LostSizes(device, { isWrittenBack: () => isWrittenBack, log: silentLogger() })
  const noted: boolean[] = []
  const tellSize = t.mock.fn()
  sizes.restore({ id: NODE, noteSize: (isKnown: boolean) => noted.push(isKnown), tellSize }, SIZE)
  return { device, sizes, noted, tellSize }
}

/** Whether a promise has settled when all that is ready has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))])
}

test('a kernel that asks is given a byte too many at once, and again when it may have taken the answer later', (t) => {
  const { device, sizes, noted } = lose(t, { isWrittenBack: false })
  assert.deepEqual(noted, [false, true])
  assert.equal(sizes.isLost(NODE), false)
  assert.deepEqual(device.sent, [STORE])
  t.mock.timers.tick(100)
  assert.deepEqual(device.sent, [STORE, STORE])
})

test('a size that is set meanwhile is not made another', (t) => {
  const { device, sizes } = lose(t, { isWrittenBack: false })
  sizes.told(NODE, 3)
  t.mock.timers.tick(100)
  assert.deepEqual(device.sent, [STORE])
})

test('a kernel that writes back knows the size when the handle is closed by which it was told', async (t) => {
  const { device, sizes, noted } = lose(t, { isWrittenBack: true })
  const known = sizes.whenKnown(NODE)
  sizes.closed(NODE, 3)
  sizes.told(NODE, 3)
  sizes.told(NODE, 5) // whoever truncated does it too, and keeps the file open
  await sizes.overstate(NODE)
  assert.equal(await isSettled(known), false)
  assert.deepEqual(noted, [false])
  sizes.closed(NODE, 3)
  await known
  assert.deepEqual(noted, [false, true])
  assert.equal(sizes.isLost(NODE), false)
  t.mock.timers.tick(2000)
  assert.deepEqual(device.sent, [])
})

test('a kernel that writes back and is not told gets a byte too many, at once where it cannot wait', async (t) => {
  const { device, sizes } = lose(t, { isWrittenBack: true })
  await sizes.overstate(NODE)
  assert.deepEqual(device.sent.splice(0), [STORE])
  const known = sizes.whenKnown(NODE)
  t.mock.timers.tick(1999)
  assert.equal(await isSettled(known), false)
  t.mock.timers.tick(1)
  await known
  assert.deepEqual(device.sent, [STORE])
})

test('a size that the kernel is told while a byte too many is on its way to it is told again', async (t) => {
  const { device, sizes, tellSize } = lose(t, { isWrittenBack: true })
  const taken = deferred<undefined>()
  device.aside = () => taken.promise
  const overstated = sizes.overstate(NODE)
  sizes.told(NODE, 3)
  sizes.closed(NODE, 3)
  const known = sizes.whenKnown(NODE)
  taken.resolve(undefined)
  await overstated
  assert.equal(tellSize.mock.callCount(), 1)
  assert.equal(await isSettled(known), false)
  sizes.told(NODE, 4)
  sizes.closed(NODE, 4)
  await known
  assert.equal(tellSize.mock.callCount(), 1)
})

test('a STORE that the kernel refuses holds up nobody', async (t) => {
  const { device, sizes } = lose(t, { isWrittenBack: true })
  device.aside = () => Promise.reject(new Error('invalid argument'))
  t.mock.timers.tick(2000)
  await sizes.whenKnown(NODE)
  await sizes.close()
})
