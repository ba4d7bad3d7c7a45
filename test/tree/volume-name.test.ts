import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { SheepfsError } from '../../src/errors.ts'
import { isSheepfsError } from '../../src/errors.ts'
import { parseVolumeName, vdiSpecs, volumeName } from '../../src/tree/volume-name.ts'

const bytes = (text: string) => Uint8Array.from(Buffer.from(text))

function refused(input: string | Uint8Array, code: SheepfsError['code'], message: RegExp): void {
  assert.throws(
    () => parseVolumeName(input),
    (error) => isSheepfsError(error, code) && message.test(error.message),
    String(input),
  )
}

test('a plain name is the working VDI', () => {
  assert.deepEqual(parseVolumeName('web01'), { text: 'web01', vdi: bytes('web01'), snapshot: undefined })
  assert.deepEqual(vdiSpecs(parseVolumeName('web01')), [{ name: bytes('web01') }])
})

test('what follows the "@" is a tag', () => {
  const name = parseVolumeName('web01@last night')
  assert.equal(name.text, 'web01@last night')
  assert.deepEqual(vdiSpecs(name), [{ name: bytes('web01'), tag: bytes('last night') }])
})

test('a number after the "@" is tried as a tag before it is a snapshot id', () => {
  assert.deepEqual(vdiSpecs(parseVolumeName('web01@12')), [
    { name: bytes('web01'), tag: bytes('12') },
    { name: bytes('web01'), snapId: 12 },
  ])
})

test('numbers that are no snapshot id are only tags', () => {
  for (const text of ['0', '007', '4294967296', '1.5', '-1']) {
    assert.deepEqual(vdiSpecs(parseVolumeName(`web01@${text}`)), [{ name: bytes('web01'), tag: bytes(text) }])
  }
})

test('bytes that a file name or the grammar cannot hold are written %XX', () => {
  const texts: [Uint8Array, string][] = [
    [bytes('a/b'), 'a%2Fb'],
    [bytes('100%'), '100%25'],
    [bytes('user@host'), 'user%40host'],
    [bytes('line\nbreak\x7f'), 'line%0Abreak%7F'],
    [Uint8Array.of(0x66, 0xff, 0xc3), 'f%FF%C3'],
    [Uint8Array.of(0xed, 0xa0, 0x80), '%ED%A0%80'],
    [bytes('grün 羊'), 'grün 羊'],
    [bytes('.'), '%2E'],
    [bytes('..'), '%2E.'],
    [bytes('...'), '...'],
  ]
  for (const [vdi, text] of texts) {
    assert.equal(volumeName(vdi).text, text)
    assert.deepEqual(parseVolumeName(text).vdi, vdi)
  }
})

test('other spellings of a name have the same canonical text', () => {
  assert.equal(parseVolumeName('a%2fb').text, 'a%2Fb')
  assert.equal(parseVolumeName('a/b').text, 'a%2Fb')
  assert.equal(parseVolumeName('%77eb01@%31').text, 'web01@1')
  assert.equal(parseVolumeName('../cluster/info').text, '..%2Fcluster%2Finfo')
})

test('every name survives being written and read, as a file name', () => {
  const name = fc.uint8Array({ minLength: 1, maxLength: 40 }).filter((array) => !array.includes(0))
  fc.assert(
    fc.property(name, fc.option(name, { nil: undefined }), (vdi, snapshot) => {
      const { text } = volumeName(vdi, snapshot)
      assert.deepEqual(parseVolumeName(text), { text, vdi: Uint8Array.from(vdi), snapshot })
      assert.ok(text !== '.' && text !== '..' && !/[/\p{Cc}]/u.test(text.replace(/[\u0080-\u009f]/g, '')))
    }),
  )
})

test('a name that cannot be read says why', () => {
  refused('', 'invalid', /empty/)
  refused('@tag', 'invalid', /expected the name of a VDI/)
  refused('web01@', 'invalid', /after the "@"/)
  refused('web01@a@b', 'invalid', /more than one "@".*%40/)
  refused('web%1', 'invalid', /two hex digits.*%25/)
  refused('web%zz', 'invalid', /two hex digits/)
  refused('web%00', 'invalid', /NUL/)
})

test('a name that is too long says what is too long', () => {
  refused('x'.repeat(256), 'name-too-long', /the name of the VDI has 256 bytes, at most 255 fit/)
  refused(`a@${'x'.repeat(256)}`, 'name-too-long', /the tag has 256/)
  refused(`${'x'.repeat(200)}@${'y'.repeat(100)}`, 'name-too-long', /the file name has 301/)
  assert.equal(parseVolumeName('x'.repeat(255)).vdi.length, 255)
})
