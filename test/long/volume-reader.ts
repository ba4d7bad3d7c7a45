import { constants, openSync, read } from 'node:fs'

const BLOCK = 65_536
const AT_ONCE = 4

/** Reads a file again and again, past the page cache, and tells how many reads it has done when it is asked. */
const [path = '', size] = process.argv.slice(2)
const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT)
const into = Buffer.from(new ArrayBuffer(BLOCK))
let count = 0
let at = 0

function readOn(): void {
  read(fd, into, 0, BLOCK, at, (error) => {
    if (error) throw error
    count++
    readOn()
  })
  at = (at + BLOCK) % Number(size)
}

for (let i = 0; i < AT_ONCE; i++) readOn()
process.on('message', () => process.send?.(count))
