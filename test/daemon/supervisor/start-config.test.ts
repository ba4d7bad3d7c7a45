import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { InstanceConfig, MountConfig } from '../../../src/api/schema/config.ts'
import { parseMount } from '../../../src/daemon/config/config.ts'
import type { LeftMount } from '../../../src/daemon/supervisor/left-mounts.ts'
import { startWith } from '../../../src/daemon/supervisor/start-config.ts'

const SHEEP = ['127.0.0.1:7000']

function mount(name: string, more: Partial<MountConfig> = {}): MountConfig {
  return {
    ...parseMount({ name, mountpoint: `/srv/${name}`, sheep: SHEEP }, { instance: 'i', sheep: undefined }, []),
    ...more,
  }
}

function configOf(...mounts: readonly MountConfig[]): InstanceConfig {
  return {
    sheep: [],
    socket_group: undefined,
    observer_socket: false,
    observer_group: undefined,
    metrics_listen: undefined,
    mount: [...mounts],
  }
}

function leftOf(...names: readonly string[]): Map<string, LeftMount> {
  const state = { addresses: [{ host: '127.0.0.1', port: 7000 }], ioTimeoutMs: Infinity, pageCache: true }
  const entry = { mountpoint: '/srv/seen' }
  return new Map(names.map((name) => [name, { name, state, entry } as unknown as LeftMount]))
}

describe('a start with mounts that a predecessor has left', () => {
  test('begins with them as they were, with new ones as they shall be, and without what is gone', () => {
    const served = configOf(mount('a'), mount('b'), mount('c'))
    const wanted = configOf(mount('a', { mountpoint: '/srv/other' }), mount('d'))
    const saved = { mounts: [], volumes: {}, served }
    const { config } = startWith(wanted, leftOf('a', 'b'), { saved, instance: 'i' })
    assert.deepEqual(config.mount, [mount('a'), mount('b'), mount('d')])
  })

  test('takes the sheep and the patience of the file at once: a mount may wait for them', () => {
    const wanted = configOf(mount('a', { sheep: ['10.0.0.1:7001'], io_timeout: 3 }))
    const saved = { mounts: [], volumes: {}, served: configOf(mount('a')) }
    const { config, left } = startWith(wanted, leftOf('a'), { saved, instance: 'i' })
    assert.deepEqual(config, wanted)
    const { addresses, ioTimeoutMs } = left.get('a')?.state ?? {}
    assert.deepEqual({ addresses, ioTimeoutMs }, { addresses: [{ host: '10.0.0.1', port: 7001 }], ioTimeoutMs: 3000 })
  })

  test('keeps what was changed at run time where the file is the same', () => {
    const left = leftOf('a')
    const wanted = configOf(mount('a', { sheep: ['10.0.0.1:7001'] }))
    const started = startWith(wanted, left, { saved: { mounts: [], volumes: {}, served: wanted }, instance: 'i' })
    assert.deepEqual(started.left.get('a')?.state.addresses, [{ host: '127.0.0.1', port: 7000 }])
  })

  test('leaves to the saved state what was added at run time', () => {
    const saved = { mounts: [mount('x')], volumes: {}, served: configOf() }
    assert.deepEqual(startWith(configOf(), leftOf('x'), { saved, instance: 'i' }).config.mount, [])
  })

  test('takes the file, or what can be seen, where the saved state is lost', () => {
    const saved = { mounts: [], volumes: {} }
    const { config } = startWith(configOf(mount('a')), leftOf('a', 'z'), { saved, instance: 'i' })
    assert.deepEqual(config.mount, [mount('a'), mount('z', { mountpoint: '/srv/seen', page_cache: true })])
  })
})
