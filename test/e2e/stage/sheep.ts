import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { parseAddress, type Address } from '../../../src/sheep/address.ts'
import { Connection } from '../../../src/sheep/connection.ts'
import { SheepfsError } from '../../../src/errors.ts'
import { INODE_HEAD_SIZE, objectCount, parseInodeHeader } from '../../../src/wire/inode.ts'
import { inodeOid } from '../../../src/wire/object-id.ts'
import { readObject, writeIndex, writeVdiSize } from '../../../src/wire/object-ops.ts'
import type { Message, Response } from '../../../src/wire/message.ts'
import { Req, Result, resultName } from '../../../src/wire/sd-proto.ts'
import { deleteVdi, getVdiInfo, newVdi, parseVdiAnswer } from '../../../src/wire/vdi-ops.ts'
import { textOf } from './program.ts'
import type { Stage } from './stage.ts'

/** Index entries cleared by one request. */
const CLEARED_AT_ONCE = 65536
const LAMB = join(import.meta.dirname, '../../../src/lamb/lamb.js')

/** What `createVdi` may be told; `storePolicy` 1 makes a hyper volume. */
export interface VdiOptions {
  readonly name?: string
  readonly blockSizeShift?: number
  readonly storePolicy?: number
}

/** A sheep to test with: the one of SHEEPFS_TEST_SHEEP (host:port), or an own lamb. */
export class Sheep {
  readonly address: Address
  readonly #stage: Stage
  readonly #connection: Connection

  constructor(stage: Stage, connection: Connection) {
    this.address = connection.address
    this.#stage = stage
    this.#connection = connection
  }

  /** Makes a VDI, with a name of its own unless given; removed with the stage. Resolves with its name. */
  async createVdi(size: number, options: VdiOptions = {}): Promise<string> {
    const { name = `sheepfs-test-${randomBytes(6).toString('hex')}`, ...rest } = options
    const bytes = Buffer.from(name)
    const { vid } = parseVdiAnswer(await this.#succeed(newVdi({ name: bytes, size, ...rest })))
    this.removeLater(bytes, vid)
    return name
  }

  /** A VDI that something else has made goes with the stage too. */
  removeLater(name: Uint8Array, vid: number): void {
    this.#stage.defer(() => this.#removeVdi(name, vid))
  }

  /** The vid of a working VDI. */
  async vidOf(name: string): Promise<number> {
    return parseVdiAnswer(await this.#succeed(getVdiInfo({ name: Buffer.from(name) }))).vid
  }

  /** Writes another size into the inode of a working VDI, as `dog vdi resize` does. */
  async resizeVdi(name: string, size: number): Promise<void> {
    await this.#succeed(writeVdiSize(await this.vidOf(name), size))
  }

  /** Half of the objects of a working VDI are its own, every second one; there are no data in them. */
  async mixIndex(name: string): Promise<void> {
    const vid = await this.vidOf(name)
    const head = await this.#succeed(readObject(inodeOid(vid), 0, INODE_HEAD_SIZE))
    const { vdiSize, blockSizeShift } = parseInodeHeader(head.payload)
    const count = objectCount(vdiSize, blockSizeShift)
    for (let first = 0; first < count; first += CLEARED_AT_ONCE) {
      const entries = Array.from({ length: Math.min(CLEARED_AT_ONCE, count - first) }, (_, i) => (i % 2) * vid)
      await this.#succeed(writeIndex(vid, first, entries))
    }
  }

  /**
   * An array index is cleared first: with entries in it the inode would stay, and its objects with it. In the tree of a hyper
   * volume the same would destroy what other VDIs have.
   */
  async #removeVdi(name: Uint8Array, vid: number): Promise<void> {
    const head = await this.#succeed(readObject(inodeOid(vid), 0, INODE_HEAD_SIZE))
    const { vdiSize, blockSizeShift, storePolicy } = parseInodeHeader(head.payload)
    const count = storePolicy === 0 ? objectCount(vdiSize, blockSizeShift) : 0
    for (let first = 0; first < count; first += CLEARED_AT_ONCE) {
      const zeros = new Array<number>(Math.min(CLEARED_AT_ONCE, count - first)).fill(0)
      await this.#succeed(writeIndex(vid, first, zeros))
    }
    await this.#succeed(deleteVdi({ name }))
  }

  async #succeed(message: Message): Promise<Response> {
    const response = await this.#connection.exchange(message)
    if (response.result === Result.SUCCESS) return response
    const opcode = Req.opcode.get(message.header)
    throw new Error(`opcode ${opcode}: ${resultName(response.result) ?? String(response.result)}`)
  }
}

/** The sheep of SHEEPFS_TEST_SHEEP, or a lamb with further arguments. */
export async function startSheep(stage: Stage, lambArgs: readonly string[] = []): Promise<Sheep> {
  const address = process.env['SHEEPFS_TEST_SHEEP']
  return address === undefined ? startLamb(stage, lambArgs) : useSheep(stage, parseAddress(address))
}

/** A sheep that runs already. */
export async function useSheep(stage: Stage, address: Address): Promise<Sheep> {
  const connection = await openConnection(address)
  stage.defer(() => {
    connection.destroy(new SheepfsError('closed', 'the test is over'))
  })
  return new Sheep(stage, connection)
}

/** A connection as the client's own, without anything above it. */
export async function openConnection(address: Address): Promise<Connection> {
  const options = { world: realWorld, connectTimeoutMs: 5000, deadlineMs: () => 60_000, trimsZeros: () => false }
  return Connection.open(address, options, () => undefined)
}

/** A lamb with an empty store, on a free port unless the arguments name one. */
export async function startLamb(stage: Stage, args: readonly string[] = []): Promise<Sheep> {
  const lamb = stage.start(process.execPath, [LAMB, '--store', await stage.folder(), '--port', '0', ...args])
  const stderr = textOf(lamb.stderr)
  const stdout = textOf(lamb.stdout)
  const spoke = once(lamb.stdout ?? lamb, 'data')
  await Promise.race([spoke, once(lamb, 'exit')])
  const [, address] = /^lamb listens on (\S+)$/m.exec(stdout()) ?? []
  if (address === undefined) throw new Error(`lamb did not start: ${stderr()}`)
  return useSheep(stage, parseAddress(address))
}
