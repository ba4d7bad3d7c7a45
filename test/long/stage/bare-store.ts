import { setTimeout as pause } from 'node:timers/promises'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { SheepfsError } from '../../../src/errors.ts'
import type { Address } from '../../../src/sheep/address.ts'
import { Connection } from '../../../src/sheep/connection.ts'
import { dataOid } from '../../../src/wire/object-id.ts'
import { readObject, writeObject } from '../../../src/wire/object-ops.ts'
import { Flag, Req, Result, resultName } from '../../../src/wire/sd-proto.ts'
import type { Message } from '../../../src/wire/message.ts'
import type { Stage } from '../../e2e/stage/stage.ts'
import type { BlockStore } from './block-ledger.ts'

const OBJECT = 2 ** 22
const RETRY_MS = 200
const LIMIT_MS = 120_000

/**
 * The allocated objects of a VDI through one gateway, with nothing of sheepfs but a connection: what fails is sent again, and
 * nothing is held back.
 */
export async function bareStore(stage: Stage, gateway: Address, vid: number): Promise<BlockStore> {
  const limits = { connectTimeoutMs: 5_000, deadlineMs: () => 60_000 }
  const connection = await Connection.open(
    gateway,
    { world: realWorld, ...limits, trimsZeros: () => true },
    () => undefined,
  )
  stage.defer(() => {
    connection.destroy(new SheepfsError('closed', 'the test is over'))
  })
  const insist = async (message: () => Message, into?: Uint8Array): Promise<void> => {
    for (const until = performance.now() + LIMIT_MS; ;) {
      const sent = message()
      Req.flags.set(sent.header, Req.flags.get(sent.header) | Flag.DIRECT)
      const { result } = await connection.exchange(sent, into)
      if (result === Result.SUCCESS) return
      if (performance.now() > until) throw new Error(`the gateway says ${resultName(result) ?? String(result)}`)
      await pause(RETRY_MS)
    }
  }
  const place = (position: number): [ReturnType<typeof dataOid>, number] => [
    dataOid(vid, Math.floor(position / OBJECT)),
    position % OBJECT,
  ]
  return {
    read: (position, into) => insist(() => readObject(...place(position), into.length), into),
    write: (position, data) => insist(() => writeObject(...place(position), data)),
  }
}
