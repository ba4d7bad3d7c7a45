import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearestName } from '../src/nearest-name.ts'

const KEYS = ['mountpoint', 'page_cache', 'object_cache', 'volumes', 'uid', 'gid', 'mode']

test('a misspelt name is recognized, and one that resembles none is not', () => {
  for (const [word, name] of [
    ['pagecache', 'page_cache'],
    ['MOUNT_POINT', 'mountpoint'],
    ['volume', 'volumes'],
    ['guid', 'uid'],
    ['colour', undefined],
  ] as const) {
    assert.equal(nearestName(word, KEYS), name, word)
  }
})

test('a name that is far longer than any is not compared', { timeout: 10_000 }, () => {
  assert.equal(nearestName('x'.repeat(2 ** 25), KEYS), undefined)
})
