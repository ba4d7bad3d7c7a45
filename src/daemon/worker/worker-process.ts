import { createLogger, type Logger } from '../../log.ts'
import type { WorkerAccount } from '../config/worker-account.ts'
import { CallAnswers } from './call-answers.ts'
import { MountCore } from './mount-core.ts'
import { MountWorker } from './mount-worker.ts'
import { toWireError } from '../wire-error.ts'
import type { FromWorker, ToWorker, WorkerStart } from '../worker-protocol.ts'

/*
 * The process that serves one mount. Its supervisor starts it, tells it what to serve and calls it, and when that dies it
 * ends too: nobody could stop it any more, and the next daemon makes the mount anew.
 */

/** A worker without a supervisor may take so long to close its volumes. */
const ORPHAN_LIMIT_MS = 5000

function send(message: FromWorker): void {
  if (process.connected) process.send?.(message)
}

/** Gives up root for good; descriptors that are open stay usable (the device of the mount needs no privilege). */
function become({ uid, gid }: WorkerAccount): void {
  process.setgroups?.([])
  process.setgid?.(gid)
  process.setuid?.(uid)
}

/** When the supervisor dies, or says so, this process ends in time, whatever it waits for. Returns what takes that back. */
function endWithSupervisor(log: Logger, abandon: () => Promise<void>): () => void {
  const end = (why: string): void => {
    log.warn(`${why}: the mount ends`)
    // a signal, because process.exit waits for reads of the device
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ORPHAN_LIMIT_MS).unref()
    abandon().catch((error: unknown) => {
      log.error({ err: error }, 'the mount could not be ended in order')
    })
  }
  const onDisconnect = (): void => {
    end('the supervisor is gone')
  }
  const onMessage = (message: unknown): void => {
    if ((message as ToWorker).kind === 'abandon') end('the mount is not wanted any more')
  }
  process.once('disconnect', onDisconnect)
  process.on('message', onMessage)
  return () => {
    process.off('disconnect', onDisconnect)
    process.off('message', onMessage)
  }
}

async function serve(start: WorkerStart): Promise<void> {
  const log = createLogger({ name: 'sheepfs', level: start.spec.logLevel }).child({ mount: start.spec.mount })
  let worker: MountWorker | undefined
  const starting = new AbortController()
  const release = endWithSupervisor(log, async () => {
    if (worker) await worker.abandon()
    else starting.abort()
  })
  try {
    if (start.spec.account) become(start.spec.account)
    if (start.purpose === 'close') {
      await MountCore.giveBack(start, { log, send, abandoned: starting.signal })
      send({ kind: 'ended', error: undefined })
      return
    }
    const serving = (worker = await MountWorker.start(start, { log, send, abandoned: starting.signal }))
    if (!process.connected) await serving.abandon()
    const answers = new CallAnswers(serving, send)
    process.on('message', (message) => {
      answers.hear(message as ToWorker)
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
    if (process.connected) process.disconnect()
  }
}

// for ps(1) and systemctl status: node and a path would say nothing
process.title = ['sheepfs-worker', ...process.argv.slice(2)].join(' ')

// the terminal's Ctrl-C reaches all processes of a group: the supervisor decides what happens
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
process.once('message', (message) => {
  const start = message as ToWorker
  if (start.kind === 'start') void serve(start)
})
