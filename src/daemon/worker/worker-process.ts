import { readFileSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { createLogger, type Logger } from '../../log.ts'
import type { FrameChannel } from '../ipc/frame-channel.ts'
import { CHANNEL_FD, channelToSupervisor } from '../ipc/worker-channel.ts'
import { MountRecord } from '../mount/mount-record.ts'
import { become } from '../system/become.ts'
import { CallAnswers } from './call-answers.ts'
import { MountCore } from './mount-core.ts'
import { MountWorker } from './mount-worker.ts'
import { toWireError } from '../wire-error.ts'
import type { FromWorker, ToWorker, WorkerStart } from '../worker-protocol.ts'

/*
 * The process that serves one mount. Its supervisor starts it, tells it what to serve and calls it, and when that dies it
 * ends too: nobody could stop it any more. The next daemon serves a mount on that outlives the supervisor, and makes others
 * anew.
 */

/** The record of the mount, inherited from the supervisor. */
const RECORD_FD = 5

const OOM_SCORE = '/proc/self/oom_score_adj'

/** A worker without a supervisor may take so long to close its volumes. */
const ORPHAN_LIMIT_MS = 5000

type Channel = FrameChannel<ToWorker, FromWorker>

/** What the supervisor is told stands in the record before. */
function sender(record: MountRecord, channel: Channel, log: Logger): (message: FromWorker) => void {
  return (message) => {
    try {
      record.note(message)
    } catch (error) {
      log.error({ err: error }, 'not recorded: a successor of this worker and the supervisor would not know of it')
    }
    try {
      channel.send(message)
    } catch (error) {
      log.error({ err: error }, `the supervisor is not told: ${message.kind}`)
    }
  }
}

/** When there is too little memory, the kernel shall take a worker, which is replaced, before the supervisor. */
function becomeLikelierVictim(log: Logger): void {
  try {
    const own = Number(readFileSync(OOM_SCORE, 'utf8'))
    writeFileSync(OOM_SCORE, String(Math.min(own + 100, 1000)))
  } catch (error) {
    log.debug({ err: error }, 'this process is as likely as its supervisor to be killed for want of memory')
  }
}

/** A worker that hands its mount over because the supervisor died may take so long to answer what it has taken. */
const LAST_ANSWERS_MS = 1000

/** By a signal, because process.exit waits for reads of the device. */
function endIn(ms: number): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), ms).unref()
}

/** How a worker ends that nobody supervises any more. */
interface Endings {
  /** The mount ends too: the volumes are closed. */
  abandon(): Promise<void>
  /** The next daemon serves it on: the volumes stay as they are. */
  handOver(): Promise<void>
}

/** When the supervisor dies, or says so, this process ends in time, whatever it waits for. Returns what takes that back. */
function endWithSupervisor(start: WorkerStart, channel: Channel, log: Logger, endings: Endings): () => void {
  let { isKept } = start
  const end = (why: string): void => {
    log.warn(`${why}: the mount ends`)
    endIn(ORPHAN_LIMIT_MS)
    endings.abandon().catch((error: unknown) => {
      log.error({ err: error }, 'the mount could not be ended in order')
    })
  }
  const onClose = (): void => {
    if (!isKept) {
      end('the supervisor is gone')
      return
    }
    log.warn('the supervisor is gone: the mount waits for the next one')
    endIn(LAST_ANSWERS_MS)
    void endings.handOver().finally(() => {
      endIn(0)
    })
  }
  const onMessage = (message: ToWorker): void => {
    if (message.kind === 'last') isKept = false
    if (message.kind === 'abandon') end('the mount is not wanted any more')
  }
  channel.once('close', onClose)
  channel.on('message', onMessage)
  return () => {
    channel.off('close', onClose)
    channel.off('message', onMessage)
  }
}

async function serve(start: WorkerStart, channel: Channel): Promise<void> {
  // the supervisor reads it, and says whose it is
  const log = createLogger({ name: 'sheepfs', level: start.spec.logLevel, format: 'json' })
  let worker: MountWorker | undefined
  const starting = new AbortController()
  const record = new MountRecord(RECORD_FD)
  const send = sender(record, channel, log)
  const release = endWithSupervisor(start, channel, log, {
    abandon: async () => {
      if (worker) await worker.abandon()
      else starting.abort()
    },
    handOver: async () => worker?.handOver(),
  })
  let core: MountCore | undefined
  const onBegun = (begun: MountCore): void => {
    core = begun
  }
  const answer = (message: FromWorker): number => channel.send(message)
  const early = new CallAnswers(
    {
      ping: () => Promise.resolve(),
      setIoTimeout: (timeoutMs) => Promise.resolve(core?.setIoTimeout(timeoutMs)),
    },
    answer,
  )
  const hearEarly = (message: ToWorker): void => {
    early.hear(message)
  }
  channel.on('message', hearEarly) // until it can be called
  try {
    record.begin(start)
    becomeLikelierVictim(log)
    if (start.spec.account) become(start.spec.account)
    if (start.purpose === 'close') {
      await MountCore.giveBack(start, { log, send, abandoned: starting.signal })
      send({ kind: 'ended', error: undefined })
      return
    }
    const serving = (worker = await MountWorker.start(start, { log, send, onBegun, abandoned: starting.signal }))
    if (!channel.isOpen) await serving.abandon()
    channel.off('message', hearEarly)
    const answers = new CallAnswers(serving, answer)
    channel.on('message', (message) => {
      answers.hear(message)
    })
    send({ kind: 'serving' })
    await serving.ended()
    await answers.whenAnswered() // whoever asked for this end waits for its answer
    send({ kind: 'ended', error: undefined })
  } catch (error) {
    process.exitCode = 1
    send({ kind: 'ended', error: toWireError(error) })
  } finally {
    release()
    channel.end()
  }
}

// for ps(1) and systemctl status: node and a path would say nothing
process.title = ['sheepfs-worker', ...process.argv.slice(2)].join(' ')

// the terminal's Ctrl-C reaches all processes of a group: the supervisor decides what happens
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
const channel = channelToSupervisor(new Socket({ fd: CHANNEL_FD }))
channel.once('message', (start) => {
  if (start.kind === 'start') void serve(start, channel)
})
channel.on('breach', (error) => {
  throw error // nobody can supervise this process
})
