import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferred } from '../../../src/fuse/kernel/deferred.ts'
import { Notifier } from '../../../src/fuse/kernel/notifier.ts'
import { silentLogger } from '../../../src/log.ts'
import { notifyInvalAttributes, notifyInvalContent, notifyInvalEntry } from '../../../src/wire/fuse-notify.ts'
import { MemoryTree } from '../memory-tree.ts'
import { FakeDevice } from './fake-device.ts'
import { TIME_LIMIT } from './fake-session.ts'

function notify(): { tree: MemoryTree; device: FakeDevice; notifier: Notifier } {
  const tree = new MemoryTree(4096)
  const device = new FakeDevice()
  const notifier = new Notifier(device, silentLogger())
  notifier.start(tree)
  return { tree, device, notifier }
}

test('attributes are told at once, what may block goes aside one at a time', TIME_LIMIT, async () => {
  const { tree, device, notifier } = notify()
  const taken = deferred<undefined>()
  const aside: Buffer[] = []
  device.aside = (message) => {
    aside.push(Buffer.from(message))
    return taken.promise
  }
  tree.emit({ kind: 'content', node: 10 })
  tree.emit({ kind: 'content', node: 11 })
  tree.emit({ kind: 'entry-removed', parent: 2, name: 'test', node: 10 })
  tree.emit({ kind: 'content', node: 11 }) // already waits
  tree.emit({ kind: 'attributes', node: 10, size: 8192 })
  tree.emit({ kind: 'entry-added', parent: 2, name: 'new', node: 12 })
  assert.deepEqual(device.sent, [Buffer.from(notifyInvalAttributes(10))])
  assert.deepEqual(aside, [Buffer.from(notifyInvalContent(10))])
  taken.resolve(undefined)
  while (aside.length < 3) await new Promise((resolve) => setImmediate(resolve))
  const rest = [notifyInvalContent(11), notifyInvalEntry(2, Buffer.from('test'))].map((message) => Buffer.from(message))
  assert.deepEqual(aside.slice(1), rest)
  await notifier.close()
  tree.emit({ kind: 'content', node: 10 })
  assert.equal(aside.length, 3)
})

test('a notification that the kernel refuses stops nothing', TIME_LIMIT, async () => {
  const { tree, device, notifier } = notify()
  device.refusal = new Error('invalid argument')
  tree.emit({ kind: 'attributes', node: 10, size: 1 })
  device.aside = () => Promise.reject(new Error('invalid argument'))
  tree.emit({ kind: 'content', node: 10 })
  await notifier.close()
  tree.emit({ kind: 'attributes', node: 10, size: 1 })
  assert.deepEqual(device.sent, [])
})
