import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { InstanceFile, MountDefaulted } from '../../src/api/schema/config.ts'
import { parseConfig, parseMount, readConfig } from '../../src/daemon/config.ts'
import { SheepfsError } from '../../src/errors.ts'

const source = { file: '/etc/sheepfs/cluster1.toml', instance: 'cluster1' }
const SHEEP = 'sheep = ["10.0.0.1"]\n'
const MOUNT = `${SHEEP}[[mount]]\nmountpoint = "/srv/a"\n`

test('a short configuration gets its defaults, and everything in its canonical form', () => {
  const config = parseConfig(
    `sheep = ["10.0.0.1", "[::1]:7001"]\n[[mount]]\nmountpoint = "/srv//a/"\nvolumes = ["a%62"]`,
    source,
  )
  assert.deepEqual(config, {
    sheep: ['10.0.0.1', '[::1]:7001'],
    socket_group: undefined,
    observer_socket: false,
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
  assert.deepEqual(parseConfig(text.replaceAll(/^#(\w+ = )/gm, '$1'), example), parseConfig(text, example))
})

test('an instance without mounts is one that gets them at run time', () => {
  assert.deepEqual(parseConfig('', source).mount, [])
})

/** Each with a piece of the message that names the key, what was found and what is expected. */
const BAD: readonly (readonly [text: string, ...expected: RegExp[]])[] = [
  ['sheep = [', /cluster1\.toml:1:\d+: not TOML/],
  ['[[mount]]\nmountpoint = /srv', /cluster1\.toml:2:14: not TOML/],
  ['sheep = "a"\nsheep = "b"', /:2:\d+: not TOML: /],
  ['sheeps = ["a"]', /cluster1\.toml: sheeps: unknown key, did you mean sheep\?/],
  ['colour = 1', /colour: unknown key, expected one of sheep, socket_group, observer_socket, mount/],
  ['sheep = "10.0.0.1"', /: sheep: found "10\.0\.0\.1", expected a list of the addresses/],
  ['sheep = []', /: sheep: found \[\], expected a list/],
  ['sheep = [7000]', /: sheep\[0\]: found 7000, expected host:port/],
  ['observer_socket = "on"', /observer_socket: found "on", expected true or false/],
  ['socket_group = 12', /socket_group: found 12, expected the name of the group/],
  ['mount = 1', /: mount: found 1, expected \[\[mount\]\] tables/],
  ['[mount]\nmountpoint = "/a"', /: mount: found \{"mountpoint":"\/a"\}, expected \[\[mount\]\] tables/],
  [`${SHEEP}[[mount]]`, /mount\[0\]\.mountpoint: missing, expected an absolute path/],
  [`${SHEEP}[[mount]]\nmountpoint = "srv/a"`, /mount\[0\]\.mountpoint: found "srv\/a", expected an absolute path/],
  [`${SHEEP}[[mount]]\nmountpoint = "/srv/.."`, /mount\[0\]\.mountpoint: found "\/", expected a directory of its own/],
  ['[[mount]]\nmountpoint = "/srv/a"', /mount\[0\]\.sheep: missing, expected the addresses of one or more sheep/],
  [`${MOUNT}pagecache = true`, /mount\[0\]\.pagecache: unknown key, did you mean page_cache\?/],
  [`${MOUNT}page_cache = 1`, /mount\[0\]\.page_cache: found 1, expected true or false/],
  [`${MOUNT}object_cache = "false"`, /mount\[0\]\.object_cache: found "false", expected true or false/],
  [`${MOUNT}write_back = 0`, /mount\[0\]\.write_back: found 0, expected true or false/],
  [`${MOUNT}name = "a b"`, /mount\[0\]\.name: found "a b", expected a name of up to 64 letters/],
  [`${MOUNT}name = "-i"`, /mount\[0\]\.name: found "-i", expected a name/],
  [`${MOUNT}engine = "fuse"`, /mount\[0\]\.engine: found "fuse", expected "auto", "kernel" or "fuse-native"/],
  [`${MOUNT}uid = "root"`, /mount\[0\]\.uid: found "root", expected a numeric id/],
  [`${MOUNT}gid = -1`, /mount\[0\]\.gid: found -1, expected a numeric id/],
  [`${MOUNT}mode = 0o640`, /mount\[0\]\.mode: found 416, expected .*octal string, for example "0640"/],
  [`${MOUNT}mode = "0680"`, /mount\[0\]\.mode: found "0680", expected .*octal string/],
  [`${MOUNT}io_timeout = "ever"`, /mount\[0\]\.io_timeout: found "ever", expected "forever", or the seconds/],
  [`${MOUNT}io_timeout = -5`, /mount\[0\]\.io_timeout: found -5, expected "forever", or the seconds/],
  [`${MOUNT}volumes = "web01"`, /mount\[0\]\.volumes: found "web01", expected a list of the volumes/],
  [`${MOUNT}volumes = ["a", ""]`, /mount\[0\]\.volumes\[1\]: found "", expected VDI, VDI@TAG or VDI@ID/],
  [`${MOUNT}volumes = ["a@b@c"]`, /mount\[0\]\.volumes\[0\]: .*more than one "@"/],
  [`${MOUNT}volumes = ["a", "%61"]`, /mount\[0\]\.volumes\[1\]: "%61" is the same as volumes\[0\]/],
  [
    `${MOUNT}sheep = ["10.0.0.1:70000"]`,
    /mount\[0\]\.sheep\[0\]: "70000" is not a port: expected a number from 1 to 65535/,
  ],
  [`${MOUNT}sheep = ["::1:7000:x"]`, /mount\[0\]\.sheep\[0\]: .* is not an address: expected host:port/],
  [`${MOUNT}sheep = ["a", "a:7000"]`, /mount\[0\]\.sheep\[1\]: "a:7000" is the same as sheep\[0\]/],
  [`${MOUNT}[[mount]]\nmountpoint = "/srv/b"`, /mount\[1\]\.name: "cluster1" is the name of mount\[0\] too/],
  [`${MOUNT}[[mount]]\nname = "b"\nmountpoint = "/srv/a/"`, /mount\[1\]\.mountpoint: "\/srv\/a" is at or below/],
  [`${MOUNT}[[mount]]\nname = "b"\nmountpoint = "/srv"`, /mount\[1\]\.mountpoint: "\/srv" is .*expected another place/],
  [
    `${MOUNT}mode = "9"\nuid = 1.5\nx = 1`,
    /cluster1\.toml: mount\[0\]\.mode: /,
    /\n.*cluster1\.toml: mount\[0\]\.uid: found 1\.5/,
    /mount\[0\]\.x: unknown key/,
  ],
]

for (const [text, ...expected] of BAD) {
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
