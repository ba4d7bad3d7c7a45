import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { inodeOid, oidText } from '../../src/wire/object-id.ts'
import { writeIndex } from '../../src/wire/object-ops.ts'
import { deleteVdi, readDelVdis, readVdis, vidsOf } from '../../src/wire/vdi-ops.ts'
import { isSheepfsError } from '../../src/errors.ts'
import { Lamb } from '../../src/lamb/server.ts'
import { scratchDirectory, startLamb } from './scratch.ts'
import { derive, fill, lookup, makeVdi, OBJECT, readIndex, readText } from './vdi-steps.ts'
import { WireClient } from './wire-client.ts'

const limit = { timeout: 30_000 }
const EXECUTABLE = join(import.meta.dirname, '../../src/lamb/lamb.js')

test('a restarted lamb knows VDIs, snapshots, deleted vids and data', limit, async (t) => {
  const { client, lamb, store } = await startLamb(t, { format: { copies: 2 } })
  const base = await makeVdi(client, 'v')
  await fill(client, base, 0, 'a')
  const working = await derive(client, 'v', base, true)
  const deleted = await makeVdi(client, 'gone')
  await client.call(deleteVdi({ name: Buffer.from('gone') }))
  await lamb.close()
  const { client: later } = await startLamb(t, { store })
  assert.equal(await lookup(later, 'v'), working)
  assert.equal(await readText(later, base, 0, 1), 'a')
  assert.equal((await later.call(writeIndex(base, 0, [base]))).result, 0)
  assert.deepEqual([...vidsOf((await later.call(readVdis())).payload)].sort(), [base, working, deleted].sort())
  assert.deepEqual([...vidsOf((await later.call(readDelVdis())).payload)], [deleted])
})

test('a store is served by one lamb at a time', limit, async (t) => {
  const { store } = await startLamb(t)
  await assert.rejects(new Lamb({ store, port: 0 }).open(), (error) => isSheepfsError(error, 'busy'))
})

test('a directory with other things in it is left alone', limit, async (t) => {
  const store = await scratchDirectory(t)
  await mkdir(join(store, 'tmp'))
  await writeFile(join(store, 'tmp', 'mine'), '')
  await writeFile(join(store, 'letter.txt'), '')
  await assert.rejects(new Lamb({ store, port: 0 }).open(), /other things \(letter.txt\)/)
  assert.deepEqual(await readdir(join(store, 'tmp')), ['mine'])
})

test('a killed lamb leaves every acknowledged object and no VDI without a working inode', limit, async (t) => {
  const store = await scratchDirectory(t)
  for (let round = 0; round < 4; round++) {
    const { child, port } = await spawnLamb(store)
    t.after(() => child.kill('SIGKILL'))
    const client = await WireClient.connect(port)
    const acknowledged: number[] = []
    const load = workUntilClosed(client, acknowledged)
    setTimeout(() => child.kill('SIGKILL'), 150 + 60 * round)
    await once(child, 'exit')
    await load
    await checkStore(store, acknowledged)
  }
})

test('an intent that a killed lamb left is carried out', limit, async (t) => {
  const { lamb, store } = await startLamb(t)
  await lamb.close()
  const to = join(store, 'obj', oidText(inodeOid(5)))
  await writeFile(join(store, 'tmp', '0'), 'new')
  await writeFile(to, 'old')
  await writeFile(join(store, 'tmp', 'intent.json'), JSON.stringify([{ from: '0', to: oidText(inodeOid(5)) }]))
  await startLamb(t, { store })
  assert.deepEqual(await readdir(join(store, 'tmp')), [])
  assert.equal(await readFile(to, 'utf8'), 'new')
})

async function spawnLamb(store: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [EXECUTABLE, '--store', store, '--port', '0', '--vdi', 'v:64M'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return { child, port: Number(/:(\d+)$/.exec(line)?.[1]) }
}

/** Fills objects and takes snapshots; `acknowledged` gets the index of each published one. */
async function workUntilClosed(client: WireClient, acknowledged: number[]): Promise<void> {
  try {
    for (let index = 0; ; index = (index + 1) % 16) {
      const vid = await lookup(client, 'v')
      await fill(client, vid, index, String.fromCharCode(97 + index))
      acknowledged.push(index)
      if (index % 4 === 3) await derive(client, 'v', vid, true)
    }
  } catch (error) {
    assert.match(String(error), /closed/)
  }
}

async function checkStore(store: string, acknowledged: readonly number[]): Promise<void> {
  const lamb = new Lamb({ store, port: 0 })
  const client = await WireClient.connect((await lamb.open()).port)
  const vid = await lookup(client, 'v')
  assert.notEqual(vid, 0)
  const entries = await readIndex(client, vid, 0, 16)
  for (const [index, entry] of entries.entries()) {
    const expected = String.fromCharCode(97 + index).repeat(3)
    if (entry !== 0) assert.equal((await readText(client, entry, index, OBJECT))?.slice(-3), expected)
    else assert.ok(!acknowledged.includes(index), `entry ${index} was acknowledged`)
  }
  client.close()
  await lamb.close()
}
