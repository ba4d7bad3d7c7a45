import { crc32 } from 'node:zlib'

const MIB = 2 ** 20
const SIZE = 64 * MIB
const ENTRIES = 128
const ENTRY_SIZE = 128

/** A disk of 64 MiB with sectors of this size, and a GPT that has one partition, from 1 MiB to 33 MiB. */
export function diskOf(sector: number): Buffer {
  const disk = Buffer.alloc(SIZE)
  const last = SIZE / sector - 1
  disk.writeUInt8(0xee, 446 + 4)
  disk.writeUInt32LE(1, 446 + 8)
  disk.writeUInt32LE(last, 446 + 12)
  disk.writeUInt16LE(0xaa55, 510)
  const entries = Buffer.alloc(ENTRIES * ENTRY_SIZE)
  Buffer.from('af3dc60f838472478e793d69d8477de4', 'hex').copy(entries, 0) // the type "Linux filesystem"
  entries.fill(1, 16, 32)
  entries.writeBigUInt64LE(BigInt(MIB / sector), 32)
  entries.writeBigUInt64LE(BigInt((33 * MIB) / sector - 1), 40)
  const used = entries.length / sector
  const write = (own: number, other: number, at: number): void => {
    const header = Buffer.alloc(92)
    header.write('EFI PART')
    for (const [value, place] of [
      [0x10000, 8] as const,
      [92, 12] as const,
      [ENTRIES, 80] as const,
      [ENTRY_SIZE, 84] as const,
    ])
      header.writeUInt32LE(value, place)
    for (const [value, place] of [
      [own, 24] as const,
      [other, 32] as const,
      [2 + used, 40] as const,
      [last - 1 - used, 48] as const,
      [at, 72] as const,
    ])
      header.writeBigUInt64LE(BigInt(value), place)
    header.fill(2, 56, 72)
    header.writeUInt32LE(crc32(entries), 88)
    header.writeUInt32LE(crc32(header), 16)
    header.copy(disk, own * sector)
    entries.copy(disk, at * sector)
  }
  write(1, last, 2)
  write(last, 1, last - used)
  return disk
}
