import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseAddress, type Address } from '../../../src/sheep/address.ts'
import { end, textOf } from './program.ts'
import { useSheep, type Sheep } from './sheep.ts'
import type { Stage } from './stage.ts'

const LAMB = join(import.meta.dirname, '../../../src/lamb/lamb.js')

/** A lamb that goes away, and comes back with what it had under the address it had. */
export class MortalLamb {
  readonly address: Address
  readonly #stage: Stage
  readonly #args: readonly string[]
  #process: ChildProcess

  private constructor(stage: Stage, args: readonly string[], { process, address }: Launched) {
    this.#stage = stage
    this.#args = args
    this.#process = process
    this.address = address
  }

  static async start(stage: Stage, args: readonly string[] = []): Promise<MortalLamb> {
    const all = ['--store', await stage.folder(), ...args]
    const lamb = new MortalLamb(stage, all, await launch([...all, '--port', '0']))
    stage.defer(() => end(lamb.#process)) // the one there is by then, after all who need it
    return lamb
  }

  /** For what a test asks of it; not over an absence. */
  sheep(): Promise<Sheep> {
    return useSheep(this.#stage, this.address)
  }

  /** Stopped: it takes connections and does not answer; gone: nobody listens. */
  async leave(way: 'stopped' | 'gone'): Promise<void> {
    if (way === 'stopped') this.#process.kill('SIGSTOP')
    else await end(this.#process)
  }

  /** Resolves when it listens again. */
  async comeBack(): Promise<void> {
    if (this.#process.kill('SIGCONT')) return
    const port = String(this.address.port)
    this.#process = (await launch([...this.#args, '--port', port])).process
  }
}

interface Launched {
  readonly process: ChildProcess
  readonly address: Address
}

async function launch(args: readonly string[]): Promise<Launched> {
  const process = spawn(globalThis.process.execPath, [LAMB, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = [textOf(process.stdout), textOf(process.stderr)]
  await Promise.race([once(process.stdout, 'data'), once(process, 'exit')])
  const [, address] = /^lamb listens on (\S+)$/m.exec(stdout()) ?? []
  if (address === undefined) throw new Error(`lamb did not start: ${stderr()}`)
  return { process, address: parseAddress(address) }
}
