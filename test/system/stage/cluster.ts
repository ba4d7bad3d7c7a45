import { once } from 'node:events'
import { join } from 'node:path'
import type { Machine, Started } from './machine.ts'

/** Of real nodes, for long tests: called with a folder, it says that it `listens` at port 7000, and ends when it is killed. */
const PROGRAM = process.env['SHEEPFS_TEST_CLUSTER']
const LAMB = join(import.meta.dirname, '../../../src/lamb/lamb.js')
const LAMB_COMMAND = [process.execPath, LAMB, '--store', 'FOLDER', '--locking']

/** A cluster that the machine reaches over its network, and that does not go down with it: a lamb that has locks. */
export class Cluster {
  readonly #machine: Machine
  #lamb: Started | undefined

  constructor(machine: Machine) {
    this.#machine = machine
  }

  /** Resolves when it serves, with what was stored before. */
  async start(): Promise<void> {
    const [program = '', ...args] = PROGRAM === undefined ? LAMB_COMMAND : [PROGRAM, 'FOLDER']
    this.#lamb = await this.#machine.startBeside(program, args)
    await this.#lamb.announcer.said(/(listens)/)
  }

  /** Dies, without a word to its clients. */
  async kill(): Promise<void> {
    const ended = this.#lamb && once(this.#lamb.announcer.process, 'close')
    this.#signal('SIGKILL')
    await ended
    this.#lamb = undefined
  }

  /** Accepts connections and requests, and answers nothing until it goes on. */
  hang(): void {
    this.#signal('SIGSTOP')
  }

  goOn(): void {
    this.#signal('SIGCONT')
    this.#lamb?.announcer.process.kill('SIGCONT') // nsenter stops with what it has started
  }

  #signal(name: NodeJS.Signals): void {
    if (!this.#lamb) throw new Error('the cluster does not run')
    process.kill(this.#lamb.pid, name)
  }
}
