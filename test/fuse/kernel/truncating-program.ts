import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'

/*
 * Truncates a file that it has read and written, and prints as JSON what it reads before and after: `truncating-program
 * FILE`. A program of its own, because a process that serves a mount must not use it.
 */

const DIRTY = 8192

const path = process.argv[2] ?? ''
const fd = openSync(path, 'r+')
const { size } = fstatSync(fd)

function byteAt(position: number): number | undefined {
  const into = Buffer.alloc(1)
  return readSync(fd, into, 0, 1, position) === 1 ? into[0] : undefined
}

const places = [0, 5000, size / 2 + 1, size - 1]
const before = places.map(byteAt)
writeSync(fd, Buffer.alloc(DIRTY, 8), 0, DIRTY, 4096) // where it is written back it stays in the kernel
ftruncateSync(fd, 0)
const after = places.map(byteAt)
writeSync(fd, 'new', 100)
fsyncSync(fd)
const shownSize = fstatSync(fd).size
closeSync(openSync(path, 'w')) // its own handle is open
const atEnd = [byteAt(100)]
closeSync(fd)
console.log(JSON.stringify({ before, after, atEnd, shownSize }))
