import { createLogger } from '../log.ts'
import { MountWorker } from './mount-worker.ts'
import { toWireError } from './wire-error.ts'
import {
  type FromWorker,
  type ToWorker,
  type WorkerCall,
  type WorkerMethods,
  type WorkerStart,
} from './worker-protocol.ts'

/*
 * The process that serves one mount. Its supervisor starts it, tells it what to serve and calls it. It goes on without a
 * supervisor that dies: whoever has files open loses nothing by that.
 */

function send(message: FromWorker): void {
  if (process.connected) process.send?.(message)
}

/** Gives up root for good; descriptors that are open stay usable (the device of the mount needs no privilege). */
function becomeUser(user: string): void {
  process.setgroups?.([])
  process.setgid?.(user)
  process.setuid?.(user)
}

async function answer(worker: WorkerMethods, { id, method, args }: WorkerCall): Promise<void> {
  try {
    const call = worker[method].bind(worker) as (...args: readonly unknown[]) => Promise<unknown>
    send({ kind: 'answer', id, value: await call(...args) })
  } catch (error) {
    send({ kind: 'refusal', id, error: toWireError(error) })
  }
}

async function serve(start: WorkerStart): Promise<void> {
  const log = createLogger({ name: 'sheepfs', level: start.spec.logLevel }).child({ mount: start.spec.mount })
  try {
    if (start.spec.user !== undefined) becomeUser(start.spec.user)
    const worker = await MountWorker.start(start, { log, send })
    const answers = new Set<Promise<void>>()
    process.on('message', (message) => {
      const call = message as ToWorker
      if (call.kind !== 'call') return
      const answered = answer(worker, call).finally(() => answers.delete(answered))
      answers.add(answered)
    })
    send({ kind: 'serving' })
    await worker.ended()
    await Promise.all(answers) // whoever asked for this end waits for its answer
    send({ kind: 'ended', error: undefined })
  } catch (error) {
    process.exitCode = 1
    send({ kind: 'ended', error: toWireError(error) })
  }
  if (process.connected) process.disconnect()
}

// the terminal's Ctrl-C reaches all processes of a group: the supervisor decides what happens
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
process.once('message', (message) => {
  const start = message as ToWorker
  if (start.kind === 'start') void serve(start)
})
