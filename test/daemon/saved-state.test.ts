import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readSavedState, savedVolumes, SavedStateFile, type SavedState } from '../../src/daemon/config/saved-state.ts'
import { silentLogger } from '../../src/log.ts'

const log = silentLogger()
const NONE: SavedState = { mounts: [], volumes: {} }

function stateOf(...names: readonly string[]): SavedState {
  return { mounts: [], volumes: { m: names.map((name) => ({ name, readOnly: false })) } }
}

/** Byte for byte what version 0.1.0 has written, before states had a version. */
const OF_0_1_0 = `{
  "mounts": [
    {
      "name": "added",
      "mountpoint": "/srv/added",
      "sheep": [
        "127.0.0.1:7000"
      ],
      "engine": "kernel",
      "page_cache": false,
      "object_cache": false,
      "write_back": true,
      "allow_other": true,
      "volumes": [],
      "io_timeout": "forever",
      "uid": 0,
      "gid": 0,
      "mode": "0600"
    }
  ],
  "volumes": {
    "added": [
      {
        "name": "v",
        "readOnly": false,
        "isTemporary": false
      }
    ]
  }
}
`

/** What that version had not has its default. */
function stateOf010(): SavedState {
  const { mounts, volumes } = JSON.parse(OF_0_1_0) as SavedState
  return { mounts: mounts.map((mount) => ({ ...mount, devices: [] })), volumes }
}

describe('the saved state', () => {
  let folder: string
  let path: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sheepfs-'))
    path = join(folder, 'state.json')
  })
  after(() => rm(folder, { recursive: true }))

  test('is none before it was written', async () => {
    assert.deepEqual(await readSavedState(path, log), NONE)
  })

  test('is the one saved last, in a file of its own that only its owner reads', async () => {
    const file = new SavedStateFile(path, log)
    for (let i = 0; i < 20; i++) file.save(stateOf(`v${i}`))
    await file.flushed()
    assert.deepEqual(await readSavedState(path, log), stateOf('v19'))
    assert.deepEqual(await readdir(folder), ['state.json'])
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  test('that could not be written is written at the end', async () => {
    const place = join(folder, 'later')
    const file = new SavedStateFile(join(place, 'state.json'), log)
    file.save(stateOf('one'))
    await file.flushed()
    await mkdir(place)
    await file.flushed()
    assert.deepEqual(await readSavedState(join(place, 'state.json'), log), stateOf('one'))
    await rm(place, { recursive: true })
  })

  test('is not written through a link', async () => {
    const victim = join(folder, 'victim')
    await writeFile(victim, 'as it was')
    await symlink(victim, `${path}.new`)
    const file = new SavedStateFile(path, log)
    file.save(stateOf('one'))
    await file.flushed()
    assert.equal(await readFile(victim, 'utf8'), 'as it was')
    assert.deepEqual(await readSavedState(path, log), stateOf('one'))
    await rm(victim)
  })

  test('is saved again after it was flushed', async () => {
    const file = new SavedStateFile(path, log)
    file.save(stateOf('one'))
    await file.flushed()
    file.save(stateOf('two'))
    await file.flushed()
    assert.deepEqual(await readSavedState(path, log), stateOf('two'))
  })

  test('counts as none when the file is broken', async () => {
    for (const text of ['', '{"mounts": [', 'null', '[]', '7', '{"mounts": 7}', '{"volumes": {"m": [{"name": 1}]}}']) {
      await writeFile(path, text)
      assert.deepEqual(await readSavedState(path, log), NONE, text)
    }
  })

  test('of version 0.1.0 is taken over', async () => {
    await writeFile(path, OF_0_1_0)
    assert.deepEqual(await readSavedState(path, log), stateOf010())
  })

  test('of a later version counts for what both versions know', async () => {
    const { mounts, volumes } = stateOf010()
    await writeFile(path, JSON.stringify({ version: 9, mounts, volumes: { m: [{ vdi: 'v' }] }, served: [], more: 1 }))
    assert.deepEqual(await readSavedState(path, log), { mounts, volumes: {} })
    const served = {
      sheep: [],
      socket_group: undefined,
      observer_socket: true,
      observer_group: undefined,
      mount: mounts,
    }
    await writeFile(path, JSON.stringify({ version: 9, mounts: 'none', volumes, served }))
    assert.deepEqual(await readSavedState(path, log), { mounts: [], volumes, served })
  })

  test('that cannot be written does not end the daemon', async () => {
    const file = new SavedStateFile(join(folder, 'missing', 'state.json'), log)
    file.save(NONE)
    await file.flushed()
  })
})

test('what was attached to a mount is found by its name alone, whatever that means to objects', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    assert.deepEqual(savedVolumes(NONE, name), [])
    const volumes = JSON.parse(`{"${name}":[{"name":"v","readOnly":true}]}`) as SavedState['volumes']
    assert.deepEqual(savedVolumes({ ...NONE, volumes }, name), [{ name: 'v', readOnly: true }])
  }
})
