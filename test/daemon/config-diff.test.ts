import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../src/daemon/config/config.ts'
import { stepOf } from '../../src/daemon/config/change-step.ts'
import { diffConfig } from '../../src/daemon/config/config-diff.ts'

function config(...mounts: Record<string, unknown>[]) {
  const tables = mounts.map((mount) =>
    ['[[mount]]', ...Object.entries(mount).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)].join('\n'),
  )
  return parseConfig(['sheep = ["a"]', ...tables].join('\n'), { file: 'f', instance: 'i' })
}

const a = { name: 'a', mountpoint: '/a', volumes: ['v1', 'v2'] }
const b = { name: 'b', mountpoint: '/b' }
const kinds = (...sides: Parameters<typeof diffConfig>) => diffConfig(...sides).map(({ kind }) => kind)

test('nothing changes between equal configurations, whatever their spelling', () => {
  assert.deepEqual(diffConfig(config(a, b), config(b, { ...a, sheep: ['a:7000'], page_cache: false })), [])
})

test('mounts go before others come', () => {
  assert.deepEqual(kinds(config(a), config(b)), ['remove-mount', 'add-mount'])
  assert.deepEqual(kinds(config(a), config({ ...a, name: 'c' })), ['remove-mount', 'add-mount'])
})

test('what can change under a running mount is changed alone', () => {
  const to = { ...a, volumes: ['v2', 'v3'], sheep: ['b'], page_cache: true, io_timeout: 5, uid: 7 }
  assert.deepEqual(diffConfig(config(a), config(to)), [
    { kind: 'detach', name: 'a', volume: 'v1' },
    { kind: 'sheep', name: 'a', addresses: ['b:7000'] },
    { kind: 'io-timeout', name: 'a', ioTimeout: 5 },
    { kind: 'cache', name: 'a', patch: { page_cache: true } },
    { kind: 'restart-worker', mount: config(to).mount[0], keys: ['uid'] },
    { kind: 'attach', name: 'a', volume: 'v3' },
  ])
})

test('what is fixed while mounted takes a new mount, and the rest comes with it', () => {
  const to = { ...a, mountpoint: '/b', allow_other: true, page_cache: true }
  const changes = diffConfig(config(b, a), config({ ...b, page_cache: true, mountpoint: '/b2' }, to))
  assert.deepEqual(
    changes.map((change) => (change.kind === 'remount' ? [change.mount.name, change.keys] : change.kind)),
    [
      ['b', ['mountpoint']],
      ['a', ['mountpoint', 'allow_other']],
    ],
  )
})

test('what is a device is attached for it, and given back in the other order', () => {
  const change = (kind: string, volume: string) => ({ kind, name: 'b', volume })
  const from = { ...b, volumes: ['v1'], devices: ['v1', 'v2'] }
  assert.deepEqual(diffConfig(config(from), config({ ...b, volumes: ['v2'], devices: ['v3', 'v4'] })), [
    change('unmap', 'v1'),
    change('unmap', 'v2'),
    change('detach', 'v1'),
    change('attach', 'v3'),
    change('attach', 'v4'),
    change('map', 'v3'),
    change('map', 'v4'),
  ])
  assert.deepEqual(diffConfig(config(from), config({ ...b, volumes: ['v1', 'v2'] })), [
    change('unmap', 'v1'),
    change('unmap', 'v2'),
  ])
})

test('sockets are changed by themselves', () => {
  const from = { ...config(), socket_group: undefined }
  const to = { ...config(), socket_group: 'disk', observer_socket: true }
  assert.deepEqual(diffConfig(from, to), [
    { kind: 'socket-group', group: 'disk' },
    { kind: 'observer-socket', isOn: true, group: undefined },
  ])
  const narrower = [{ kind: 'observer-socket', isOn: true, group: 'adm' }] as const
  assert.deepEqual(diffConfig(to, { ...to, observer_group: 'adm' }), narrower)
  const listening = [{ kind: 'metrics-listen', address: '[::1]:9717' }] as const
  assert.deepEqual(diffConfig(to, { ...to, metrics_listen: '[::1]:9717' }), listening)
  assert.deepEqual(stepOf(listening[0]), { mount: null, effect: 'daemon-restart', text: 'metrics_listen [::1]:9717' })
  assert.equal(stepOf(narrower[0]).text, 'observer_socket opened for the group adm')
})
