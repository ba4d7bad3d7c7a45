import { sleep } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import { u64, viewOf } from '../wire/field.ts'
import { newMessage } from '../wire/message.ts'
import { Opcode, Req, Result, SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import type { Address } from './address.ts'
import { openBriefly } from './brief-connection.ts'
import type { ClientContext } from './client-context.ts'
import type { Connection } from './connection.ts'
import type { KnownCluster } from './known-cluster.ts'

/** struct sd_stat of 1.0: requests that the asked sheep executes as a gateway now. A shorter buffer would overflow it. */
const gatewayActive = u64(0)
const SD_STAT_SIZE = 15 * 8

/** Quiet answers in a row that are needed: one may come before the sheep has read what was on its socket. */
const QUIET_ANSWERS = 2

/**
 * Quiet answers in a row of a sheep that is idle: one may come between two of its removals
 * (docs/sheepdog-protocol.md#12.3).
 */
const IDLE_ANSWERS = 5

interface Settling extends Pick<ClientContext, 'world' | 'timing'> {
  readonly known: Pick<KnownCluster, 'protoVer'>
}

/** What a lost gateway does: nothing (it says so, or its process is gone), something for anybody, or nobody knows. */
type Activity = 'quiet' | 'busy' | 'unknown'

/**
 * Resolves when a gateway whose connection was lost can be taken to execute nothing any more of what it was
 * sent on it: when it was quiet twice, when it has not answered for `settleSilentMs`, or was always busy for
 * `settleBusyMs`. Until then a request sent again elsewhere, or a later one, could be overtaken by its first copy
 * (docs/sheepdog-protocol.md#13.1).
 */
export async function settled(address: Address, { world, timing, known }: Settling): Promise<void> {
  const { clock } = world
  const since = clock.now()
  let connection: Connection | undefined
  try {
    for (let quietAnswers = 0; quietAnswers < QUIET_ANSWERS;) {
      await sleep(clock, timing.settlePollMs)
      const limitMs = Math.max(timing.settlePollMs, timing.settleSilentMs - (clock.now() - since))
      let activity: Activity
      try {
        if (!connection || connection.closed) connection = await openBriefly(world, address, limitMs)
        activity = await askActivity(connection, known.protoVer)
      } catch (error) {
        activity = isRefusal(error) ? 'quiet' : 'unknown'
      }
      quietAnswers = activity === 'quiet' ? quietAnswers + 1 : 0
      const waitedMs = clock.now() - since
      if (waitedMs >= (activity === 'unknown' ? timing.settleSilentMs : timing.settleBusyMs)) return
    }
  } finally {
    connection?.destroy(new SheepfsError('closed', 'asked'))
  }
}

/**
 * Whether a sheep executes nothing as a gateway, for anybody: neither what it was sent nor the removals that follow from
 * index updates, of which it begins one as soon as the one before has ended. False when it cannot be asked.
 */
export async function isIdle(connect: () => Promise<Connection>, { world, timing, known }: Settling): Promise<boolean> {
  try {
    const connection = await connect()
    for (let answers = 0; answers < IDLE_ANSWERS; answers++) {
      if (answers > 0) await sleep(world.clock, timing.settlePollMs, { isBackground: true })
      if ((await askActivity(connection, known.protoVer)) !== 'quiet') return false
    }
    return true
  } catch {
    return false
  }
}

async function askActivity(connection: Connection, protoVer: number): Promise<Activity> {
  if (protoVer !== SD_SHEEP_PROTO_VERS[0]) return 'unknown' // older ones count nothing, or other things
  const message = newMessage(Opcode.STAT, { wanted: SD_STAT_SIZE })
  Req.protoVer.set(message.header, protoVer)
  const { result, payload } = await connection.exchange(message)
  if (result !== Result.SUCCESS || payload.length !== SD_STAT_SIZE) return 'unknown'
  return gatewayActive.get(viewOf(payload)) === 0 ? 'quiet' : 'busy'
}

/** The host answers and nobody listens: the process has ended, and with it all it was doing. */
function isRefusal(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
}
