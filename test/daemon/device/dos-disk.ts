const SIZE = 64 * 2 ** 20

/** A disk of 64 MiB with a DOS partition table, which has one partition. */
export function dosDisk({ start, sectors }: { readonly start: number; readonly sectors: number }): Buffer {
  const disk = Buffer.alloc(SIZE)
  const entry = disk.subarray(446)
  entry[4] = 0x83
  entry.writeUInt32LE(start, 8)
  entry.writeUInt32LE(sectors, 12)
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}
