import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { InstanceFile, MountDefaulted } from '../../src/api/schema/config.ts'
import { parseConfig, parseMount, readConfig } from '../../src/daemon/config/config.ts'
import { SheepfsError } from '../../src/errors.ts'
import { BAD_CONFIGS } from './bad-configs.ts'

const source = { file: '/etc/sheepfs/cluster1.toml', instance: 'cluster1' }

test('owners have names or numbers', () => {
  const text = 'sheep = ["h"]\n[[mount]]\nmountpoint = "/srv/a"\nuid = "daemon"\ngid = "root"'
  const [mount] = parseConfig(text, source).mount
  const [, , uid] = execFileSync('getent', ['passwd', 'daemon'], { encoding: 'utf8' }).split(':')
  assert.deepEqual([mount?.uid, mount?.gid], [Number(uid), 0])
})

test('a short configuration gets its defaults, and everything in its canonical form', () => {
  const config = parseConfig(
    `sheep = ["10.0.0.1", "[::1]:7001"]\n[[mount]]\nmountpoint = "/srv//a/"\nvolumes = ["a%62"]`,
    source,
  )
  assert.deepEqual(config, {
    sheep: ['10.0.0.1:7000', '[::1]:7001'],
    socket_group: undefined,
    observer_socket: false,
    observer_group: undefined,
    metrics_listen: undefined,
    mount: [
      {
        name: 'cluster1',
        mountpoint: '/srv/a',
        sheep: ['10.0.0.1:7000', '[::1]:7001'],
        engine: 'auto',
        page_cache: false,
        object_cache: false,
        write_back: true,
        volumes: ['ab'],
        devices: [],
        networks: [],
        allow_other: false,
        uid: 0,
        gid: 0,
        mode: '0600',
        io_timeout: 'forever',
      },
    ],
  })
})

const EXAMPLE = join(import.meta.dirname, '../../../etc/sheepfs/example.toml')

test('the example file has every key, and shows the default of those that may be left out', async () => {
  const text = await readFile(EXAMPLE, 'utf8')
  const shown = [...text.matchAll(/^#?(\w+) = /gm)].map(([, key]) => key)
  const known = [...Object.keys(InstanceFile.properties), ...Object.keys(MountDefaulted.properties)]
  assert.deepEqual(shown.toSorted(), known.filter((key) => key !== 'mount').toSorted())
  const example = { file: EXAMPLE, instance: 'example' }
  const withDefaults = text.replaceAll(/^#(?!observer_group|metrics_listen)(\w+ = )/gm, '$1') // which have none that can be written
  assert.deepEqual(parseConfig(withDefaults, example), parseConfig(text, example))
})

test('an instance without mounts is one that gets them at run time', () => {
  assert.deepEqual(parseConfig('', source).mount, [])
})

for (const [text, ...expected] of BAD_CONFIGS) {
  test(`refused: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseConfig(text, source),
      (error: unknown) => {
        assert.ok(error instanceof SheepfsError && error.code === 'invalid', String(error))
        for (const pattern of expected) assert.match(error.message, pattern)
        return true
      },
    )
  })
}

test('a configuration that is not there is an error that names the file', async () => {
  await assert.rejects(
    readConfig({ ...source, file: '/nowhere/cluster1.toml' }),
    /\/nowhere\/cluster1\.toml does not exist/,
  )
  await assert.rejects(readConfig({ ...source, file: '/' }), /cannot be read/)
})

test('a mount that is added at run time is checked in the same way, and against those that are there', () => {
  const context = { instance: 'cluster1', sheep: ['10.0.0.1:7000'] }
  const first = parseMount({ mountpoint: '/srv/a' }, context, [])
  assert.deepEqual([first.name, first.sheep, first.page_cache], ['cluster1', ['10.0.0.1:7000'], false])
  const isRefused = (code: string, text: RegExp) => (error: unknown) => {
    assert.ok(error instanceof SheepfsError)
    assert.equal(error.code, code)
    assert.match(error.message, text)
    return true
  }
  const add = (input: { mountpoint: string; name?: string; volumes?: string[] }) => () =>
    parseMount(input, context, [first])
  assert.throws(add({ mountpoint: '/srv/b' }), isRefused('exists', /mount name: "cluster1" is the name/))
  assert.throws(add({ mountpoint: '/srv/a', name: 'b' }), isRefused('exists', /mountpoint: "\/srv\/a" is at or below/))
  assert.throws(add({ mountpoint: '/b', name: 'b', volumes: ['@'] }), isRefused('invalid', /volumes\[0\]/))
})
