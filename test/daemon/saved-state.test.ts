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

/** Byte for byte what versions have written: 0.1.0, before states had a version, and the second. */
const WRITTEN = ['0.1.0', 'version-2'] as const

/** In the sources: the compiler copies no JSON. */
function written(version: (typeof WRITTEN)[number]): Promise<string> {
  return readFile(join(import.meta.dirname, '../../../test/daemon/saved-states', `${version}.json`), 'utf8')
}

/** What they had not has its default. */
async function stateOfVersion(version: (typeof WRITTEN)[number]): Promise<SavedState> {
  const { mounts, volumes, served } = JSON.parse(await written(version)) as SavedState
  const completed = (mount: (typeof mounts)[number]): (typeof mounts)[number] => ({
    ...mount,
    devices: [],
    networks: [],
  })
  return {
    mounts: mounts.map(completed),
    volumes,
    ...(served && {
      served: { ...served, observer_group: undefined, metrics_listen: undefined, mount: served.mount.map(completed) },
    }),
  }
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

  for (const version of WRITTEN) {
    test(`of ${version} is taken over`, async () => {
      await writeFile(path, await written(version))
      assert.deepEqual(await readSavedState(path, log), await stateOfVersion(version))
    })
  }

  test('of a later version counts for what both versions know', async () => {
    const { mounts, volumes } = await stateOfVersion('0.1.0')
    await writeFile(path, JSON.stringify({ version: 9, mounts, volumes: { m: [{ vdi: 'v' }] }, served: [], more: 1 }))
    assert.deepEqual(await readSavedState(path, log), { mounts, volumes: {} })
    const served = {
      sheep: [],
      socket_group: undefined,
      observer_socket: true,
      observer_group: undefined,
      metrics_listen: undefined,
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
