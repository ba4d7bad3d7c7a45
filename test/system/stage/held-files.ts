import { closeSync, constants, existsSync, fstatSync, fsyncSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { opendirSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/*
 * Opens files of every kind and uses each half: held-files.js TREE VOLUME FOLDER DEVICE... Says `holds N`; once /run/use is there
 * it uses them further, and says `used N`, or what failed.
 */

const { O_RDWR, O_DIRECT, O_SYNC, O_CREAT, O_APPEND } = constants
const BLOCK = 65_536
const EACH = 10
const [, , tree = '', volume = '', folder = '', ...devices] = process.argv

/** Uses what it has open for the second time. Errors: anything is not as it was left. */
type Use = () => void

/** A region of its own of a file is written and read, before and afterwards, with one descriptor. */
function writer(path: string, flags: number, at: number): Use {
  const fd = openSync(path, O_RDWR | flags)
  const check = (byte: number): void => {
    const read = Buffer.alloc(BLOCK)
    readSync(fd, read, 0, BLOCK, at)
    if (!read.equals(Buffer.alloc(BLOCK, byte))) throw new Error(`${path} at ${at} is not as it was written`)
  }
  const write = (byte: number): void => {
    writeSync(fd, Buffer.alloc(BLOCK, byte), 0, BLOCK, at)
    check(byte)
  }
  const first = 1 + ((at / BLOCK) % 200)
  write(first)
  return () => {
    check(first)
    write(first + 1)
    fsyncSync(fd)
    closeSync(fd)
  }
}

/** Only adds to a file of its own. */
function appender(path: string): Use {
  const fd = openSync(path, O_RDWR | O_CREAT | O_APPEND)
  writeSync(fd, 'before ')
  return () => {
    writeSync(fd, 'after')
    if (readFileSync(path, 'utf8') !== 'before after') throw new Error(`${path} has lost something`)
    if (fstatSync(fd).size !== 12) throw new Error(`${path} has another size`)
    closeSync(fd)
  }
}

/** Reads a text half. */
function reader(path: string): Use {
  const fd = openSync(path, 'r')
  const text = readFileSync(path)
  const half = Buffer.alloc(text.length >> 1)
  readSync(fd, half)
  return () => {
    const all = Buffer.concat([half, readFileSync(fd)])
    if (!all.equals(text)) throw new Error(`${path} goes on in another way`)
    closeSync(fd)
  }
}

/** Reads a directory half. */
function lister(path: string): Use {
  const wanted = readdirSync(path).sort()
  const directory = opendirSync(path, { bufferSize: 1 })
  const names = [directory.readSync()?.name ?? '']
  return () => {
    for (let entry = directory.readSync(); entry; entry = directory.readSync()) names.push(entry.name)
    directory.closeSync()
    if (names.sort().join() !== wanted.join()) throw new Error(`${path} has other names: ${names.join()}`)
  }
}

const file = join(tree, 'volume', volume)
const texts = ['config/page_cache', 'config/sheepdog_port', 'vdi/list', 'node/list'].map((name) => join(tree, name))
const held: Use[] = [
  ...[O_DIRECT, 0, O_SYNC, O_DIRECT | O_SYNC].flatMap((flags, kind) =>
    Array.from({ length: EACH }, (_, i) => writer(file, flags, (kind * EACH + i) * BLOCK)),
  ),
  ...devices.map((device) => writer(device, O_SYNC, 0)),
  ...[tree, join(tree, 'volume'), join(tree, 'vdi'), folder].map(lister),
  ...texts.filter((path) => existsSync(path)).map(reader),
  ...Array.from({ length: EACH }, (_, i) => appender(join(folder, `held-${i}`))),
]
process.stdout.write(`holds ${held.length}\n`)
while (!existsSync('/run/use')) await pause(50)
for (const use of held) use()
process.stdout.write(`used ${held.length}\n`)
writeFileSync('/run/used', String(held.length))
