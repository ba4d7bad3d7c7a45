import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { VdiSummary } from '../../../src/sheep/vdi-list.ts'
import { vdiListText } from '../../../src/tree/text/vdi-list-text.ts'
import type { InodeHeader } from '../../../src/wire/inode.ts'

const zone = process.env['TZ']
before(() => (process.env['TZ'] = 'UTC'))
after(() => (zone === undefined ? delete process.env['TZ'] : (process.env['TZ'] = zone)))

const title = '  Name        Id    Size    Used  Shared    Creation time   VDI id  Copies  Tag   Block Size Shift\n'

function listed(
  name: string | Uint8Array,
  {
    used = 0,
    shared = 0,
    tag = '',
    ...header
  }: { used?: number; shared?: number; tag?: string } & Partial<Omit<InodeHeader, 'tag'>>,
): VdiSummary {
  return {
    used,
    shared,
    header: {
      name: Buffer.from(name),
      tag: Buffer.from(tag),
      createSeconds: Date.UTC(2026, 10, 22, 13, 17, 59) / 1000,
      createdAt: '',
      isSnapshot: false,
      snapshotMs: 0,
      vdiSize: 4 * 2 ** 30,
      copyPolicy: 0,
      storePolicy: 0,
      nrCopies: 1,
      blockSizeShift: 22,
      snapId: 1,
      vdiId: 0,
      parentVdiId: 0,
      btreeCounter: 0,
      ...header,
    },
  }
}

test('the list is what dog printed for the same VDIs', () => {
  const vdis = [
    listed('beta', { isSnapshot: true, shared: 3, vdiId: 0x4620a7, tag: 'tag with space', parentVdiId: 1 }),
    listed('beta', { snapId: 2, shared: 3, vdiId: 0x4620a8, parentVdiId: 0x4620a7 }),
    listed('hyper', { vdiSize: 100 * 2 ** 40, vdiId: 0x5b5b59, storePolicy: 1 }),
    listed('gamma', { shared: 3, vdiId: 0x6ba96a, parentVdiId: 0x4620a7 }),
    listed('small', { vdiSize: 512 * 1024, vdiId: 0x98998c }),
    listed('averyveryverylongvdiname', { vdiSize: 10 * 2 ** 30, vdiId: 0xbe6c5c }),
    listed('bigblk', { vdiSize: 2 * 2 ** 40, vdiId: 0xea9d94, blockSizeShift: 24 }),
    listed('alpha', { isSnapshot: true, used: 3, vdiId: 0xed202b, tag: 'first' }),
    listed('alpha', {
      isSnapshot: true,
      snapId: 2,
      used: 1,
      shared: 2,
      vdiId: 0xed202c,
      tag: 'averylongtagname_morethan13',
    }),
    listed('ec10453', { isSnapshot: true, vdiSize: 2 ** 26, used: 1, vdiId: 0x8cddb0, copyPolicy: 0x11, nrCopies: 3 }),
    listed('ec10453z', { vdiSize: 2 ** 26, vdiId: 0x5cde3e, copyPolicy: 0x43, nrCopies: 11 }),
  ]
  assert.equal(
    vdiListText(vdis).toString('latin1'),
    `${title}\
s beta         1  4.0 GB  0.0 MB   12 MB 2026-11-22 13:17   4620a7      1 tag with space  22
  beta         0  4.0 GB  0.0 MB   12 MB 2026-11-22 13:17   4620a8      1                22
  hyper        0  100 TB  0.0 MB  0.0 MB 2026-11-22 13:17   5b5b59      1                22
c gamma        0  4.0 GB  0.0 MB   12 MB 2026-11-22 13:17   6ba96a      1                22
  small        0  0.5 MB  0.0 MB  0.0 MB 2026-11-22 13:17   98998c      1                22
  averyveryverylongvdiname     0   10 GB  0.0 MB  0.0 MB 2026-11-22 13:17   be6c5c      1                22
  bigblk       0  2.0 TB  0.0 MB  0.0 MB 2026-11-22 13:17   ea9d94      1                24
s alpha        1  4.0 GB   12 MB  0.0 MB 2026-11-22 13:17   ed202b      1         first  22
s alpha        2  4.0 GB  4.0 MB  8.0 MB 2026-11-22 13:17   ed202c      1 averylongtagname_morethan13  22
s ec10453      1   64 MB  4.0 MB  0.0 MB 2026-11-22 13:17   8cddb0    2:1                22
  ec10453z     0   64 MB  0.0 MB  0.0 MB 2026-11-22 13:17   5cde3e    8:3                22
`,
  )
})

test('a cluster without VDIs lists the title', () => {
  assert.equal(vdiListText([]).toString(), title)
})

test('names that are not UTF-8 are listed byte for byte, padded by bytes', () => {
  const row = vdiListText([listed(Uint8Array.of(0xff, 0xc3, 0xa4), {})]).subarray(title.length)
  assert.equal(row.subarray(0, 12).toString('latin1'), '  \xff\xc3\xa4       ')
})
