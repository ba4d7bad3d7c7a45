import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { oidText, type ObjectId } from '../wire/object-id.ts'
import { FileCache } from './file-cache.ts'
import type { NewContent, ObjectImage, ObjectStore } from './object-store.ts'

const BLOCK = 65536
const INTENT = 'intent.json'

/** A step of an intent: the temporary file `from` becomes the object file `to`. */
interface Move {
  readonly from: string
  readonly to: string
}

/**
 * Objects as sparse files named by their id, in `DIR/obj`. All calls are synchronous: on the page cache they are faster than
 * the thread pool, and each is one step that no other request can see half done. New contents come by rename, so that a
 * killed process leaves the old object or the new one. Nothing is synced: a power failure may lose what was written last.
 */
export class FileStore implements ObjectStore {
  readonly directory: string
  readonly #objects: string
  readonly #temporary: string
  readonly #files = new FileCache()
  #temporaries = 0

  constructor(directory: string) {
    this.directory = directory
    this.#objects = join(directory, 'obj')
    this.#temporary = join(directory, 'tmp')
  }

  /** Makes the directories, and finishes or forgets what a killed process had begun. */
  open(): void {
    mkdirSync(this.#objects, { recursive: true })
    mkdirSync(this.#temporary, { recursive: true })
    this.#finishIntent()
    for (const name of readdirSync(this.#temporary)) unlinkSync(join(this.#temporary, name))
  }

  close(): void {
    this.#files.close()
  }

  list(): string[] {
    return readdirSync(this.#objects)
  }

  exists(oid: ObjectId): boolean {
    return this.#fd(oid) !== undefined
  }

  read(oid: ObjectId, offset: number, into: Uint8Array, at = 0, length = into.length): boolean {
    const fd = this.#fd(oid)
    if (fd === undefined) return false
    let done = 0
    while (done < length) {
      const count = readSync(fd, into, at + done, length - done, offset + done)
      if (count === 0) break
      done += count
    }
    if (done < length) into.fill(0, at + done, at + length)
    return true
  }

  write(oid: ObjectId, offset: number, data: Uint8Array): boolean {
    const fd = this.#fd(oid)
    if (fd === undefined) return false
    writeAll(fd, data, offset)
    return true
  }

  create(oid: ObjectId, size: number, content: NewContent): boolean {
    const { offset, data, base } = content
    const temporary = this.#newTemporary()
    const isCopy = base !== undefined && data.length < size
    if (isCopy && !this.#copy(base, temporary)) return false
    const fd = this.#write(temporary, isCopy ? 'r+' : 'wx+', (open) => {
      if (!isCopy) ftruncateSync(open, size)
      writeAll(open, data, offset)
    })
    renameSync(this.#temporaryPath(temporary), this.#path(oid))
    this.#files.put(oid, fd)
    return true
  }

  replaceAll(images: readonly ObjectImage[]): void {
    const moves: (Move & { oid: ObjectId; fd: number })[] = []
    for (const { oid, size, pieces } of images) {
      const from = this.#newTemporary()
      const fd = this.#write(from, 'wx+', (open) => {
        ftruncateSync(open, size)
        for (const { offset, bytes } of pieces) writeSparse(open, offset, bytes)
      })
      moves.push({ oid, fd, from, to: oidText(oid) })
    }
    const intent = this.#temporaryPath(INTENT)
    const draft = this.#temporaryPath(this.#newTemporary())
    writeFileSync(draft, JSON.stringify(moves.map(({ from, to }) => ({ from, to }))))
    renameSync(draft, intent)
    for (const { oid, fd, from } of moves) {
      renameSync(this.#temporaryPath(from), this.#path(oid))
      this.#files.put(oid, fd)
    }
    unlinkSync(intent)
  }

  remove(oid: ObjectId): boolean {
    this.#files.drop(oid)
    try {
      unlinkSync(this.#path(oid))
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
  }

  clear(): void {
    this.#files.close()
    rmSync(this.#objects, { recursive: true })
    mkdirSync(this.#objects)
  }

  usedBefore(oid: ObjectId, limit: number): number {
    const fd = this.#fd(oid)
    return fd === undefined ? 0 : Math.min(limit, fstatSync(fd).size)
  }

  space(): { used: number; free: number } {
    const { bavail, bsize } = statfsSync(this.#objects)
    let used = 0
    for (const name of this.list()) used += lstatSync(join(this.#objects, name)).blocks * 512
    return { used, free: bavail * bsize }
  }

  #fd(oid: ObjectId): number | undefined {
    return this.#files.get(oid, () => this.#path(oid))
  }

  #path(oid: ObjectId): string {
    return join(this.#objects, oidText(oid))
  }

  #newTemporary(): string {
    return String(this.#temporaries++)
  }

  #temporaryPath(name: string): string {
    return join(this.#temporary, name)
  }

  /** The open descriptor of a temporary file once `fill` is through; on failure, a full disk say, nothing is left of it. */
  #write(name: string, mode: 'r+' | 'wx+', fill: (fd: number) => void): number {
    const path = this.#temporaryPath(name)
    const fd = openSync(path, mode)
    try {
      fill(fd)
      return fd
    } catch (error) {
      closeSync(fd)
      unlinkSync(path)
      throw error
    }
  }

  #copy(base: ObjectId, to: string): boolean {
    try {
      copyFileSync(this.#path(base), this.#temporaryPath(to), constants.COPYFILE_FICLONE)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
  }

  #finishIntent(): void {
    const intent = this.#temporaryPath(INTENT)
    if (!existsSync(intent)) return
    for (const { from, to } of JSON.parse(readFileSync(intent, 'utf8')) as Move[]) {
      const path = this.#temporaryPath(from)
      if (existsSync(path)) renameSync(path, join(this.#objects, to))
    }
    unlinkSync(intent)
  }
}

function writeAll(fd: number, data: Uint8Array, position: number): void {
  let done = 0
  while (done < data.length) done += writeSync(fd, data, done, data.length - done, position + done)
}

/** Writes only the blocks that are not zero, into a file that is. */
function writeSparse(fd: number, offset: number, bytes: Uint8Array): void {
  const zeros = Buffer.alloc(BLOCK)
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK)
    if (zeros.compare(block, 0, block.length, 0, block.length) !== 0) writeAll(fd, block, offset + at)
  }
}
