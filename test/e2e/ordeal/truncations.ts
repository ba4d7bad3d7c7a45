import assert from 'node:assert/strict'
import { open, stat, type FileHandle } from 'node:fs/promises'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Sheepfsd } from '../stage/sheepfsd.ts'

/** Within this a worker dies after a truncation has begun: before, while and after it is served, answered and told of. */
const KILL_WITHIN_MS = 25
const MARKER = Buffer.from('written after the truncation')

/** The volume of a daemon. */
export interface Truncated {
  readonly mount: string
  readonly path: string
  readonly times: number
  /** How long a worker serves at least, ms. */
  readonly betweenMs: number
}

/**
 * Fills a volume, truncates it to nothing and kills the worker at that moment, again and again. What was acknowledged before
 * must be gone, for who truncated and for whoever opens it anew, and what was written afterwards must be there.
 */
export async function killWhileTruncating(t: TestContext, daemon: Sheepfsd, of: Truncated): Promise<void> {
  const { size } = await stat(of.path)
  for (let round = 1; round <= of.times; round++) {
    await delay(of.betweenMs)
    await fill(of.path, Buffer.alloc(size, 0xff))
    const file = await open(of.path, 'r+')
    await file.write(Buffer.alloc(size / 4, 0xee), 0, size / 4, size / 2) // with write-back it is still in the kernel
    const isKilledAfter = round % 4 === 0
    const truncating = truncate(file, of.path, round)
    if (isKilledAfter) await truncating
    else await delay((round % KILL_WITHIN_MS) + Math.random())
    const generation = await daemon.killWorker(of.mount)
    await truncating
    const place = (round * 7919) % (size - MARKER.length)
    await file.write(MARKER, 0, MARKER.length, place)
    const wanted = Buffer.alloc(size)
    MARKER.copy(wanted, place)
    await isAsWanted(file, wanted, `round ${round}, through the handle`)
    await file.close()
    await daemon.serving(of.mount, generation)
    const anew = await open(of.path, 'r')
    await isAsWanted(anew, wanted, `round ${round}, opened anew`)
    assert.equal((await anew.stat()).size, size)
    await anew.close()
  }
  t.diagnostic(`${of.times} truncations with a killed worker`)
}

/** By the handle, or by opening it once more: what this process has open is no reason to refuse. */
async function truncate(file: FileHandle, path: string, round: number): Promise<void> {
  if (round % 2 === 0) return file.truncate(0)
  const second = await open(path, 'w')
  await second.close()
}

async function fill(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(bytes, 0, bytes.length, 0)
  await file.sync()
  await file.close()
}

async function isAsWanted(file: FileHandle, wanted: Buffer, what: string): Promise<void> {
  const got = Buffer.alloc(wanted.length)
  for (let at = 0; at < got.length;) {
    const { bytesRead } = await file.read(got, at, got.length - at, at)
    assert.notEqual(bytesRead, 0, `${what}: ends at ${at}`)
    at += bytesRead
  }
  const first = got.findIndex((byte, at) => byte !== wanted[at])
  assert.equal(first, -1, `${what}: byte ${first} is ${got[first]}`)
}
