import assert from 'node:assert/strict'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { FileStore } from '../../src/lamb/file-store.ts'
import { dataOid, inodeOid } from '../../src/wire/object-id.ts'
import { scratchDirectory } from './scratch.ts'

const SIZE = 64
const [FIRST, SECOND, DATA] = [inodeOid(1), inodeOid(2), dataOid(1, 0)]
/** Calls that change the store. */
const CHANGES = ['writeSync', 'renameSync', 'unlinkSync', 'ftruncateSync', 'writeFileSync', 'copyFileSync'] as const

/** The process is killed at its change number `count`: that one and all later ones are not made. Returns what ends that. */
function killAt(count: number): { readonly isKilled: () => boolean; readonly revive: () => void } {
  const originals = CHANGES.map((name) => [name, fs[name]] as const)
  let made = 0
  for (const [name, original] of originals) {
    const call = (...args: unknown[]): unknown => {
      if (made++ >= count) throw new Error('killed')
      return Reflect.apply(original, fs, args)
    }
    Object.assign(fs, { [name]: call })
  }
  syncBuiltinESMExports()
  return {
    isKilled: () => made > count,
    revive: () => {
      Object.assign(fs, Object.fromEntries(originals))
      syncBuiltinESMExports()
    },
  }
}

function filled(value: number): Uint8Array {
  return new Uint8Array(SIZE).fill(value)
}

/** Everything that the store does, once. */
function work(store: FileStore): void {
  store.write(DATA, 0, filled(2))
  store.replaceAll([FIRST, SECOND].map((oid) => ({ oid, size: SIZE, pieces: [{ offset: 0, bytes: filled(2) }] })))
  store.create(dataOid(2, 0), SIZE, { offset: 0, data: filled(3).subarray(0, 8), base: DATA })
  store.remove(DATA)
}

function firstByte(store: FileStore, oid: typeof DATA): number | undefined {
  const into = new Uint8Array(SIZE)
  if (!store.read(oid, 0, into)) return undefined
  return into[SIZE - 1]
}

function reopened(directory: string): FileStore {
  const store = new FileStore(directory)
  store.open()
  return store
}

async function prepared(context: TestContext): Promise<string> {
  const directory = await scratchDirectory(context)
  const store = reopened(directory)
  for (const oid of [FIRST, SECOND, DATA]) store.create(oid, SIZE, { offset: 0, data: filled(1) })
  store.close()
  return directory
}

test('a lamb that is killed at any write to its store has every object as it was, or as it was to be', async (context) => {
  for (let count = 0, isOver = false; !isOver; count++) {
    const directory = await prepared(context)
    const store = reopened(directory)
    const { isKilled, revive } = killAt(count)
    try {
      work(store)
    } catch (error) {
      assert.match(String(error), /killed/)
    } finally {
      revive()
    }
    isOver = !isKilled()
    store.close()
    const after = reopened(directory)
    const values = [FIRST, SECOND].map((oid) => firstByte(after, oid))
    assert.ok([1, 2].includes(values[0] ?? 0), `killed at ${count}: ${values.join()}`)
    assert.equal(values[1], values[0], `killed at ${count}: both inodes, or none`)
    assert.ok([undefined, 1, 2].includes(firstByte(after, DATA)), `killed at ${count}`)
    assert.ok([undefined, 2].includes(firstByte(after, dataOid(2, 0))), `killed at ${count}`)
    assert.deepEqual(fs.readdirSync(join(directory, 'tmp')), [], `killed at ${count}: nothing is left behind`)
    after.close()
  }
})
