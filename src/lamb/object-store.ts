import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
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

const BLOCK = 65536
const INTENT = 'intent.json'

/** A whole object that takes the place of what was there. */
export interface ObjectImage {
  readonly oid: ObjectId
  readonly image: Uint8Array
}

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
export class ObjectStore {
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

  /** The ids of all objects, as 16 hex digits. */
  list(): string[] {
    return readdirSync(this.#objects)
  }

  exists(oid: ObjectId): boolean {
    return this.#fd(oid) !== undefined
  }

  /** Fills `length` bytes of `into` from `at` on; beyond the object's end they are zero. False when it does not exist. */
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

  /** Writes into an object; beyond its end it grows. False when it does not exist. */
  write(oid: ObjectId, offset: number, data: Uint8Array): boolean {
    const fd = this.#fd(oid)
    if (fd === undefined) return false
    writeAll(fd, data, offset)
    return true
  }

  /**
   * Replaces an object by zeros, or by the content of `base`, overlaid with `data` at `offset`. `size` is that of a new
   * object, bytes. False when the base does not exist.
   */
  create(oid: ObjectId, size: number, content: { offset: number; data: Uint8Array; base?: ObjectId }): boolean {
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

  /** Replaces several objects, all or none, whenever the process is killed. */
  replaceAll(images: readonly ObjectImage[]): void {
    const moves: (Move & { oid: ObjectId; fd: number })[] = []
    for (const { oid, image } of images) {
      const from = this.#newTemporary()
      const fd = this.#write(from, 'wx+', (open) => {
        writeSparse(open, image)
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

  /** False when there was no such object. */
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

  /** Removes every object. */
  clear(): void {
    this.#files.close()
    rmSync(this.#objects, { recursive: true })
    mkdirSync(this.#objects)
  }

  /** What the objects take and what is left for more, bytes. */
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

/** Writes only the blocks that are not zero into an empty file. */
function writeSparse(fd: number, image: Uint8Array): void {
  ftruncateSync(fd, image.length)
  const zeros = Buffer.alloc(BLOCK)
  for (let at = 0; at < image.length; at += BLOCK) {
    const block = image.subarray(at, at + BLOCK)
    if (zeros.compare(block, 0, block.length, 0, block.length) !== 0) writeAll(fd, block, at)
  }
}
