import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMountSource } from '../../../src/cli/mount/mount-source.ts'
import { isSheepfsError } from '../../../src/errors.ts'

const LONG = 'v'.repeat(255)

const GOOD = [
  ['cluster1', 'instance', 'cluster1', undefined],
  ['cluster1/', 'instance', 'cluster1', undefined],
  ['my-cluster_2.b/web01', 'instance', 'my-cluster_2.b', 'web01'],
  ['c/web01@nightly', 'instance', 'c', 'web01@nightly'],
  ['c/a b%25%0A..', 'instance', 'c', 'a b%25%0A..'],
  [`c/${LONG}`, 'instance', 'c', LONG],
  ['sheepdog://10.0.0.1', 'standalone', '10.0.0.1', undefined],
  ['sheepdog://10.0.0.1:7001,b/', 'standalone', '10.0.0.1:7001,b', undefined],
  ['sheepdog://[::1]:7001/web01@3', 'standalone', '[::1]:7001', 'web01@3'],
] as const

for (const [text, kind, where, volume] of GOOD) {
  test(`the source ${JSON.stringify(text.slice(0, 60))} is understood`, () => {
    const source = parseMountSource(text)
    assert.deepEqual(
      [source.kind, source.kind === 'instance' ? source.instance : source.addresses, source.volume, source.text],
      [kind, where, volume, text],
    )
  })
}

for (const text of ['', '/dev/sda1', '../x', 'a b/c', 'c/a/b', 'sheepdog://', 'sheepdog:///vdi', '-o', 'LABEL=x']) {
  test(`the source ${JSON.stringify(text)} is refused with what is expected`, () => {
    assert.throws(
      () => parseMountSource(text),
      (error) => isSheepfsError(error, 'invalid') && /expected|%2F/.test(error.message),
    )
  })
}
